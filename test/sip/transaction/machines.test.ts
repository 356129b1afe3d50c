import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type InviteClient,
  type InviteClientEvent,
  inviteClient,
  startInviteClient,
} from '../../../src/sip/transaction/invite-client.ts';
import {
  type InviteServer,
  type InviteServerEvent,
  inviteServer,
  NEW_INVITE_SERVER,
} from '../../../src/sip/transaction/invite-server.ts';
import {
  type NonInviteClient,
  type NonInviteClientEvent,
  nonInviteClient,
  startNonInviteClient,
} from '../../../src/sip/transaction/non-invite-client.ts';
import {
  NEW_NON_INVITE_SERVER,
  type NonInviteServer,
  type NonInviteServerEvent,
  nonInviteServer,
} from '../../../src/sip/transaction/non-invite-server.ts';
import {
  RFC3261_TIMERS,
  type TransactionEffect,
  type TransactionEnvironment,
  type TransactionSink,
} from '../../../src/sip/transaction/timing.ts';

const UDP: TransactionEnvironment = { ...RFC3261_TIMERS, reliable: false };
const TCP: TransactionEnvironment = { ...RFC3261_TIMERS, reliable: true };

/** `send INVITE`, `arm A 500`, `disarm B`, `pass`, `failed timeout`. */
function words(effect: TransactionEffect): string {
  switch (effect.kind) {
    case 'transmit':
      return `send ${effect.wire}`;
    case 'arm':
      return `arm ${effect.timer} ${effect.afterMs}`;
    case 'disarm':
      return `disarm ${effect.timer}`;
    case 'failed':
      return `failed ${effect.reason}`;
    case 'pass':
      return 'pass';
  }
}

type Machine<S, E> = (state: S, event: E, env: TransactionEnvironment, out: TransactionSink) => S;

/** One step: state before, event, state after, effects. */
type Row<S extends { state: string }, E> = readonly [
  from: S,
  event: E,
  to: S['state'],
  effects: readonly string[],
  env?: TransactionEnvironment,
];

function table<S extends { state: string }, E extends { kind: string }>(
  name: string,
  machine: Machine<S, E>,
  rows: readonly Row<S, E>[],
): void {
  for (const [from, event, to, effects, env = UDP] of rows) {
    const detail = Object.values(event).join(' ');
    test(`${name}: ${from.state} + ${detail}${env.reliable ? ' over TCP' : ''} -> ${String(to)}`, () => {
      const seen: string[] = [];
      const next = machine(from, event, env, { emit: (effect) => seen.push(words(effect)) });
      assert.equal(next.state, to);
      assert.deepEqual(seen, effects);
    });
  }
}

const timer = <T extends string>(name: T): { kind: 'timer'; timer: T } => ({ kind: 'timer', timer: name });
const transportFailed = { kind: 'transportFailed' } as const;

