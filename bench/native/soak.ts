/**
 * Calls that open, relay and close at random, for as long as asked: `node bench/native/soak.ts [minutes]`. One line a
 * minute, a table row each; ends with status 1 when a message was lost or memory or descriptors kept growing.
 */
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EngineClient } from '../../src/mf/engine/client.ts';
import { cpuMs, residentBytes } from '../lib/cpu.ts';
import { connectPlain, MF_CPU, pinned, startEngine, UE_CPU, WORKER } from './ue.ts';

const CALLS = 200;
const MESSAGES_PER_CALL = 10;
const MAX_BYTES = 20_000;
const OPENS_PER_SECOND = 10;
const MEAN_LIFE_MS = (CALLS / OPENS_PER_SECOND) * 1000;

const minutes = Number(process.argv[2] ?? 30);
// On a machine that others use too, a process may not run for seconds: that is not what is tested here.
const patient = { hungAfterMs: 60_000 };
const [mf, ue]: EngineClient[] = [
  await startEngine(pinned(MF_CPU, WORKER), patient),
  await startEngine(pinned(UE_CPU, WORKER), patient),
] as const;
const pid = (await mf!.stats([])).workers[0]!.pid;
const totals = { calls: 0, sent: 0, received: 0, wrong: 0, open: 0, failed: 0 };

let stop: () => void = () => undefined;
const stopped = new Promise<void>((resolve) => (stop = resolve));

/** One call: two legs, a relay between them, some messages over its life; every byte is compared. */
async function call(mfEngine: EngineClient, ueEngine: EngineClient, id: number): Promise<void> {
  const [a, b] = [`a${id}`, `b${id}`];
  totals.open++;
  try {
    await connectPlain(ueEngine, mfEngine, a, `call${id}`, { mfRole: id % 2 ? 'active' : 'passive' });
    await connectPlain(ueEngine, mfEngine, b, `call${id}`);
    await mfEngine.route({ key: a, streamId: 0 }, { kind: 'stream', to: { key: b, streamId: 0 } });
    await ueEngine.route({ key: a, streamId: 0 }, { kind: 'payload' });
    await ueEngine.route({ key: b, streamId: 0 }, { kind: 'payload' });
    const from = ueEngine.payload({ key: a, streamId: 0 }, 1 << 20);
    const to = ueEngine.payload({ key: b, streamId: 0 }, 1 << 20);
    const closed = new Promise<never>((_, reject) => {
      from.onClosed = to.onClosed = (reason) => reject(new Error(`closed: ${reason}`));
    });
    closed.catch(() => undefined); // a release at the end closes them too
    const expected: string[] = [];
    let arrived: () => void = () => undefined;
    to.onMessage = (message) => {
      to.grant(message.length + 16);
      totals.received++;
      if (createHash('sha256').update(message).digest('base64') !== expected.shift()) totals.wrong++;
      if (expected.length === 0) arrived();
    };
    const lifeMs = randomInt(2 * MEAN_LIFE_MS);
    for (let index = 0; index < MESSAGES_PER_CALL; index++) {
      const message = randomBytes(randomInt(1, MAX_BYTES));
      expected.push(createHash('sha256').update(message).digest('base64'));
      const done = new Promise<void>((resolve) => (arrived = resolve));
      while (!from.send(message, 'binary')) {
        await Promise.race([new Promise<void>((resolve) => (from.onWritable = resolve)), closed]);
      }
      totals.sent++;
      await Promise.race([done, closed]);
      await Promise.race([sleep(lifeMs / MESSAGES_PER_CALL, undefined, { ref: false }), stopped]);
    }
  } catch (error) {
    totals.failed++;
    process.stderr.write(`call ${id}: ${String(error)}\n`);
  }
  await Promise.all([mfEngine.release(a), mfEngine.release(b), ueEngine.release(a), ueEngine.release(b)]);
  totals.calls++;
  totals.open--;
}

process.stdout.write(
  '| minute | calls ended | open | messages sent | received | wrong | failed | RSS MB | descriptors | CPU s |\n',
);
process.stdout.write('|---|---|---|---|---|---|---|---|---|---|\n');
const samples: { rss: number; descriptors: number }[] = [];
function report(minute: number): void {
  const sample = { rss: residentBytes(pid) / 2 ** 20, descriptors: readdirSync(`/proc/${pid}/fd`).length };
  samples.push(sample);
  const cells = [minute, totals.calls, totals.open, totals.sent, totals.received, totals.wrong, totals.failed];
  const figures = [sample.rss.toFixed(1), sample.descriptors, (cpuMs(pid) / 1000).toFixed(1)];
  process.stdout.write(`| ${[...cells, ...figures].join(' | ')} |\n`);
}

const started = performance.now();
const elapsedMinutes = () => (performance.now() - started) / 60_000;
let next = 0;
let minute = 1;
const running = new Set<Promise<void>>();
report(0);
while (elapsedMinutes() < minutes) {
  if (totals.open < CALLS) {
    const one = call(mf!, ue!, next++);
    running.add(one);
    void one.finally(() => running.delete(one));
  }
  await sleep(1000 / OPENS_PER_SECOND);
  if (elapsedMinutes() >= minute) report(minute++);
}
stop();
await Promise.all(running);
await sleep(2000);
report(minute);
const [middle, last] = [samples[Math.floor(samples.length / 2)]!, samples[samples.length - 2]!];
const flat = last.rss <= middle.rss * 1.1 + 2 && samples.at(-1)!.descriptors <= samples[0]!.descriptors;
const lossless = totals.sent === totals.received && totals.wrong === 0 && totals.failed === 0;
process.stdout.write(`\n${flat ? 'flat' : 'NOT FLAT'}, ${lossless ? 'nothing lost' : 'LOST'}\n`);
await Promise.all([mf!.close(), ue!.close()]);
process.exitCode = flat && lossless ? 0 : 1;
