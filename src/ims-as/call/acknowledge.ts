import { arm, disarm, dropExchange, type Turn } from './turn.ts';
import type { Exchange, LegName } from './types.ts';

/**
 * Sends a 2xx. One to an INVITE is ours to repeat until its ACK comes (RFC 3261 13.3.1.4), on each leg for itself:
 * `own` says that we made it and its ACK ends here.
 */
export function respond2xx(turn: Turn, exchange: Exchange, status: number, wire: string, fork: number, own: boolean) {
  const { call, env, out } = turn;
  if (exchange.server === null || exchange.answered !== 0) return;
  exchange.answered = status;
  out.emit({ kind: 'respond', key: exchange.server, status, wire });
  if (exchange.method !== 'INVITE') return dropExchange(call, exchange);
  if (own) dropExchange(call, exchange);
  const { t1Ms } = env.config;
  call.unacknowledged = {
    server: exchange.server,
    leg: exchange.from,
    fork,
    cseq: exchange.cseqIn,
    wire,
    own,
    intervalMs: t1Ms,
    giveUpMs: env.nowMs + 64 * t1Ms,
  };
  arm(turn, 'retransmit', env.nowMs + t1Ms);
}

/** The ACK came: true if it is the one that our 2xx waited for. */
export function acknowledged(turn: Turn, leg: LegName, cseq: number): boolean {
  const waiting = turn.call.unacknowledged;
  if (waiting === null || waiting.leg !== leg || waiting.cseq !== cseq) return false;
  turn.call.unacknowledged = null;
  disarm(turn, 'retransmit');
  return true;
}

/** False: 64 * T1 have passed without an ACK. */
export function repeat2xx(turn: Turn): boolean {
  const { call, env, out } = turn;
  const waiting = call.unacknowledged;
  if (waiting === null) return true;
  if (env.nowMs >= waiting.giveUpMs) {
    call.unacknowledged = null;
    return false;
  }
  out.emit({ kind: 'respond', key: waiting.server, status: 200, wire: waiting.wire });
  waiting.intervalMs = Math.min(waiting.intervalMs * 2, env.config.t2Ms);
  arm(turn, 'retransmit', Math.min(env.nowMs + waiting.intervalMs, waiting.giveUpMs));
  return true;
}
