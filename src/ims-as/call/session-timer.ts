import { parseDeltaSeconds, parseSessionExpires } from '../../sip/message/values.ts';
import type { SipMessage } from '../../sip/types.ts';
import { arm, disarm, type Turn } from './turn.ts';
import { type Exchange, type LegName, otherLeg } from './types.ts';

/** RFC 4028 4: no interval is shorter. */
const MIN_SECONDS = 90;

/**
 * RFC 4028: the timer runs per leg; whoever refreshes, its message comes through here and starts it again. A 2xx that says
 * nothing of it has turned it off (7.2).
 */
export function watchSession(turn: Turn, exchange: Exchange, message: SipMessage): void {
  if (message.method !== 'INVITE' && message.method !== 'UPDATE') return;
  const { call, env } = turn;
  const value = message.first('session-expires');
  if (value === undefined) {
    call.session = null;
    disarm(turn, 'session');
    return;
  }
  const said = parseSessionExpires(value);
  if (said === undefined) return;
  const refresher = said.refresher === 'uas' ? otherLeg(exchange.from) : exchange.from;
  call.session = { refresher, minSeconds: call.session?.minSeconds ?? MIN_SECONDS };
  arm(turn, 'session', env.nowMs + Math.max(MIN_SECONDS, said.seconds) * 1000);
}

/**
 * Header lines of an offer of ours to `leg`. It refreshes that leg alone, so what is left of the interval is said: the
 * refresh that the other leg waits for comes in time, and from the same peer.
 */
export function sessionLines({ call, env }: Turn, leg: LegName): string {
  const untilMs = call.deadlines.session;
  if (call.session === null || untilMs === undefined) return '';
  const { minSeconds, refresher } = call.session;
  const seconds = Math.max(minSeconds, Math.ceil((untilMs - env.nowMs) / 1000));
  return `Supported: timer\r\nSession-Expires: ${seconds};refresher=${refresher === leg ? 'uas' : 'uac'}\r\n`;
}

/**
 * Header lines of a 2xx of ours to a request that is no refresh. Without Session-Expires it would turn the timer of that
 * peer off (RFC 4028 7.2), and the other one, whom nobody refreshes any more, would end the call. What is left of the
 * interval is said, as in `sessionLines`. Undefined: this request cannot be told so, and its answer must be the other peer's.
 */
export function sessionKept({ call, env }: Turn, from: LegName, request: SipMessage): string | undefined {
  const untilMs = call.deadlines.session;
  if (call.session === null || untilMs === undefined) return '';
  const { minSeconds, refresher } = call.session;
  const seconds = Math.ceil((untilMs - env.nowMs) / 1000);
  if (seconds < minSeconds) return undefined;
  if (refresher !== from) return `Session-Expires: ${seconds};refresher=uas\r\n`;
  // RFC 4028 9: it refreshes only if it knows how to.
  if (!request.list('supported').some((option) => option.toLowerCase() === 'timer')) return undefined;
  return `Require: timer\r\nSession-Expires: ${seconds};refresher=uac\r\n`;
}

/** 422 to an offer of ours (RFC 4028 7.3): the next one asks for no less than that peer wants. */
export function learnMinimum({ call }: Turn, message: SipMessage): void {
  const value = /^[^;]*/.exec(message.first('min-se') ?? '')?.[0].trim() ?? '';
  const minSeconds = parseDeltaSeconds(value);
  if (call.session !== null && minSeconds !== undefined)
    call.session = { ...call.session, minSeconds: Math.max(MIN_SECONDS, minSeconds) };
}
