import { parseVia } from '../../sip/message/index.ts';
import { ownRequest, ownResponse } from '../b2bua/compose.ts';
import { endCall } from './end.ts';
import type { Turn } from './turn.ts';
import { type Exchange, otherLeg } from './types.ts';

/** RFC 3261 21.5.1. The caller may try again at once. */
const STATUS = 500;

/**
 * A restarted process found this call before its answer. Its transactions are gone with the process, so both sides are
 * told without: a stateless final response, and a CANCEL that names the INVITE by its branch (RFC 3261 9.1).
 */
export function cutOff(turn: Turn): void {
  const { call } = turn;
  for (const exchange of [...call.exchanges]) {
    refuse(turn, exchange);
    if (exchange.branch === '') call.exchanges.splice(call.exchanges.indexOf(exchange), 1);
    else cancel(turn, exchange);
  }
  endCall(turn, 'cut off by a restart');
}

function refuse({ call, out }: Turn, exchange: Exchange): void {
  exchange.answered = STATUS;
  const tag = call.forks[0]!.dialogs[exchange.from].localTag;
  const nextHop = replyTo(exchange.reply);
  if (nextHop !== undefined) out.emit({ kind: 'transmit', wire: ownResponse(exchange, STATUS, tag), nextHop });
}

function cancel({ call, env, out }: Turn, exchange: Exchange): void {
  const { start } = call;
  if (start === null) return;
  // It stays open: a 2xx that crosses the CANCEL is acknowledged and ended (RFC 3261 15).
  exchange.cancelled = true;
  const leg = otherLeg(exchange.from);
  const { branch, cseqOut: cseq } = exchange;
  const dialog = { ...call.forks[0]!.dialogs[leg], ...start, remoteTag: '' };
  const wire = ownRequest(call, 'CANCEL', { leg, dialog, branch, cseq }, env);
  out.emit({ kind: 'request', branch, method: 'CANCEL', wire, nextHop: start.nextHop });
}

/** Where responses to the top Via go (RFC 3261 18.2.2, RFC 3581 4). */
function replyTo(reply: string): string | undefined {
  const via = /^(?:via|v)\s*:\s*([^\r\n]*)/im.exec(reply)?.[1];
  const top = via === undefined ? undefined : parseVia(via);
  if (top === undefined) return undefined;
  const port = Number(top.params.get('rport')) || top.port;
  const host = top.params.get('received') ?? top.host;
  const literal = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  return `sip:${literal}${port === 0 ? '' : `:${port}`};transport=${top.transport.toLowerCase()}`;
}
