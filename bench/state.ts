/**
 * What it costs to keep calls over a restart (state.dir): CPU of the whole process, the writing threads included, per
 * call whose record is rendered, written and removed; beside node:sqlite (WAL, synchronous off, one transaction per
 * batch) with the same texts. A call that is over before the next write, as most of a load test are, costs only that it
 * was named. Last, how long a process with 10,000 calls needs to have them again.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate } from 'node:timers/promises';
import { silentLogger } from '../src/base/log.ts';
import { Metrics } from '../src/base/metrics.ts';
import { RealTimers } from '../src/base/timers.ts';
import { restoredCall, storedText } from '../src/ims-as/call/stored.ts';
import type { Call } from '../src/ims-as/call/types.ts';
import { openDirectory } from '../src/store/disk.ts';
import { Journal } from '../src/store/journal.ts';
import { AsHarness, terminate } from '../test/ims-as/as-harness.ts';
import {
  ANSWER_AUDIO,
  ANSWER_SESSION,
  AUDIO,
  AUDIO_ONLY,
  LOCAL_BOOTSTRAP,
  SESSION,
} from '../test/ims-as/sdp-examples.ts';
import { SIMULATED_CONFIG } from '../test/simulator/as-node.ts';
import { type BenchOptions, type BenchRow, median } from './lib/rows.ts';

/** A plain call costs the AS 360 us on a quiet machine; keeping it shall cost a twentieth of that. */
const GOAL_US = 18;
const GOAL_BOOTSTRAP_US = 60;
const GOAL_SHORT_US = 3;
const GOAL_RESTORE_MS = 1_500;
const CALLS = 2_000;
/** As many calls change within one interval of writing. */
const BATCH = 100;

/** An established call, as the dispatcher holds it. */
function sample(withBootstrap: boolean): Call {
  const as = new AsHarness();
  as.invite({ sdp: withBootstrap ? SESSION + AUDIO + LOCAL_BOOTSTRAP : AUDIO_ONLY });
  if (withBootstrap) {
    void as.instruct(terminate('m1', 0));
    as.mfAnswers();
    as.notified();
  }
  as.respond(as.only().message, 200, { sdp: ANSWER_SESSION + ANSWER_AUDIO });
  const ok = as.take().find(({ kind }) => kind === 'response')!.message;
  if (withBootstrap) as.mfAnswers();
  as.inDialog('ACK', 'caller', ok, 7);
  const [call] = as.dispatcher.calls();
  return call!;
}

async function cpuUs(work: () => Promise<void> | void): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

async function openJournal(directory: string): Promise<{ journal: Journal; close(): Promise<void> }> {
  const timers = new RealTimers();
  const journal = await Journal.open({
    disk: await openDirectory(directory),
    timers,
    log: silentLogger,
    metrics: new Metrics(),
    writeEveryMs: 100,
    maxPending: 200_000,
  });
  return {
    journal,
    close: async () => {
      await journal.close();
      timers.close();
    },
  };
}

/** us per call: rendered and written once, removed once. */
async function journalUs(call: Call, directory: string): Promise<number> {
  const { journal, close } = await openJournal(directory);
  const live = new Map<string, Call>();
  const { touch } = journal.own('call', {
    render: (id) => {
      const one = live.get(id);
      return one && storedText(one, SIMULATED_CONFIG);
    },
    ids: () => live.keys(),
  });
  const us = await cpuUs(async () => {
    for (let i = 0; i < CALLS; i += BATCH) {
      const ids = Array.from({ length: BATCH }, (_, n) => `${call.id}${i + n}`);
      for (const id of ids) {
        live.set(id, call);
        touch(id);
      }
      await journal.flush();
      for (const id of ids) {
        live.delete(id);
        touch(id);
      }
      await journal.flush();
    }
  });
  await close();
  return us / CALLS;
}

async function sqliteUs(call: Call, directory: string): Promise<number> {
  const database = new DatabaseSync(join(directory, 'calls.sqlite'));
  database.exec(
    'PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; CREATE TABLE IF NOT EXISTS calls (id TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID',
  );
  const put = database.prepare('INSERT OR REPLACE INTO calls VALUES (?, ?)');
  const remove = database.prepare('DELETE FROM calls WHERE id = ?');
  const us = await cpuUs(async () => {
    for (let i = 0; i < CALLS; i += BATCH) {
      const ids = Array.from({ length: BATCH }, (_, n) => `${call.id}${i + n}`);
      database.exec('BEGIN');
      for (const id of ids) put.run(id, storedText(call, SIMULATED_CONFIG) ?? '');
      database.exec('COMMIT');
      await setImmediate();
      database.exec('BEGIN');
      for (const id of ids) remove.run(id);
      database.exec('COMMIT');
      await setImmediate();
    }
  });
  database.close();
  return us / CALLS;
}

