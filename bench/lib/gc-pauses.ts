import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** Folder for the files of `gc-recorder.ts`, a file per process. */
export const GC_FOLDER = 'IMSDC_BENCH_GC';
/** `NODE_OPTIONS` by which a process and its children write down how long they stood still to collect garbage. */
export const GC_RECORDER = `--import ${resolve(import.meta.dirname, 'gc-recorder.ts')}`;

export interface GcPauses {
  /** Only those of 5 ms and more. */
  readonly count: number;
  readonly longestMs: number;
}

/** The pauses of one process since `sinceMs`, by the clock: what a throttled process waits is in them. */
export function gcPauses(folder: string, pid: number, sinceMs: number): GcPauses {
  const file = join(folder, String(pid));
  const lines = existsSync(file) ? readFileSync(file, 'latin1').split('\n').filter(Boolean) : [];
  const durations = lines
    .map((line) => line.split(' ').map(Number))
    .filter(([startedMs = 0]) => startedMs >= sinceMs)
    .map(([, durationMs = 0]) => durationMs);
  return { count: durations.length, longestMs: Math.max(0, ...durations) };
}
