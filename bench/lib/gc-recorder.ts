import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { PerformanceObserver, performance } from 'node:perf_hooks';
import { GC_FOLDER } from './gc-pauses.ts';

/** Loaded before a measured process (`--import`): one line per pause, when it began (epoch ms) and how long it was (ms). */
const SHORTEST_MS = 5;
const folder = process.env[GC_FOLDER];

if (folder !== undefined) {
  const file = join(folder, String(process.pid));
  new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries())
      if (duration >= SHORTEST_MS)
        appendFileSync(file, `${Math.round(performance.timeOrigin + startTime)} ${duration.toFixed(1)}\n`);
  }).observe({ entryTypes: ['gc'] });
}