/** us per call that is named six times, once per message, and gone before anything is written. */
async function shortUs(directory: string): Promise<number> {
  const { journal, close } = await openJournal(directory);
  const { touch } = journal.own('call', { render: () => undefined, ids: () => [] });
  const count = CALLS * 50;
  const us = await cpuUs(async () => {
    for (let i = 0; i < count; i++) {
      const id = `imsdc.0.abcdef.0123456789ab${i}`;
      for (let message = 0; message < 6; message++) touch(id);
      if (i % 1000 === 999) await journal.flush();
    }
  });
  await close();
  return us / count;
}

/** ms until 10,000 calls are read from the disk and are calls again. */
async function restoreMs(call: Call, directory: string): Promise<number> {
  const writer = await openJournal(directory);
  const count = 10_000;
  const texts = new Map(
    Array.from({ length: count }, (_, n): [string, string] => {
      const id = `${call.id}${n}`;
      return [id, storedText({ ...call, id }, SIMULATED_CONFIG)!];
    }),
  );
  const { touch } = writer.journal.own('call', { render: (id) => texts.get(id), ids: () => texts.keys() });
  for (const id of texts.keys()) touch(id);
  await writer.close();
  const startedMs = performance.now();
  const reader = await openJournal(directory);
  let restored = 0;
  for (const [id, text] of reader.journal.found('call')) {
    restoredCall(id, text, 0, SIMULATED_CONFIG);
    restored++;
  }
  const tookMs = performance.now() - startedMs;
  if (restored !== count) throw new Error(`${restored} of ${count} calls were restored`);
  await reader.close();
  return tookMs;
}

export async function rows({ quick, progress }: BenchOptions): Promise<BenchRow[]> {
  const runs = quick ? 3 : 7;
  const [plain, bootstrap] = [sample(false), sample(true)];
  const figures: Record<string, number[]> = {};
  const measure = async (name: string, run: (directory: string) => Promise<number>) => {
    const directory = mkdtempSync(join(tmpdir(), 'imsdc-bench-state-'));
    try {
      const value = await run(directory);
      (figures[name] ??= []).push(value);
      progress(`${name}: ${value.toPrecision(3)}`);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  };
  for (let run = 0; run <= runs; run++) {
    await measure('plain', (directory) => journalUs(plain, directory));
    await measure('plain sqlite', (directory) => sqliteUs(plain, directory));
    await measure('bootstrap', (directory) => journalUs(bootstrap, directory));
    await measure('bootstrap sqlite', (directory) => sqliteUs(bootstrap, directory));
    await measure('short', shortUs);
    await measure('restore', (directory) => restoreMs(bootstrap, directory));
    // The first run is for the compiler.
    if (run === 0) for (const values of Object.values(figures)) values.length = 0;
  }
  const figure = (name: string) => median(figures[name]!);
  const beside = (row: string, name: string, goal: number): BenchRow => ({
    bench: 'state',
    row,
    ours: figure(name),
    peer: figure(`${name} sqlite`),
    unit: 'us CPU/call',
    ratio: figure(name) / figure(`${name} sqlite`),
    goal: `<= ${goal}`,
    met: figure(name) <= goal,
  });
  const alone = (row: string, name: string, unit: string, goal: number): BenchRow => ({
    bench: 'state',
    row,
    ours: figure(name),
    unit,
    goal: `<= ${goal}`,
    met: figure(name) <= goal,
  });
  const size = (call: Call) => `${(storedText(call, SIMULATED_CONFIG)!.length / 1000).toFixed(1)} KB`;
  return [
    beside(`call without data channels (${size(plain)}): written, removed; peer node:sqlite`, 'plain', GOAL_US),
    beside(`call with a bootstrap line (${size(bootstrap)}): written, removed`, 'bootstrap', GOAL_BOOTSTRAP_US),
    alone('call that is over before the next write', 'short', 'us CPU/call', GOAL_SHORT_US),
    alone('10,000 calls with a bootstrap line are there again', 'restore', 'ms', GOAL_RESTORE_MS),
  ];
}