const got = (status: number): InviteClientEvent => ({ kind: 'response', status, ack: status >= 300 ? 'ACK' : '' });
const calling: InviteClient = { state: 'calling', wire: 'INVITE', intervalMs: 500 };
const icProceeding: InviteClient = { state: 'proceeding', wire: 'INVITE' };
const icCompleted: InviteClient = { state: 'completed', ack: 'ACK' };
// conformance: RFC 3261 17.1.1, RFC 6026 7.2 — INVITE client transaction
table<InviteClient, InviteClientEvent>('INVITE client', inviteClient, [
  [calling, timer('A'), 'calling', ['send INVITE', 'arm A 1000']],
  [calling, timer('B'), 'terminated', ['disarm A', 'disarm B', 'failed timeout']],
  [calling, transportFailed, 'terminated', ['disarm A', 'disarm B', 'failed transport']],
  [calling, { kind: 'cancelled' }, 'calling', []],
  [calling, got(180), 'proceeding', ['disarm A', 'disarm B', 'pass']],
  [calling, got(200), 'accepted', ['disarm A', 'disarm B', 'arm M 32000', 'pass']],
  [calling, got(486), 'completed', ['disarm A', 'disarm B', 'send ACK', 'arm D 32000', 'pass']],
  [calling, got(486), 'terminated', ['disarm A', 'disarm B', 'send ACK', 'pass'], TCP],
  [icProceeding, got(183), 'proceeding', ['pass']],
  [icProceeding, got(200), 'accepted', ['disarm B', 'arm M 32000', 'pass']],
  [icProceeding, got(500), 'completed', ['disarm B', 'send ACK', 'arm D 32000', 'pass']],
  [icProceeding, transportFailed, 'proceeding', []],
  [icProceeding, { kind: 'cancelled' }, 'proceeding', ['arm B 32000']],
  [icProceeding, timer('B'), 'terminated', ['disarm A', 'disarm B', 'failed timeout']],
  [icCompleted, got(486), 'completed', ['send ACK']],
  [icCompleted, got(200), 'completed', []],
  [icCompleted, got(180), 'completed', []],
  [icCompleted, timer('D'), 'terminated', []],
  [icCompleted, transportFailed, 'terminated', ['disarm D']],
  [{ state: 'accepted' }, got(200), 'accepted', ['pass']],
  [{ state: 'accepted' }, got(486), 'accepted', []],
  [{ state: 'accepted' }, timer('M'), 'terminated', []],
]);

test('INVITE client: A doubles until B', () => {
  let state: InviteClient = startInviteClient('INVITE', UDP, { emit: () => undefined });
  const intervals: number[] = [];
  for (let i = 0; i < 6; i++) {
    state = inviteClient(state, timer('A'), UDP, {
      emit: (effect) => effect.kind === 'arm' && intervals.push(effect.afterMs),
    });
  }
  assert.deepEqual(intervals, [1000, 2000, 4000, 8000, 16000, 32000]);
});

const trying: NonInviteClient = { state: 'trying', wire: 'BYE', intervalMs: 500 };
const ncProceeding: NonInviteClient = { state: 'proceeding', wire: 'BYE' };
const answer = (status: number): NonInviteClientEvent => ({ kind: 'response', status });
// conformance: RFC 3261 17.1.2 — non-INVITE client transaction
table<NonInviteClient, NonInviteClientEvent>('non-INVITE client', nonInviteClient, [
  [trying, timer('E'), 'trying', ['send BYE', 'arm E 1000']],
  [{ ...trying, intervalMs: 4000 } as NonInviteClient, timer('E'), 'trying', ['send BYE', 'arm E 4000']],
  [trying, timer('F'), 'terminated', ['disarm E', 'disarm F', 'failed timeout']],
  [trying, transportFailed, 'terminated', ['disarm E', 'disarm F', 'failed transport']],
  [trying, answer(100), 'proceeding', ['pass']],
  [trying, answer(200), 'completed', ['disarm E', 'disarm F', 'arm K 5000', 'pass']],
  [trying, answer(404), 'terminated', ['disarm E', 'disarm F', 'pass'], TCP],
  [ncProceeding, timer('E'), 'proceeding', ['send BYE', 'arm E 4000']],
  [ncProceeding, timer('F'), 'terminated', ['disarm E', 'disarm F', 'failed timeout']],
  [ncProceeding, answer(200), 'completed', ['disarm E', 'disarm F', 'arm K 5000', 'pass']],
  [{ state: 'completed' }, answer(200), 'completed', []],
  [{ state: 'completed' }, timer('K'), 'terminated', []],
]);

