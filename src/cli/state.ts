import { join, resolve } from 'node:path';
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

/**
 * What `imsdc dcsf` keeps over a restart; undefined: `state.dir` is not configured. Each worker has a directory of its
 * own below it. Rejects STATE_LOCKED, STATE_DIRECTORY.
 */
export async function openState({ config, log, metrics, token }: ProcessContext): Promise<State | undefined> {
  const { dir, maxPending, writeEveryMs } = config.state;
  if (dir === undefined) return undefined;
  const directory = resolve(join(dir, String(token.worker)));
  const lock = lockDirectory(directory);
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
