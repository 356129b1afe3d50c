import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AsHarness, originate, relay, terminate } from '../as-harness.ts';
import { ANSWER_AUDIO, ANSWER_SESSION, APPLICATION, E1, section } from '../sdp-examples.ts';

const ORIGINATING = { ...terminate('m1', 0), ...relay('m2', 100), ...originate('d-1', 100, 'remote') };
const ANSWER =
  ANSWER_SESSION +
  ANSWER_AUDIO +
  section(42000, 'passive', 'calleetlsid000000m2x', ['100 subprotocol="http"'], ['a=3gpp-bdc-used-by:sender']) +
  section(42002, 'active', 'calleetlsid000000d1x', ['100 subprotocol="http"'], ['a=3gpp-bdc-used-by:receiver']);

/** A call with data channels up to the onward INVITE; its MF has answered the POST. */
async function ringing(as: AsHarness) {
  const invite = as.invite({ sdp: E1 });
  const result = as.instruct(ORIGINATING);
  as.mfAnswers();
  await result;
  as.notified();
  return { invite, onward: as.only().message };
}

// conformance: R15 — 18x, 2xx, BYE and CANCEL never wait for DC1 or DC2
/** Answered and acknowledged; the MF has nothing left to answer. */
async function talking(as: AsHarness) {
  const { onward } = await ringing(as);
  as.respond(onward, 200, { sdp: ANSWER });
  const ok = as.only().message;
  as.inDialog('ACK', 'caller', ok, 7);
  as.take();
  as.mfAnswers();
  return { onward, ok };
}

describe('what never waits for DCSF or MF', () => {
  test('18x and 2xx with the answer go on while nobody answers on DC1 and DC2', async () => {
    const as = new AsHarness();
    const { onward } = await ringing(as);
    as.respond(onward, 183, { sdp: ANSWER });
    assert.equal(as.only().message.status, 183);
    assert.equal(as.mrm.at(-1)!.operation.method, 'PATCH', 'which nobody answers');
    as.respond(onward, 180);
    assert.equal(as.only().message.status, 180);
    as.respond(onward, 200, { sdp: ANSWER });
    assert.equal(as.only().message.status, 200);
    assert.equal(as.events().at(-1), 'SESSION_ESTABLISHMENT_SUCCESS', 'which nobody answers');
  });

  // conformance: R18 — SESSION_TERMINATION and the MF's DELETE run in parallel
  test('BYE is passed on, and the DCSF is told and the MF released at the same time', async () => {
    const as = new AsHarness();
    const { ok } = await talking(as);
    as.inDialog('BYE', 'caller', ok, 8);
    assert.deepEqual(
      as.take().map(({ message }) => message.method),
      ['BYE'],
    );
    assert.equal(as.events().at(-1), 'SESSION_TERMINATION');
    assert.equal(as.mrm.at(-1)!.operation.method, 'DELETE');
  });

  test('BYE does not wait for a re-INVITE that is held, nor for the MF that has not answered', async () => {
    const as = new AsHarness();
    const { onward, ok } = await talking(as);
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: E1.replace('3001 1 ', '3001 2 ') + APPLICATION });
    const pending = as.instruct(relay('m3', 1000, 1002));
    as.inDialog('BYE', 'callee', onward, 1);
    assert.deepEqual(
      as.take().map(({ message }) => (message.isRequest ? message.method : message.status)),
      [487, 'BYE'],
    );
    assert.equal((await pending).ok, false);
  });

  test('CANCEL goes on while the PATCH of the early answer is under way', async () => {
    const as = new AsHarness();
    const { invite, onward } = await ringing(as);
    as.respond(onward, 183, { sdp: ANSWER });
    as.take();
    as.cancel(invite);
    assert.equal(as.only().message.status, 487);
    assert.equal(as.cancelled.length, 1);
    assert.equal(as.events().at(-1), 'SESSION_ESTABLISHMENT_FAILURE');
  });
});

// conformance: R26 — idempotency keys derive from (call, revision, step): a call that is replayed asks the same
test('the same call gives the same keys, and no two requests share one', async () => {
  const keys = async () => {
    const as = new AsHarness();
    const { onward } = await ringing(as);
    as.respond(onward, 200, { sdp: ANSWER });
    as.mfAnswers();
    as.inDialog('BYE', 'callee', onward, 1);
    return as.mrm.flatMap(({ operation }) => ('idempotencyKey' in operation ? [operation.idempotencyKey] : []));
  };
  const [first, second] = [await keys(), await keys()];
  assert.deepEqual(first, second);
  assert.equal(new Set(first).size, first.length);
  assert.ok(first.length >= 2);
  for (const key of first) assert.match(key, /^as\.0\.1\.\w+\.\d+\.\d+$/);
});
