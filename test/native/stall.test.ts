import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, sent, startEngine, workerMissing } from './rig.ts';

const skip =
  workerMissing ||
  (process.env.IMSDC_SLOW === '1' ? false : 'IMSDC_SLOW=1 runs it; native/test/stall_test.cpp does it in virtual time');

/** Longer than unacknowledged data may stay unanswered (native/src/peer_liveness.h). */
const STALL_MS = 26_000;

test('a worker that was not scheduled for 26 s, with data under way, keeps its associations', { skip }, async () => {
  const [mf, ue] = [await startEngine({ hungAfterMs: 120_000 }), await startEngine({ hungAfterMs: 120_000 })];
  try {
    await connect(ue, 'ue', mf, 'mf');
    await mf.route({ key: 'mf', streamId: 0 }, { kind: 'payload' });
    await ue.route({ key: 'ue', streamId: 0 }, { kind: 'payload' });
    const [from, to] = [
      mf.payload({ key: 'mf', streamId: 0 }, 1 << 20),
      ue.payload({ key: 'ue', streamId: 0 }, 1 << 20),
    ];
    const [mfPid, uePid] = [(await mf.stats([])).workers[0]!.pid, (await ue.stats([])).workers[0]!.pid];
    const ended = mf.next('state', ({ key, state }) => key === 'mf' && state !== 'connected');
    const arrived = new Promise<string>(
      (resolve) => (to.onMessage = (message) => resolve(Buffer.from(message).toString())),
    );
    process.kill(uePid, 'SIGSTOP');
    await sent(from, Buffer.from('under way'), 'text');
    await mf.stats([]); // the worker has read its payload socket at least once more
    process.kill(mfPid, 'SIGSTOP');
    process.kill(uePid, 'SIGCONT');
    await sleep(STALL_MS);
    process.kill(mfPid, 'SIGCONT');
    assert.equal(await arrived, 'under way');
    const back = new Promise<void>((resolve) => (from.onMessage = () => resolve()));
    await sent(to, Buffer.from('still here'), 'text');
    await Promise.race([back, ended.then((event) => assert.fail(`${event.state}: ${event.reason}`))]);
  } finally {
    await Promise.all([mf.close(), ue.close()]);
  }
});
