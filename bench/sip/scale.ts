import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sippAvailable } from '../../sipp/sipp.ts';
import { type BenchOptions, type BenchRow, median } from '../lib/rows.ts';
import { type GrantingMf, startGrantingMf } from '../lib/servers.ts';
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
const TOLERATED_REPEATS = 0.01;
/** A run that does not count is done again, but not for ever. */
const ATTEMPTS = 2;

/** A worker that used less of its share was kept from it by the machine, and the row says so. */
const FULL_USE = 0.95;

interface Plan {
  readonly warmUpSeconds: number;
  readonly rounds: number;
  readonly seconds: number;
}

const FULL: Plan = { warmUpSeconds: 15, rounds: 5, seconds: 7 };
const QUICK: Plan = { warmUpSeconds: 4, rounds: 1, seconds: 4 };

export async function rows(options: BenchOptions): Promise<BenchRow[]> {
  if (!sippAvailable()) throw new Error('sipp is not installed (Debian: sip-tester)');
  const plan = options.quick ? QUICK : FULL;
  const gcFolder = mkdtempSync(join(tmpdir(), 'imsdc-gc-'));
  const mf = await startGrantingMf();
  const contenders: Contender[] = [];
  try {
    for (const workers of WORKERS) contenders.push(await contender(workers, mf, gcFolder));
    // The optimising compiler has to see some thousand calls in each worker before any of this means something.
    for (const one of contenders) {
      await one.run('bootstrap-invite', plan.warmUpSeconds, (line) => options.progress(`warm-up: ${line}`));
    }
    const capped = contenders.map((one) => one.cap()).every((done) => done);
    if (!capped) throw new Error('no cgroup CPU control here: needs root, and a CPU controller of version 1 or 2');
    const bootstrap = await rounds(contenders, 'bootstrap-invite', plan.rounds, plan, options);
    const plain = await rounds(contenders, 'audio', 1, plan, options);
    return [...rowsOf('bootstrap-invite', bootstrap), ...rowsOf('audio', plain)];
  } finally {
    for (const one of contenders) await one.stop();
    mf.stop();
    rmSync(gcFolder, { recursive: true, force: true });
  }
}

function contender(workers: number, mf: GrantingMf, gcFolder: string): Promise<Contender> {
  return Contender.start({ name: named(workers), workers, dispatched: true, mf, gcFolder, share: SHARE_OF_CORE });
}

/** Runs that count, of each contender in turn: what the host does to one round it does to all three. */
async function rounds(
  contenders: readonly Contender[],
  kind: CallKind,
  count: number,
  { seconds }: Plan,
  options: BenchOptions,
): Promise<readonly (readonly Run[])[]> {
  const done: Run[][] = [];
  for (let round = 0; round < count; round++) {
    const runs: Run[] = [];
    for (const one of contenders) {
      for (let attempt = 1; ; attempt++) {
        const run = await one.run(kind, seconds, options.progress);
        if (counts(run)) {
          runs.push(run);
          break;
        }
        if (attempt === ATTEMPTS) break;
      }
    }
    if (runs.length === contenders.length) done.push(runs);
  }
  return done;
}

const counts = ({ calls, failed, repeated }: Run) => failed === 0 && repeated <= calls * TOLERATED_REPEATS;

/** The ratio is that of a round, to the single worker of the same round; of all rounds the median. */
function rowsOf(kind: CallKind, rounds: readonly (readonly Run[])[]): BenchRow[] {
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
        `${rounds.length} rounds counted`,
        `${ofAll(place, ({ workerMs }) => workerMs).toFixed(2)} ms a call in the workers, ${ofAll(place, ({ dispatcherMs }) => dispatcherMs).toFixed(2)} in the dispatcher`,
        ...(used < FULL_USE ? [`the machine had no more: a worker got ${Math.round(used * 100)} % of its share`] : []),
      ].join('; '),
    };
  });
}

const named = (workers: number) => (workers === 1 ? '1 worker' : `${workers} workers`);
