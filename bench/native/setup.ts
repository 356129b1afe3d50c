import { setTimeout as sleep } from 'node:timers/promises';
import { treeCpuMs } from '../lib/cpu.ts';
import { type BenchOptions, type BenchRow, percentile } from '../lib/rows.ts';
import { NdcPeer } from './ndc-peer.ts';
import { BenchUe, connectPlain, MF_CPU, pinned, startEngine, WORKER } from './ue.ts';

const IN_FLIGHT = 8;

interface Setups {
  readonly perCpuSecond: number;
  readonly perSecond: number;
}

/** Opens `count` associations, a few at a time; the CPU is that of the process `pid`. */
async function saturate(pid: number, count: number, open: (index: number) => Promise<unknown>): Promise<Setups> {
  for (let index = 0; index < 20; index++) await open(-1 - index); // code and caches warm
  const [cpu, started] = [treeCpuMs(pid), performance.now()];
  let next = 0;
  const lane = async () => {
    for (let index = next++; index < count; index = next++) await open(index);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  return {
    perCpuSecond: (count * 1000) / (treeCpuMs(pid) - cpu),
    perSecond: (count * 1000) / (performance.now() - started),
  };
}

async function ours(count: number, loadedMs: number): Promise<Setups & { readonly openMs: number[] }> {
  const [mf, ue] = [await startEngine(pinned(MF_CPU, WORKER)), await BenchUe.start()];
  const open = (name: string, mfRole: 'active' | 'passive') => connectPlain(ue.engine, mf, name, name, { mfRole });
  const roleOf = (index: number) => (index % 2 === 0 ? 'active' : 'passive');
  try {
    const pid = (await mf.stats([])).workers[0]!.pid;
    const setups = await saturate(pid, count, (index) => open(`s${index}`, roleOf(index)));
    // 70 % of what this machine does, evenly spaced, whatever is still open.
    const gapMs = 1000 / (setups.perSecond * 0.7);
    const openMs: number[] = [];
    const running: Promise<void>[] = [];
    const started = performance.now();
    for (let index = 0; performance.now() - started < loadedMs; index++) {
      const at = performance.now();
      running.push(open(`l${index}`, roleOf(index)).then(() => void openMs.push(performance.now() - at)));
      const wait = started + (index + 1) * gapMs - performance.now();
      if (wait > 0) await sleep(wait);
    }
    await Promise.all(running);
    return { ...setups, openMs };
  } finally {
    await Promise.all([mf.close(), ue.close()]);
  }
}

async function peer(count: number): Promise<Setups> {
  const [mf, ue] = [new NdcPeer(), await BenchUe.start()];
  try {
    return await saturate(mf.pid, count, (index) => mf.connect(ue.engine, `s${index}`));
  } finally {
    await Promise.all([mf.close(), ue.close()]);
  }
}

/** From nothing to a connected association with one stream, MF active and passive in turn. */
export async function rows({ quick, progress }: BenchOptions): Promise<BenchRow[]> {
  const own = await ours(quick ? 200 : 1500, quick ? 1000 : 5000);
  progress(`ours ${own.perCpuSecond.toFixed(0)} per CPU second, ${own.perSecond.toFixed(0)} per second`);
  const other = await peer(quick ? 50 : 200);
  progress(`peer ${other.perCpuSecond.toFixed(0)} per CPU second, ${other.perSecond.toFixed(0)} per second`);
  const [p99, slowest] = [percentile(own.openMs, 0.99), Math.max(...own.openMs)];
  return [
    {
      bench: 'setup',
      row: 'associations per second of MF CPU',
      ours: own.perCpuSecond,
      peer: other.perCpuSecond,
      unit: '1/s',
      ratio: own.perCpuSecond / other.perCpuSecond,
      goal: '>= 1,000/s and >= 3 x',
      met: own.perCpuSecond >= 1000 && own.perCpuSecond >= 3 * other.perCpuSecond,
      note: `worker process; ${own.perSecond.toFixed(0)}/s on this machine with both UEs on it`,
    },
    {
      bench: 'setup',
      row: 'time to open at 70 % load, p99',
      ours: p99,
      unit: 'ms',
      goal: '< 250 ms, none of 1 s',
      met: p99 < 250 && slowest < 1000,
      note: `${own.openMs.length} set-ups, slowest ${slowest.toFixed(0)} ms`,
    },
  ];
}
