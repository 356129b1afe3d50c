import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import type { DialogName } from '../../src/ims-as/b2bua/counterpart.ts';
import { DialogsElsewhere, type DialogsElsewhereOptions, MAX_WAITING } from '../../src/ims-as/dialogs-elsewhere.ts';
import type { SipMessage } from '../../src/sip/types.ts';
import { AsHarness } from './as-harness.ts';
import { ANSWER_AUDIO, ANSWER_SESSION, AUDIO_ONLY } from './sdp-examples.ts';

const OWNER = 1;

/** Worker 0, which asks `ask` for dialogs of worker 1, with a call that is up; `invite` is that call's onward one. */
function asking(ask: DialogsElsewhereOptions['ask']) {
  const metrics = new Metrics();
  const elsewhere = new DialogsElsewhere({
    token: { instance: 'as', worker: 0 },
    ask,
    log: silentLogger,
    metrics,
  });
  const as = new AsHarness({ elsewhere });
  const count = (name: string) => metrics.counter(`imsdc_ims_as_dialogs_${name}_total`, '').value;
  return { as, count, invite: establish(as, 'call-a').invite };
}

function establish(as: AsHarness, callId: string): { invite: SipMessage; ok: SipMessage } {
  as.invite({ sdp: AUDIO_ONLY, callId });
  const invite = as.only().message;
  as.respond(invite, 200, { sdp: ANSWER_SESSION + ANSWER_AUDIO });
  const ok = as.only().message;
  as.inDialog('ACK', 'caller', ok, 7);
  as.take();
  return { invite, ok };
}

const referTo = (name: string) => `Refer-To: <sip:c@ims.example?Replaces=${encodeURIComponent(name)}>\r\n`;
const OTHERS = 'call-x;to-tag=as.1.1.7x-s0;from-tag=alice1';
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Refer-To of the REFER that went on, readable. */
async function passed(as: AsHarness, invite: SipMessage, headers: string, cseq = 1): Promise<string> {
  as.inDialog('REFER', 'callee', invite, cseq, { headers });
  await settled();
  return decodeURIComponent(as.only().message.first('refer-to') ?? '');
}

describe('a dialog of another worker', () => {
  // conformance: R21 — Refer-To that names a call of another worker is translated too
  test('its owner is asked, and the other side reads the name that it knows', async () => {
    const owner = new AsHarness({ worker: OWNER });
    const { as, invite, count } = asking(async (worker, name) => {
      assert.equal(worker, OWNER);
      return owner.dispatcher.counterpart(name);
    });
    const held = establish(owner, 'call-b');
    const got = await passed(as, invite, referTo(`call-b;to-tag=${held.ok.toTag};from-tag=alice1`));
    assert.ok(got.includes(`Replaces=${held.invite.callId};to-tag=bob1;from-tag=${held.invite.fromTag}>`), got);
    assert.deepEqual([count('elsewhere'), count('untranslated')], [1, 0]);
  });

  test('nobody is asked about dialogs of our own, or of strangers', async () => {
    const { as, invite, count } = asking(() => Promise.reject(new Error('asked')));
    for (const [cseq, name] of ['x;to-tag=as.0.1.99x-s0;from-tag=b', 'x;to-tag=a;from-tag=b'].entries())
      assert.ok((await passed(as, invite, referTo(name), cseq + 1)).includes(name));
    assert.equal(count('elsewhere'), 0);
  });

  test('an owner that does not answer, or does not know it: the name passes as it is, and is counted', async () => {
    const answers = [() => Promise.reject(new Error('no answer in 300 ms')), () => Promise.resolve(undefined)];
    for (const answer of answers) {
      const { as, invite, count } = asking(answer);
      assert.ok((await passed(as, invite, referTo(OTHERS))).includes(OTHERS));
      assert.equal(count('untranslated'), 1);
    }
  });

  test('a call that ends while its message waits: 481', async () => {
    const { promise, resolve } = Promise.withResolvers<DialogName | undefined>();
    const { as, invite } = asking(() => promise);
    as.inDialog('REFER', 'callee', invite, 1, { headers: referTo(OTHERS) });
    assert.deepEqual(as.take(), []);
    as.inDialog('BYE', 'callee', invite, 2);
    const sent = as.take().map(({ message }) => message);
    as.respond(sent.find(({ method, isRequest }) => method === 'BYE' && isRequest)!, 200);
    assert.equal(as.dispatcher.size, 0);
    as.take();
    resolve(undefined);
    await settled();
    assert.equal(as.only().message.status, 481);
  });

  test('so many may wait; the next one passes at once', async () => {
    const { promise, resolve } = Promise.withResolvers<DialogName | undefined>();
    const { as, invite, count } = asking(() => promise);
    // As many calls, since one call has room for fewer.
    for (let i = 0; i < MAX_WAITING; i++) as.inDialog('REFER', 'callee', invite, i + 1, { headers: referTo(OTHERS) });
    assert.deepEqual(as.take(), []);
    as.inDialog('REFER', 'callee', invite, MAX_WAITING + 1, { headers: referTo(OTHERS) });
    assert.equal(as.only().message.method, 'REFER');
    assert.equal(count('untranslated'), 1);
    resolve(undefined);
    await settled();
  });
});
