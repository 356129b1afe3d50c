import type { ClientKey, Destination, ServerKey, TransactionTimerHandle } from '../types.ts';
import { type InviteClient, type InviteClientEvent, inviteClient, startInviteClient } from './invite-client.ts';
import { type InviteServer, type InviteServerEvent, inviteServer, NEW_INVITE_SERVER } from './invite-server.ts';
import {
  type NonInviteClient,
  type NonInviteClientEvent,
  nonInviteClient,
  startNonInviteClient,
} from './non-invite-client.ts';
import {
  NEW_NON_INVITE_SERVER,
  type NonInviteServer,
  type NonInviteServerEvent,
  nonInviteServer,
} from './non-invite-server.ts';
import type { TransactionEffect, TransactionEnvironment, TransactionSink, TransactionTimer } from './timing.ts';

type ServerMachine =
  | { readonly kind: 'invite'; state: InviteServer }
  | { readonly kind: 'other'; state: NonInviteServer };
type ClientMachine =
  | { readonly kind: 'invite'; state: InviteClient }
  | { readonly kind: 'other'; state: NonInviteClient };

/** A timer of one transaction. It knows its owner: one that comes too late finds that over, never another in its place. */
export class RecordTimer implements TransactionTimerHandle {
  readonly record: Server | Client;
  readonly name: TransactionTimer;
  /** Of the same record. */
  readonly next: RecordTimer | undefined;
  armed: TransactionTimerHandle['armed'];

  constructor(record: Server | Client, name: TransactionTimer) {
    this.record = record;
    this.name = name;
    this.next = record.timers;
    this.armed = undefined;
  }
}

/** The record's timer of that name; there are at most three. */
export function timerOf(record: Server | Client, name: TransactionTimer): RecordTimer {
  for (let timer = record.timers; timer !== undefined; timer = timer.next) if (timer.name === name) return timer;
  record.timers = new RecordTimer(record, name);
  return record.timers;
}

/** One server transaction of the layer. Outlives its request: holds no part of it. */
export interface Server {
  readonly side: 'server';
  readonly key: ServerKey;
  /** The newest of a chain: a list would have room for more than there ever are, 32 s long. */
  timers: RecordTimer | undefined;
  readonly to: Destination;
  readonly env: TransactionEnvironment;
  /** '' for requests inside a dialog. */
  readonly merge: string;
  readonly machine: ServerMachine;
  /** A CANCEL has been told to the user. */
  cancelled: boolean;
}

/** One client transaction of the layer. */
export interface Client {
  readonly side: 'client';
  readonly key: ClientKey;
  /** As with `Server`. */
  timers: RecordTimer | undefined;
  readonly to: Destination;
  readonly env: TransactionEnvironment;
  readonly branch: string;
  readonly machine: ClientMachine;
  /** A CANCEL of the layer's own: the user hears nothing of it. */
  readonly internal: boolean;
  /** Header lines of a CANCEL that waits for the first 1xx; undefined when none waits. */
  cancelWaits: string | undefined;
  cancelSent: boolean;
}

export function newServerMachine(method: string): ServerMachine {
  return method === 'INVITE'
    ? { kind: 'invite', state: NEW_INVITE_SERVER }
    : { kind: 'other', state: NEW_NON_INVITE_SERVER };
}

export function newClientMachine(
  method: string,
  wire: string,
  env: TransactionEnvironment,
  out: TransactionSink,
): ClientMachine {
  return method === 'INVITE'
    ? { kind: 'invite', state: startInviteClient(wire, env, out) }
    : { kind: 'other', state: startNonInviteClient(wire, env, out) };
}

export type TimerEvent = { readonly kind: 'timer'; readonly timer: TransactionTimer };
export type ServerEvent = Exclude<InviteServerEvent | NonInviteServerEvent, { kind: 'timer' }> | TimerEvent;
export type ClientEvent = Exclude<InviteClientEvent | NonInviteClientEvent, { kind: 'timer' }> | TimerEvent;

/** Runs one event and returns its effects. A timer event is always one that this machine armed, hence the narrowing. */
export function stepServer({ machine, env }: Server, event: ServerEvent): TransactionEffect[] {
  const effects: TransactionEffect[] = [];
  const out = collector(effects);
  if (machine.kind === 'invite') machine.state = inviteServer(machine.state, event as InviteServerEvent, env, out);
  else machine.state = nonInviteServer(machine.state, event as NonInviteServerEvent, env, out);
  return effects;
}

export function stepClient({ machine, env }: Client, event: ClientEvent): TransactionEffect[] {
  const effects: TransactionEffect[] = [];
  const out = collector(effects);
  if (machine.kind === 'invite') machine.state = inviteClient(machine.state, event as InviteClientEvent, env, out);
  else machine.state = nonInviteClient(machine.state, event as NonInviteClientEvent, env, out);
  return effects;
}

/** Effects are collected and performed after the new state is in place: the user may call back at once. */
export function collector(effects: TransactionEffect[]): TransactionSink {
  return { emit: (effect) => void effects.push(effect) };
}
