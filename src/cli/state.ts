import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { RealTimers } from '../base/timers.ts';
import { ImsdcError } from '../errors.ts';
import { openDirectory } from '../store/disk.ts';
import { Journal } from '../store/journal.ts';
import { lockDirectory } from '../store/lock.ts';
import type { ProcessContext } from './process.ts';

export interface State {
  readonly journal: Journal;
  /** Writes what has changed, and lets the directory go. */
  close(): Promise<void>;
}

/** A worker of a process that was killed ends by itself, when it has written what it held. */
const PREDECESSOR_MS = 5_000;
const RETRY_MS = 50;

/** `state.dir` is ours while this process lives, whatever its workers do. Throws STATE_LOCKED, STATE_DIRECTORY. */
export function claimState({ config }: ProcessContext): { close(): Promise<void> } | undefined {
  const { dir } = config.state;
  const lock = dir === undefined ? undefined : lockDirectory(resolve(dir));
  return lock && { close: async () => lock.release() };
}

async function lockWhenFree(directory: string): Promise<ReturnType<typeof lockDirectory>> {
  for (const deadlineMs = Date.now() + PREDECESSOR_MS; ; await setTimeout(RETRY_MS)) {
    try {
      return lockDirectory(directory);
    } catch (error) {
      if ((error as Partial<ImsdcError>).code !== 'STATE_LOCKED' || Date.now() > deadlineMs) throw error;
    }
  }
}

/**
 * What a process with the roles `ims-as` and `dcsf` keeps over a restart; undefined: `state.dir` is not configured. Each
 * worker has a directory of its own below it. Rejects STATE_LOCKED, STATE_DIRECTORY.
 */
export async function openState({ config, log, metrics, token }: ProcessContext): Promise<State | undefined> {
  const { dir, maxPending, writeEveryMs } = config.state;
  if (dir === undefined) return undefined;
  const directory = resolve(join(dir, String(token.worker)));
  const lock = await lockWhenFree(directory);
  const timers = new RealTimers((error) => log.error({ err: error }, 'timer failed'));
  try {
    const disk = await openDirectory(directory).catch((error: Error) => {
      throw new ImsdcError('STATE_DIRECTORY', { directory, problem: error.message }, { cause: error });
    });
    const journal = await Journal.open({
      disk,
      timers,
      log: log.child({ room: 'state' }),
      metrics,
      writeEveryMs,
      maxPending,
    });
    for (const problem of journal.problems) log.error({ err: problem, directory }, 'stored state is not whole');
    return {
      journal,
      close: async () => {
        await journal.close();
        timers.close();
        lock.release();
      },
    };
  } catch (error) {
    timers.close();
    lock.release();
    throw error;
  }
}
