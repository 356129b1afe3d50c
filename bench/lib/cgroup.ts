import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = '/sys/fs/cgroup';
/**
 * Who has used up its share waits for the rest of it. Half of the kernel's default: while one of several workers waits,
 * the calls of a closed loop gather at it, and the others have the less to do the longer it takes.
 */
const PERIOD_US = 50_000;

/** A group of processes that may use a part of one core; groups are named by us and removed by `remove`. */
export interface CpuCap {
  /** How long its threads together have been kept from running so far. */
  throttledMs(): number;
  remove(): void;
}

/** Caps a process with all its threads to `cores` (0.25: a quarter). Undefined: this machine does not let us. */
export function capCpu(pid: number, cores: number): CpuCap | undefined {
  const name = `imsdc-bench-${pid}`;
  const quotaUs = Math.round(PERIOD_US * cores);
  // Version 1 has a hierarchy of its own for the CPU; version 2 one for everything.
  const one = join(ROOT, 'cpu');
  const [parent, settings] = existsSync(join(one, 'cpu.cfs_quota_us'))
    ? [one, { 'cpu.cfs_period_us': `${PERIOD_US}`, 'cpu.cfs_quota_us': `${quotaUs}` }]
    : [ROOT, { 'cpu.max': `${quotaUs} ${PERIOD_US}` }];
  const folder = join(parent, name);
  try {
    mkdirSync(folder);
    for (const [file, value] of Object.entries(settings)) writeFileSync(join(folder, file), value);
    writeFileSync(join(folder, 'cgroup.procs'), `${pid}`);
  } catch {
    remove(folder, parent); // no rights, or no CPU controller: the caller says so
    return undefined;
  }
  return { throttledMs: () => throttledMs(folder), remove: () => remove(folder, parent) };
}

/** Nanoseconds in version 1, microseconds in version 2. */
function throttledMs(folder: string): number {
  const stat = readFileSync(join(folder, 'cpu.stat'), 'latin1');
  const [, unit, value] = /throttled_(time|usec) (\d+)/.exec(stat) ?? [];
  return Number(value ?? 0) / (unit === 'time' ? 1e6 : 1e3);
}

function remove(folder: string, parent: string): void {
  if (!existsSync(folder)) return;
  try {
    // Who still runs goes on uncapped: a group with processes cannot be removed.
    for (const pid of readFileSync(join(folder, 'cgroup.procs'), 'latin1').split('\n').filter(Boolean))
      writeFileSync(join(parent, 'cgroup.procs'), pid);
    rmdirSync(folder);
  } catch {
    // ended meanwhile, or never ours: an empty group does no harm
  }
}