const isProceeding: InviteServer = { state: 'proceeding', last: '180' };
const isCompleted: InviteServer = { state: 'completed', last: '486', intervalMs: 500 };
const send = (status: number): { kind: 'respond'; status: number; wire: string } => ({
  kind: 'respond',
  status,
  wire: String(status),
});
const again = { kind: 'request' } as const;
// conformance: RFC 3261 17.2.1, RFC 6026 7.1 — INVITE server transaction
table<InviteServer, InviteServerEvent>('INVITE server', inviteServer, [
  [NEW_INVITE_SERVER, again, 'proceeding', []],
  [NEW_INVITE_SERVER, send(180), 'proceeding', ['send 180']],
  [isProceeding, again, 'proceeding', ['send 180']],
  [isProceeding, transportFailed, 'proceeding', ['failed transport']],
  [isProceeding, send(200), 'accepted', ['send 200', 'arm L 32000']],
  [isProceeding, send(486), 'completed', ['send 486', 'arm G 500', 'arm H 32000']],
  [isProceeding, send(486), 'completed', ['send 486', 'arm H 32000'], TCP],
  [isProceeding, { kind: 'ack' }, 'proceeding', []],
  [isCompleted, again, 'completed', ['send 486']],
  [isCompleted, timer('G'), 'completed', ['send 486', 'arm G 1000']],
  [{ ...isCompleted, intervalMs: 4000 } as InviteServer, timer('G'), 'completed', ['send 486', 'arm G 4000']],
  [isCompleted, timer('H'), 'terminated', ['disarm G', 'failed timeout']],
  [isCompleted, { kind: 'ack' }, 'confirmed', ['disarm G', 'disarm H', 'arm I 5000']],
  [isCompleted, { kind: 'ack' }, 'terminated', ['disarm G', 'disarm H'], TCP],
  [isCompleted, send(500), 'completed', []],
  [isCompleted, transportFailed, 'completed', ['failed transport']],
  [{ state: 'confirmed' }, { kind: 'ack' }, 'confirmed', []],
  [{ state: 'confirmed' }, again, 'confirmed', []],
  [{ state: 'confirmed' }, timer('I'), 'terminated', []],
  [{ state: 'accepted' }, again, 'accepted', []],
  [{ state: 'accepted' }, send(200), 'accepted', ['send 200']],
  [{ state: 'accepted' }, send(486), 'accepted', []],
  [{ state: 'accepted' }, { kind: 'ack' }, 'accepted', ['pass']],
  [{ state: 'accepted' }, transportFailed, 'accepted', ['failed transport']],
  [{ state: 'accepted' }, timer('L'), 'terminated', []],
]);

const nsProceeding: NonInviteServer = { state: 'proceeding', last: '100' };
const nsCompleted: NonInviteServer = { state: 'completed', last: '200' };
// conformance: RFC 3261 17.2.2 — non-INVITE server transaction
table<NonInviteServer, NonInviteServerEvent>('non-INVITE server', nonInviteServer, [
  [NEW_NON_INVITE_SERVER, again, 'trying', []],
  [NEW_NON_INVITE_SERVER, send(100), 'proceeding', ['send 100']],
  [NEW_NON_INVITE_SERVER, send(200), 'completed', ['send 200', 'arm J 32000']],
  [NEW_NON_INVITE_SERVER, send(200), 'terminated', ['send 200'], TCP],
  [nsProceeding, again, 'proceeding', ['send 100']],
  [nsProceeding, transportFailed, 'terminated', ['failed transport']],
  [nsCompleted, again, 'completed', ['send 200']],
  [nsCompleted, send(500), 'completed', []],
  [nsCompleted, transportFailed, 'terminated', ['disarm J', 'failed transport']],
  [nsCompleted, timer('J'), 'terminated', []],
]);

/** What a machine has armed and told so far, over any order of events. */
interface Trace {
  readonly armed: Set<string>;
  passes: number;
  failures: number;
}

/**
 * Runs `events` in any order. A timer event is delivered only while it is armed, as the layer does. Checks after each
 * step that a terminated machine has nothing armed and does nothing more.
 */
