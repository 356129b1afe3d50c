import { setTimeout as pause } from 'node:timers/promises';
import { type Core, type Holdings, startCore } from './core.ts';
import { PAIRS } from './pairs/index.ts';
import type { Accident } from './script/steps.ts';
import { type PairOptions, type PairResult, runPair } from './sipp.ts';

const POLL_MS = 20;
/** The longest that a call of the suite lives: some wait 32 s for what was lost on purpose. */
const EMPTY_MS = 60_000;

/** What happens to the core while the pair runs; undefined for most. */
export function accidentOf(name: string): Accident | undefined {
  return PAIRS.find((pair) => pair.name === name)?.run?.accident;
}

/** What is left of the calls and MRM contexts of the scripts; undefined when nothing is, as it should be. */
export function leftBehind({ calls, contexts }: Holdings): string | undefined {
  return calls === 0 && contexts === 0 ? undefined : `left behind: ${calls} calls, ${contexts} MRM contexts`;
}

/**
 * Runs a pair while its accident happens: on `core`, which nothing else may use at that time, or on one that is started
 * for it, where an MF is lost. `options` says how the pair runs on a core.
 */
export async function runWithAccident(core: Core, options: (core: Core) => PairOptions): Promise<PairResult> {
  const accident = accidentOf(options(core).name);
  if (accident?.kind !== 'mfLost') {
    await emptied(core);
    return duringAccident(options(core), core.restart);
  }
  const own = await startCore(accident.mf);
  try {
    const result = await duringAccident(options(own), own.loseMf);
    const left = leftBehind(await own.holds());
    return left === undefined ? result : { ...result, passed: false, problems: [...result.problems, left] };
  } finally {
    await own.stop();
  }
}

/** Calls of an earlier pair that are still ending would be counted among those that the accident waits for. */
async function emptied(core: Core): Promise<void> {
  const giveUpMs = Date.now() + EMPTY_MS;
  while (leftBehind(await core.holds()) !== undefined && Date.now() < giveUpMs) await pause(POLL_MS);
}

/** Calls that fail before the accident do not let it wait for them for ever. */
async function duringAccident(options: PairOptions, happens: Core['restart']): Promise<PairResult> {
  const over = new AbortController();
  const run = runPair(options).finally(() => over.abort());
  const [result] = await Promise.all([run, happens(options.calls, over.signal)]);
  return result;
}
