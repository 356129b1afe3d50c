/**
 * Parsing a 3.9 KB IMS INVITE out of a datagram, with what a B2BUA reads of it: Via, From, To, CSeq, Contact, the Route
 * list, and the Request-URI taken apart. Beside sip.js, the SIP stack of the browser UE, which reads less of it (no
 * Route). CPU time, medians of interleaved runs.
 */
import { Parser } from 'sip.js/lib/core/messages/parser.js';
import { parseAddress, parseMessage, parseUri } from '../src/sip/message/index.ts';
import { imsInvite } from './lib/ims-invite.ts';
import { type BenchOptions, type BenchRow, median } from './lib/rows.ts';

const GOAL_PER_SECOND = 100_000;
const silent = new Proxy({}, { get: () => () => undefined });

/** Messages per second of CPU that `work` gets through. */
function perSecond(work: () => void, count: number): number {
  const before = process.cpuUsage();
  for (let i = 0; i < count; i++) work();
  const { user, system } = process.cpuUsage(before);
  return (count * 1e6) / (user + system);
}

export async function rows(options: BenchOptions): Promise<BenchRow[]> {
  const text = imsInvite();
  const bytes = Buffer.from(text, 'latin1');
  let read = 0;
  const ours = (): void => {
    const result = parseMessage(bytes);
    if ('error' in result) throw new Error(result.error.reason);
    const { message } = result;
    read += message.fromTag.length + message.toTag.length + message.cseq + message.via.branch.length;
    for (const route of message.list('route')) read += parseAddress(route)?.uri.length ?? 0;
    read += parseAddress(message.first('contact') ?? '')?.params.size ?? 0;
    read += parseUri(message.requestUri)?.kind.length ?? 0;
  };
  const theirs = (): void => {
    if (Parser.parseMessage(bytes.toString('latin1'), silent as never) === undefined)
      throw new Error('sip.js refused it');
  };
  perSecond(ours, 50_000);
  perSecond(theirs, 50);
  const runs: { ours: number[]; peer: number[] } = { ours: [], peer: [] };
  for (let run = 0; run < (options.quick ? 3 : 7); run++) {
    runs.ours.push(perSecond(ours, 100_000));
    runs.peer.push(perSecond(theirs, 200));
    options.progress(`run ${run + 1}: ${Math.round(runs.ours.at(-1)!)}/s, sip.js ${Math.round(runs.peer.at(-1)!)}/s`);
  }
  if (read === 0) throw new Error('nothing was read');
  const [mine, peer] = [median(runs.ours), median(runs.peer)];
  return [
    {
      bench: 'sip-parse',
      row: `INVITE of ${bytes.length} bytes: Via, From, To, CSeq, Contact, Route, Request-URI`,
      ours: mine,
      peer,
      unit: 'messages/s',
      ratio: mine / peer,
      goal: `>= ${GOAL_PER_SECOND}`,
      met: mine >= GOAL_PER_SECOND,
    },
  ];
}