function run<S extends { state: string }, E extends { kind: string }>(
  machine: Machine<S, E>,
  first: (out: TransactionSink) => S,
  events: readonly E[],
  env: TransactionEnvironment,
): Trace {
  const trace: Trace = { armed: new Set(), passes: 0, failures: 0 };
  let emitted = 0;
  const out: TransactionSink = {
    emit(effect) {
      emitted++;
      if (effect.kind === 'arm') {
        assert.ok(effect.afterMs > 0);
        trace.armed.add(effect.timer);
      } else if (effect.kind === 'disarm') trace.armed.delete(effect.timer);
      else if (effect.kind === 'pass') trace.passes++;
      else if (effect.kind === 'failed') trace.failures++;
    },
  };
  let state = first(out);
  for (const event of events) {
    const name = 'timer' in event ? String(event.timer) : undefined;
    if (name !== undefined && !trace.armed.delete(name)) continue;
    const before = state.state;
    emitted = 0;
    state = machine(state, event, env, out);
    if (before === 'terminated') assert.equal(emitted, 0, 'a terminated machine is silent');
    if (state.state === 'terminated') assert.deepEqual([...trace.armed], [], 'nothing is armed after the end');
    else if (env.reliable === false && !['proceeding', 'trying'].includes(state.state)) {
      assert.ok(trace.armed.size > 0, `${state.state} must end by itself`);
    }
  }
  return trace;
}

const environment = fc.constantFrom(UDP, TCP);
const status = fc.constantFrom(100, 180, 200, 299, 302, 486, 603);

test('property: any order of events keeps the invariants of the clients', () => {
  const inviteEvent = fc.oneof(
    status.map(got),
    fc.constantFrom('A', 'B', 'D', 'M').map((name) => timer(name as 'A')),
    fc.constant({ kind: 'cancelled' } as const),
    fc.constant(transportFailed),
  );
  fc.assert(
    fc.property(fc.array(inviteEvent, { maxLength: 30 }), environment, (events, env) => {
      const trace = run<InviteClient, InviteClientEvent>(
        inviteClient,
        (out) => startInviteClient('INVITE', env, out),
        events,
        env,
      );
      assert.ok(trace.failures <= 1);
    }),
    { numRuns: 1000 },
  );
  const otherEvent = fc.oneof(
    status.map(answer),
    fc.constantFrom('E', 'F', 'K').map((name) => timer(name as 'E')),
    fc.constant(transportFailed),
  );
  fc.assert(
    fc.property(fc.array(otherEvent, { maxLength: 30 }), environment, (events, env) => {
      const trace = run<NonInviteClient, NonInviteClientEvent>(
        nonInviteClient,
        (out) => startNonInviteClient('BYE', env, out),
        events,
        env,
      );
      assert.ok(trace.failures <= 1);
      const finals = events.filter((event) => event.kind === 'response' && event.status >= 200).length;
      assert.ok(
        trace.passes <= events.filter((event) => event.kind === 'response').length - Math.max(0, finals - 1),
        'final responses are passed once',
      );
    }),
    { numRuns: 1000 },
  );
});

test('property: any order of events keeps the invariants of the servers', () => {
  const common = fc.oneof(status.map(send), fc.constant(again), fc.constant(transportFailed));
  const inviteEvent = fc.oneof(
    common,
    fc.constant({ kind: 'ack' } as const),
    fc.constantFrom('G', 'H', 'I', 'L').map((name) => timer(name as 'G')),
  );
  fc.assert(
    fc.property(fc.array(inviteEvent, { maxLength: 30 }), environment, (events, env) => {
      run<InviteServer, InviteServerEvent>(inviteServer, () => NEW_INVITE_SERVER, events, env);
    }),
    { numRuns: 1000 },
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(common, fc.constant(timer('J'))), { maxLength: 30 }), environment, (events, env) => {
      const trace = run<NonInviteServer, NonInviteServerEvent>(
        nonInviteServer,
        () => NEW_NON_INVITE_SERVER,
        events,
        env,
      );
      assert.equal(trace.passes, 0);
    }),
    { numRuns: 1000 },
  );
});
