import { setTimeout as pause } from 'node:timers/promises';
import { type Core, type Holdings, startCore } from './core.ts';
import { PAIRS } from './pairs/index.ts';
import type { PairRun } from './script/steps.ts';
import { type PairOptions, type PairResult, runPair, runPairCleanly } from './sipp.ts';

const POLL_MS = 20;
/** The longest that a call of the suite lives: some wait 32 s for what was lost on purpose. */
const EMPTY_MS = 60_000;

/** The core may serve nothing else meanwhile: it is killed, or set up in another way. */
export function needsCoreAlone(name: string): boolean {
  const { accident, unauthorised } = runOf(name);
  return accident !== undefined || unauthorised !== undefined;
}

function runOf(name: string): PairRun {
  return PAIRS.find((pair) => pair.name === name)?.run ?? {};
}

/** What is left of the calls and MRM contexts of the scripts; undefined when nothing is, as it should be. */
export function leftBehind({ calls, contexts }: Holdings): string | undefined {
  return calls === 0 && contexts === 0 ? undefined : `left behind: ${calls} calls, ${contexts} MRM contexts`;
}

/**
 * Runs a pair that needs a core alone: `core` while nothing else uses it, or one that is started for it, where an MF is
 * lost or the policy is another one. `options` says how the pair runs on a core.
 */
export async function runAlone(core: Core, options: (core: Core) => PairOptions): Promise<PairResult> {
  const { accident, unauthorised } = runOf(options(core).name);
  if (accident?.kind === 'asRestarted') {
    await emptied(core);
    return duringAccident(options(core), core.restart);
  }
  const own = await startCore({ losing: accident?.mf, unauthorised });
  try {
    const result = await (accident ? duringAccident(options(own), own.loseMf) : runPairCleanly(options(own)));
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
