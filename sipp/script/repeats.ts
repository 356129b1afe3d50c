import type { Receive, Send, Step } from './steps.ts';

/** What a scenario needs beside its steps, so that messages which come once more fail no call. */
export interface Repeats {
  /** `<recv>` elements that stand before the step of that index. */
  before(at: number): readonly string[];
  /** Attributes of the `<send>` or `<recv>` of that index. */
  attributesOf(at: number): string;
}

/**
 * Where which message may come once more. Any end repeats what it got no answer to within T1 (500 ms), which happens on
 * a machine that others keep busy, and RFC 3261 17 obliges everybody to put up with it. SIPp does so only for the last
 * message received, and only until it has sent two since; all others it takes for unexpected, or worse, for the message
 * that it waits for.
 *
 * - an INVITE until its ACK, and any request behind two answers (200 to CANCEL, 487): passed over, because SIPp's own
 *   timer repeats the last answer;
 * - an ACK, sent once more because a 200 of ours was on its way once more;
 * - the 200 of an INVITE that has its ACK already, told from other 200s by the INVITE's branch (a SIPp transaction).
 */
export function repeatsOf(steps: readonly Step[]): Repeats {
  const before = new Map<number, string[]>();
  const attributes = new Map<number, string>();
  const invites = new Map<string, number>();
  const responses = responsesOf(steps);
  let received: Receive | undefined;
  let sent = 0;
  let seenAck = false;
  /** The last final response other than 200: it comes again when its request did. */
  let refusal: number | undefined;
  /** One came and has not got its ACK yet. */
  let openInvite = false;
  let acked: { readonly invite: number; readonly ack: number; readonly name: string } | undefined;
  for (const [at, step] of steps.entries()) {
    if (step.kind === 'send') {
      sent++;
      if (step.name?.startsWith('INVITE ')) invites.set(step.name.slice('INVITE '.length), at);
      const number = cseqOfAck(step);
      const invite = invites.get(number);
      if (invite !== undefined) acked = { invite, ack: at, name: `invite${number}` };
    } else if (step.kind === 'receive') {
      const passed: string[] = [];
      const forgotten = sent > 1 && typeof received?.what === 'string' && received.what !== 'ACK' ? received.what : '';
      const { what } = step;
      if (openInvite && what !== 'INVITE') passed.push('<recv request="INVITE" optional="true" />');
      if (forgotten !== '' && forgotten !== 'INVITE' && forgotten !== what)
        passed.push(`<recv request="${forgotten}" optional="true" />`);
      if (refusal !== undefined && refusal !== what) passed.push(`<recv response="${refusal}" optional="true" />`);
      if (seenAck && what !== 'ACK') passed.push('<recv request="ACK" optional="true" />');
      if (acked !== undefined) {
        passed.push(`<recv response="200" response_txn="${acked.name}" optional="true" />`);
        attributes.set(acked.invite, ` start_txn="${acked.name}"`);
        attributes.set(acked.ack, ` ack_txn="${acked.name}"`);
        // SIPp matches the responses of a transaction by its name only.
        for (const response of responses.get(acked.invite) ?? [])
          attributes.set(response, ` response_txn="${acked.name}"`);
      }
      before.set(at, passed);
      if (typeof step.what === 'number' && step.what > 200 && step.optional !== true) refusal = step.what;
      seenAck ||= step.what === 'ACK';
      openInvite = step.what === 'INVITE' || (openInvite && step.what !== 'ACK');
      received = step;
      sent = 0;
    }
  }
  return { before: (at) => before.get(at) ?? [], attributesOf: (at) => attributes.get(at) ?? '' };
}

/** By the index of each request that arrives: the steps that wait for its responses. */
function responsesOf(steps: readonly Step[]): ReadonlyMap<number, readonly number[]> {
  const found = new Map<number, number[]>();
  /** Requests that have no final response yet, the newest last. */
  let open: number[] = [];
  const isInvite = (at: number) => (steps[at] as Send).message.startsWith('INVITE ');
  for (const [at, step] of steps.entries()) {
    if (step.kind === 'send' && !step.lost && !/^(SIP\/2\.0|ACK) /.test(step.message)) open.push(at);
    if (step.kind !== 'receive' || typeof step.what !== 'number') continue;
    const request = step.what < 200 ? open.findLast(isInvite) : open.at(-1);
    if (request === undefined) continue;
    found.set(request, [...(found.get(request) ?? []), at]);
    if (step.what >= 200 && step.optional !== true) open = open.filter((other) => other !== request);
  }
  return found;
}

/** CSeq number of the ACK of a 2xx; '' for other messages. That of a failure has its INVITE's branch. */
function cseqOfAck(step: Send): string {
  if (step.branchOf !== undefined || !step.message.startsWith('ACK ')) return '';
  return /^CSeq: (\d+) ACK$/m.exec(step.message)?.[1] ?? '';
}
