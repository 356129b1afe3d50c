import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { connect, remoteOf, reserveOptions, sent, startEngine, stream, workerMissing } from './rig.ts';

const MEGABYTE = 1 << 20;
const BUDGET_BYTES = 48 * MEGABYTE;
/** A line with id 38754: usrsctp's tables have an entry for every id below it, some 4 MB. */
const WIDE = { streams: [stream(38_754)], remote: { streams: 38_755 } };

const residentBytes = (pid: number) =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) * 1024;

// conformance: R13 — ids are paid for by the association that has them; what the peer announces never allocates more
test('over the memory budget a wide association is refused, those that live go on, and what is released comes back', {
  skip: workerMissing,
}, async () => {
  const [mf, ue] = [await startEngine({ memoryBudgetBytes: BUDGET_BYTES }), await startEngine()];
  try {
    const { pid } = (await mf.stats([])).workers[0]!;
    await connect(ue, 'first', mf, 'first');
    const before = residentBytes(pid);
    let open = 0;
    let refusal: unknown;
    while (refusal === undefined && open < 64) {
      const local = await mf.reserve('next', 'next', reserveOptions);
      refusal = await mf.start('next', remoteOf(local, { role: 'passive', streams: 38_755 })).catch((error) => error);
      await mf.release('next');
      if (refusal === undefined)
        await connect(ue, `wide${open}`, mf, `wide${open++}`, WIDE).catch((error) => (refusal = error));
    }
    assert.equal((refusal as { code: string }).code, 'WORKER_REFUSED');
    assert.equal((refusal as { details: { reason: string } }).details.reason, 'BUDGET');
    assert.ok(open >= 2, `${open} fitted`);
    assert.ok(residentBytes(pid) < BUDGET_BYTES * 1.25, `${residentBytes(pid)} bytes`);

    // What lives goes on.
    await mf.route({ key: 'first', streamId: 0 }, { kind: 'stream', to: { key: 'first', streamId: 0 } });
    await ue.route({ key: 'first', streamId: 0 }, { kind: 'payload' });
    const port = ue.payload({ key: 'first', streamId: 0 }, MEGABYTE);
    const echo = new Promise<string>(
      (resolve) => (port.onMessage = (message) => resolve(Buffer.from(message).toString())),
    );
    await sent(port, Buffer.from('still here'), 'text');
    assert.equal(await echo, 'still here');

    for (let index = 0; index < open; index++) await mf.release(`wide${index}`);
    await mf.stats(['first']); // the worker looks at its memory anew
    assert.ok(residentBytes(pid) - before < 4 * MEGABYTE, `kept ${residentBytes(pid) - before} bytes`);
    await connect(ue, 'again', mf, 'again', WIDE);
  } finally {
    await Promise.all([mf.close(), ue.close()]);
  }
});
