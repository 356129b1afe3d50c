import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SipMessage } from '../../../src/sip/types.ts';
import { AsHarness, originate, relay, terminate } from '../as-harness.ts';
import { ANSWER_AUDIO, ANSWER_SESSION, E1, section } from '../sdp-examples.ts';

const bootstrap = (port: number, setup: string, tlsId: string, usedBy: string) =>
  section(port, setup, tlsId, ['100 subprotocol="http"'], [`a=3gpp-bdc-used-by:${usedBy}`]);
const ANSWER =
  ANSWER_SESSION +
  ANSWER_AUDIO +
  bootstrap(42000, 'passive', 'calleetlsid000000m2x', 'sender') +
  bootstrap(42002, 'active', 'calleetlsid000000d1x', 'receiver');
const QUIET_MS = 64 * 500 + 5_000;

/** A call with three bootstrap lines that was answered and acknowledged. */
async function answered(as: AsHarness): Promise<{ onward: SipMessage; ok: SipMessage }> {
  as.invite({ sdp: E1 });
  const instructed = as.instruct({
    ...terminate('m1', 0),
    ...relay('m2', 100),
    ...originate('d-1', 100, 'remote'),
  });
  as.mfAnswers();
  await instructed;
  as.notified();
  const onward = as.only().message;
  as.respond(onward, 200, { sdp: ANSWER });
  const ok = as.only().message;
  as.inDialog('ACK', 'caller', ok, 7);
  as.mfAnswers();
  as.take();
  return { onward, ok };
}

const recordOf = (as: AsHarness) => {
  const [call] = as.dispatcher.calls();
  assert.ok(call);
  const { deadlines: _, ...record } = call;
  return structuredClone(record);
};

describe('a call at rest', () => {
  test('says the same as before, but for ACKs that nobody can ask for any more', async () => {
    const as = new AsHarness();
    await answered(as);
    const before = recordOf(as);
    assert.notEqual(before.forks[0]!.dialogs.remote.ack, null);
    as.timers.advance(QUIET_MS);
    before.forks[0]!.dialogs.remote.ack = null;
    assert.deepEqual(recordOf(as), before);
    assert.deepEqual(as.take(), []);
  });

  // conformance: RFC 3261 13.3.1.4 — a 2xx can come again for 64 * T1, and its ACK must
  test('within 64 * T1 a 2xx that comes again still gets its ACK', async () => {
    const as = new AsHarness();
    const { onward } = await answered(as);
    as.timers.advance(64 * 500 - 1_000);
    as.respond(onward, 200, { sdp: ANSWER });
    assert.equal(as.only().message.method, 'ACK');
  });

  test('is negotiated anew like any other: a refresh changes nothing, a removed line goes on both legs', async () => {
    const as = new AsHarness();
    const { ok } = await answered(as);
    as.timers.advance(QUIET_MS);
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: E1 });
    const refreshed = as.take().find(({ message }) => message.status === 200);
    assert.ok(refreshed, 'the AS answers a refresh by itself (R19)');
    assert.equal(refreshed.message.body, ok.body);
    as.inDialog('ACK', 'caller', ok, 8);
    as.timers.advance(QUIET_MS);
    as.take();
    as.inDialog('INVITE', 'caller', ok, 9, {
      sdp: E1.replace(/m=application 40012/, 'm=application 0').replace(/^(o=.*) (\d+) IN/m, '$1 9$2 IN'),
    });
    const onward = as.take().find(({ kind, message }) => kind === 'request' && message.method === 'INVITE');
    assert.match(onward?.message.body ?? '', /m=application 0 /);
  });

  test('objects that were made smaller are never changed for another call', async () => {
    const [first, second] = [new AsHarness(), new AsHarness()];
    await answered(first);
    first.timers.advance(QUIET_MS);
    const kept = recordOf(first);
    const { ok } = await answered(second);
    second.timers.advance(QUIET_MS);
    second.inDialog('INVITE', 'caller', ok, 8, { sdp: E1.replace(/m=application 40010/, 'm=application 0') });
    second.take();
    assert.deepEqual(recordOf(first), kept);
  });
});
