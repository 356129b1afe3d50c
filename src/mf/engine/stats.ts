import type { Entries } from './entries.ts';
import type { EngineStats } from './types.ts';
import type { WorkerProcess } from './worker-process.ts';

/** A STATS request takes no more handles. */
const BATCH = 16;

/** Asks each worker for the figures of those of `keys` that live in it. */
export async function collectStats(
  workers: readonly WorkerProcess[],
  entries: Entries,
  keys: readonly string[],
): Promise<EngineStats> {
  const associations: EngineStats['associations'][number][] = [];
  for (const worker of workers) {
    const own = keys.flatMap((key) => {
      const entry = entries.find(key);
      return entry?.worker === worker ? [entry] : [];
    });
    for (let at = 0; at < own.length; at += BATCH) {
      const { records } = await worker.stats(own.slice(at, at + BATCH));
      for (const { handle, generation, ...figures } of records) {
        const entry = entries.owner(worker, { handle, generation });
        if (entry) associations.push({ key: entry.key, kind: entry.kind, ...figures });
      }
    }
  }
  return {
    workers: workers.map(({ pid, load, loopLagMs }) => ({ pid, associations: load, loopLagMs })),
    associations,
  };
}
