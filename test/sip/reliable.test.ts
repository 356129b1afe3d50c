import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildResponse, type ParsedMessage } from '../../src/sip/message/index.ts';
import {
  endReliable,
  MAX_WAITING_PROVISIONALS,
  type ReliableClient,
  type ReliableServer,
  type RetransmissionEffect,
  receivePrack,
  receiveReliable,
  reliableDue,
  reliableServer,
  repeat2xx,
  repeatDue,
  sendReliable,
} from '../../src/sip/reliable.ts';
import { RFC3261_TIMERS as TIMERS } from '../../src/sip/transaction/index.ts';
import { parsed, request } from './support.ts';

function recorder(): { seen: string[]; out: { emit(effect: RetransmissionEffect): void } } {
  const seen: string[] = [];
  const emit = (effect: RetransmissionEffect): void => {
    if (effect.kind === 'transmit') seen.push(`send ${effect.wire}`);
    else seen.push(effect.kind === 'arm' ? `arm ${effect.afterMs}` : effect.kind);
  };
  return { seen, out: { emit } };
}

const prack = (rack: string): ParsedMessage =>
  parsed(request({ method: 'PRACK', cseq: 2, headers: `RAck: ${rack}\r\n` }));
const build = (rseq: number): string => `18x/${rseq}`;

// conformance: RFC 3262 3 — a reliable 1xx is repeated until PRACK; the next one waits for it
test('reliable provisional responses one after the other', () => {
  const { seen, out } = recorder();
  let state = sendReliable(reliableServer(1, 100), build, TIMERS, out)!;
  state = sendReliable(state, build, TIMERS, out)!;
  state = reliableDue(state, TIMERS, out);
  state = reliableDue(state, TIMERS, out);
  assert.deepEqual(seen, ['send 18x/100', 'arm 500', 'send 18x/100', 'arm 1000', 'send 18x/100', 'arm 2000']);
  seen.length = 0;
  for (const wrong of ['101 1 INVITE', '100 2 INVITE', '100 1 UPDATE', 'x']) {
    assert.equal(receivePrack(state, prack(wrong), TIMERS, out).matched, false, wrong);
  }
  const step = receivePrack(state, prack('100 1 INVITE'), TIMERS, out);
  assert.equal(step.matched, true);
  assert.deepEqual(seen, ['disarm', 'send 18x/101', 'arm 500']);
  assert.equal(receivePrack(step.state, prack('100 1 INVITE'), TIMERS, out).matched, false, 'a PRACK matches once');
  seen.length = 0;
  const ended = endReliable(step.state, out);
  assert.deepEqual(seen, ['disarm']);
  assert.equal(reliableDue(ended, TIMERS, out), ended);
});

test('without PRACK it is given up after 64 T1, and few may wait', () => {
  const { seen, out } = recorder();
  let state: ReliableServer | undefined = sendReliable(reliableServer(1, 1), build, TIMERS, out)!;
  let elapsedMs = 0;
  while (state.inFlight !== undefined) {
    elapsedMs += state.inFlight.intervalMs;
    state = reliableDue(state, TIMERS, out);
  }
  assert.equal(elapsedMs, 32_000);
  assert.equal(seen.at(-1), 'unacknowledged');
  state = sendReliable(reliableServer(1, 1), build, TIMERS, out);
  for (let i = 0; i < MAX_WAITING_PROVISIONALS; i++) state = sendReliable(state!, build, TIMERS, out);
  assert.equal(sendReliable(state!, build, TIMERS, out), undefined);
});

// conformance: RFC 3261 13.3.1.4 — a 2xx is repeated from T1 up to T2 until ACK, at most 64 T1
test('a 2xx that nobody acknowledges', () => {
  const { seen, out } = recorder();
  for (let state: ReturnType<typeof repeatDue> = repeat2xx('200', TIMERS, out); state !== undefined; )
    state = repeatDue(state, TIMERS, out);
  assert.equal(seen.filter((line) => line === 'send 200').length, 10);
  assert.deepEqual(seen.slice(0, 8), [
    'arm 500',
    'send 200',
    'arm 1000',
    'send 200',
    'arm 2000',
    'send 200',
    'arm 4000',
    'send 200',
  ]);
  assert.equal(seen.at(-1), 'unacknowledged');
});

// conformance: RFC 3262 4 — RSeq in order for each early dialog
test('the receiving side acknowledges in order, each fork on its own', () => {
  const ringing = (tag: string, rseq: number, require = '100rel'): ParsedMessage =>
    parsed(buildResponse(parsed(request()), 183, { toTag: tag, headers: `RSeq: ${rseq}\r\nRequire: ${require}\r\n` }));
  let state: ReliableClient = {};
  const step = (message: ParsedMessage): string => {
    const next = receiveReliable(state, message);
    state = next.state;
    return next.verdict.kind === 'acknowledge' ? next.verdict.rack : next.verdict.kind;
  };
  assert.equal(step(ringing('f1', 10)), '10 1 INVITE');
  assert.equal(step(ringing('f1', 10)), 'discard', 'repeated');
  assert.equal(step(ringing('f1', 12)), 'discard', 'ahead');
  assert.equal(step(ringing('f2', 77)), '77 1 INVITE');
  assert.equal(step(ringing('f1', 11)), '11 1 INVITE');
  assert.equal(step(ringing('f1', 12)), '12 1 INVITE');
  assert.equal(step(ringing('f1', 13, 'precondition')), 'unreliable');
  assert.equal(step(ringing('__proto__', 5)), '5 1 INVITE');
});
