import type { Sink } from '../../base/environment.ts';
import { parseMessage } from '../../sip/message/index.ts';
import type { SipMessage } from '../../sip/types.ts';
import { ownResponse } from '../b2bua/compose.ts';
import { mintBranch } from '../b2bua/identity.ts';
import { supportsMultiplexing } from '../b2bua/party.ts';
import {
  type Call,
  type CallEffect,
  type CallEnvironment,
  type DeadlineName,
  type Exchange,
  type Fork,
  type LegName,
  MAX_NOTES,
  otherLeg,
} from './types.ts';

/** One event of one call, from its arrival to completion (R16). */
export interface Turn {
  readonly call: Call;
  readonly env: CallEnvironment;
  readonly out: Sink<CallEffect>;
}

export function arm(turn: Turn, name: DeadlineName, atMs: number): void {
  turn.call.deadlines[name] = atMs;
  turn.out.emit({ kind: 'arm', name, atMs });
}

/** The edge forgets lazily: a deadline that the call no longer holds is not delivered. */
export function disarm(turn: Turn, name: DeadlineName): void {
  turn.call.deadlines[name] = undefined;
}

export function note(turn: Turn, text: string): void {
  const { notes } = turn.call.record;
  if (notes.length < MAX_NOTES) notes.push(text.slice(0, 200));
}

export function nextBranch(call: Call): string {
  return mintBranch(call.id, call.serial++);
}

export function exchangeById(call: Call, id: number): Exchange | undefined {
  return call.exchanges.find((exchange) => exchange.id === id);
}

export function dropExchange(call: Call, exchange: Exchange): void {
  const at = call.exchanges.indexOf(exchange);
  if (at >= 0) call.exchanges.splice(at, 1);
}

/** The tag that the peer of `exchange` knows us by, in the dialog of `fork`. */
export function localTag(call: Call, exchange: Exchange, fork: number): string {
  return (call.forks[fork] ?? call.forks[0]!).dialogs[exchange.from].localTag;
}

/** Answers `exchange` ourselves, once. `headers` are whole lines. */
export function answer(turn: Turn, exchange: Exchange, status: number, headers = '', body = ''): void {
  if (exchange.server === null || exchange.answered !== 0) return;
  if (status >= 200) exchange.answered = status;
  const tag = status === 100 ? '' : localTag(turn.call, exchange, exchange.fork);
  turn.out.emit({
    kind: 'respond',
    key: exchange.server,
    status,
    wire: ownResponse(exchange, status, tag, headers, body),
  });
  // One that was passed on stays until its own final response.
  if (status >= 200 && exchange.branch === '') dropExchange(turn.call, exchange);
}

/** An offer comes from `leg`: whether that peer said that it multiplexes, in this Contact or an earlier one. */
export function learnMultiplexing({ call, env }: Turn, leg: LegName): void {
  if (call.media === null || !env.config.multiplexing) return;
  // What we show to one side is what the other side said.
  if (supportsMultiplexing(call.legs[otherLeg(leg)].contactParams)) call.media.multiplexing[leg] = true;
}

/** The message will be needed again: its text is state, and what was read of it is kept until then, or a restart. */
export function hold(exchange: Exchange, message: SipMessage): void {
  // Each message is decoded by itself: its text keeps nothing else alive.
  exchange.raw = message.raw;
  held.set(exchange, message);
}

const held = new WeakMap<Exchange, SipMessage>();

/** The message that an exchange still needs; the next time it is read again. */
export function heldMessage(exchange: Exchange): SipMessage | undefined {
  const message = held.get(exchange);
  held.delete(exchange);
  if (message !== undefined) return message;
  const parsed = exchange.raw === '' ? undefined : parseMessage(exchange.raw);
  return parsed !== undefined && 'message' in parsed ? parsed.message : undefined;
}

/** The fork that a request in the dialog on `leg` belongs to. */
export function forkOfRequest(call: Call, leg: LegName, message: SipMessage): Fork | undefined {
  return call.forks.find(
    ({ dialogs }) => dialogs[leg].localTag === message.toTag && dialogs[leg].remoteTag === message.fromTag,
  );
}

/** The fork whose SDP and dialogs speak for the session. */
export function sessionFork(call: Call): number {
  return call.winner < 0 ? 0 : call.winner;
}
