import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sippAvailable } from '../../sipp/sipp.ts';
import { type BenchOptions, type BenchRow, median } from '../lib/rows.ts';
import { startGrantingMf } from '../lib/servers.ts';
import { type CallKind, Contender, type Run } from './contender.ts';

/**
 * How calls per second grow with `dcsf.workers`, where cores are scarce: each worker is capped to a quarter of a core by
 * cgroup. The measure is one worker behind the dispatcher. Dispatcher, MF and SIPp have what is left of the machine, and
 * the kernel places all of them. Calls have bootstrap lines: of such, four capped workers do no more than the rest of two
 * cores can feed them; of plain calls they do more, so those are shown and not judged.
 */
const SHARE_OF_CORE = 0.25;
const WORKERS = [1, 2, 4];
const JUDGED: CallKind = 'bootstrap-invite';
const NAMES: Readonly<Record<CallKind, string>> = {
  'bootstrap-invite': 'calls with bootstrap lines',
  audio: 'plain calls',
};
const GOALS: Readonly<Record<number, number>> = { 2: 1.8, 4: 3.4 };
/** The same for all: a run counts when all its calls completed and no more of its messages than this, per call, were repeated. */
const TOLERATED_REPEATS = 0.02;
/** A run that does not count is done again, but not for ever. */
const ATTEMPTS = 2;

/** A worker that used less of its share was kept from it by the machine, and the row says so. */
const FULL_USE = 0.95;

interface Plan {
  readonly warmUpCallsPerWorker: number;
  readonly rounds: number;
  readonly seconds: number;
}

/** A round differs from the next by a fifth, whatever is measured: many short ones. */
const FULL: Plan = { warmUpCallsPerWorker: 8_000, rounds: 9, seconds: 4 };
const QUICK: Plan = { warmUpCallsPerWorker: 1_000, rounds: 1, seconds: 4 };
/** Not counted: while the others had their turn, the engine has given its memory back, and takes it again now. */
const LEAD_IN_SECONDS = 2;

export async function rows(options: BenchOptions): Promise<BenchRow[]> {
  if (!sippAvailable()) throw new Error('sipp is not installed (Debian: sip-tester)');
  const plan = options.quick ? QUICK : FULL;
  const gcFolder = mkdtempSync(join(tmpdir(), 'imsdc-gc-'));
  const mf = await startGrantingMf();
  const contenders: Contender[] = [];
  try {
    for (const workers of WORKERS)
      contenders.push(await Contender.start({ name: named(workers), workers, mf, gcFolder, share: SHARE_OF_CORE }));
    // The optimising compiler has to see some thousand calls in each worker before any of this means something.
    for (const one of contenders)
      await one.run(JUDGED, plan.warmUpCallsPerWorker * one.workers, (line) => options.progress(`warm-up: ${line}`));
    if (!contenders.map((one) => one.cap()).every((capped) => capped))
      throw new Error('no cgroup CPU control here: needs root, and a CPU controller of version 1 or 2');
    const judged: Run[][] = [];
    for (let number = 1; number <= plan.rounds; number++)
      judged.push(await round(contenders, JUDGED, plan, (line) => options.progress(`round ${number}: ${line}`)));
    const plain = await round(contenders, 'audio', plan, options.progress);
    return [...rowsOf(JUDGED, judged), ...rowsOf('audio', [plain])];
  } finally {
    for (const one of contenders) await one.stop();
    mf.stop();
    rmSync(gcFolder, { recursive: true, force: true });
  }
}

/** One run of each in turn: what the host does to one of them, it does to all. It stops with one that does not count. */
async function round(
  contenders: readonly Contender[],
  kind: CallKind,
  { seconds }: Plan,
  progress: (line: string) => void,
): Promise<Run[]> {
  const runs: Run[] = [];
  for (const one of contenders) {
    const run = await countedRun(one, kind, seconds, progress);
    if (run === undefined) return runs;
    runs.push(run);
  }
  return runs;
}

async function countedRun(
  one: Contender,
  kind: CallKind,
  seconds: number,
  progress: (line: string) => void,
): Promise<Run | undefined> {
  await one.run(kind, one.callsIn(kind, LEAD_IN_SECONDS), () => undefined);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const run = await one.run(kind, one.callsIn(kind, seconds), progress);
    if (run.failed === 0 && run.repeated <= run.calls * TOLERATED_REPEATS) return run;
    progress(`${one.name}: that run does not count`);
  }
  return undefined;
}

/** The ratio is that of a round, to the single worker of the same round; of all rounds the median. */
function rowsOf(kind: CallKind, all: readonly (readonly Run[])[]): BenchRow[] {
  const rounds = all.filter((runs) => runs.length === WORKERS.length);
  const ofAll = (place: number, read: (run: Run) => number) => median(rounds.map((runs) => read(runs[place]!)));
  const one = ofAll(0, ({ rate }) => rate);
  return WORKERS.map((count, place): BenchRow => {
    const ours = ofAll(place, ({ rate }) => rate);
    const ratio = median(rounds.map((runs) => runs[place]!.rate / runs[0]!.rate));
    const goal = kind === JUDGED ? GOALS[count] : undefined;
    const used = ofAll(place, (run) => Math.min(...run.used));
    return {
      bench: 'scale',
      row: `${NAMES[kind]}, ${named(count)} behind the dispatcher, a quarter of a core each`,
      ours,
      ...(count > 1 && { peer: one, ratio }),
      unit: 'calls/s',
      goal: goal === undefined ? 'reported' : `>= ${goal} x`,
      met: goal === undefined || ratio >= goal,
      note: [
        `${rounds.length} of ${all.length} rounds counted`,
        `${ofAll(place, ({ workerMs }) => workerMs).toFixed(2)} ms a call in the workers, ${ofAll(place, ({ dispatcherMs }) => dispatcherMs).toFixed(2)} in the dispatcher`,
        ...(used < FULL_USE ? [`the machine had no more: a worker got ${Math.round(used * 100)} % of its share`] : []),
      ].join('; '),
    };
  });
}

const named = (workers: number) => (workers === 1 ? '1 worker' : `${workers} workers`);
