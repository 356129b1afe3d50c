import { setTimeout as sleep } from 'node:timers/promises';
import { cpuMs, residentBytes } from '../lib/cpu.ts';
import type { BenchOptions, BenchRow } from '../lib/rows.ts';
import { NdcPeer } from './ndc-peer.ts';
import { BenchUe, connectPlain, MF_CPU, pinned, startEngine, WORKER } from './ue.ts';

const IN_FLIGHT = 8;
/** The worker gives OpenSSL's buffers back within so long of the last record. */
const SETTLE_MS = 9000;
/** After this no more associations of the peer are opened. */
const PEER_SETUP_MS = 60_000;

async function openMany(from: number, to: number, open: (index: number) => Promise<unknown>): Promise<void> {
  let next = from;
  const lane = async () => {
    for (let index = next++; index < to; index = next++) await open(index);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
}

/** Memory and idle CPU of associations with one channel on which nothing happens. */
export async function rows({ quick, progress }: BenchOptions): Promise<BenchRow[]> {
  const [warm, many, idle, idleMs] = quick ? [20, 200, 500, 3000] : [50, 1050, 5000, 20_000];
  const mf = await startEngine(pinned(MF_CPU, WORKER));
  const ue = await BenchUe.start();
  const pid = (await mf.stats([])).workers[0]!.pid;
  const open = (index: number) => connectPlain(ue.engine, mf, `i${index}`, `i${index}`);
  const result: BenchRow[] = [];
  try {
    await openMany(0, warm, open);
    await sleep(SETTLE_MS);
    const before = residentBytes(pid);
    await openMany(warm, many, open);
    await sleep(SETTLE_MS);
    const perAssociation = (residentBytes(pid) - before) / (many - warm) / 1024;
    progress(`ours ${perAssociation.toFixed(1)} KB per association`);
    const other = await peer(quick ? 50 : 1000, idleMs);
    progress(`peer ${other.kilobytes.toFixed(0)} KB per association, idle CPU ${other.idlePercent.toFixed(1)} %`);
    result.push({
      bench: 'memory',
      row: `idle association, 112 streams, of ${many - warm}`,
      ours: perAssociation,
      peer: other.kilobytes,
      unit: 'KB',
      ratio: perAssociation / other.kilobytes,
      goal: '<= 55 KB',
      met: perAssociation <= 55,
    });
    result.push(await wideRow(ue, mf, pid));
    await openMany(many, idle, open);
    await sleep(SETTLE_MS);
    const cpu = cpuMs(pid);
    const started = performance.now();
    await sleep(idleMs);
    const percent = ((cpuMs(pid) - cpu) / (performance.now() - started)) * 100;
    progress(`idle CPU of ${idle}: ${percent.toFixed(1)} %`);
    result.push({
      bench: 'memory',
      row: `idle CPU of ${idle} associations`,
      ours: percent,
      peer: other.idlePercent,
      unit: '% of a core',
      goal: '<= 5 %',
      met: percent <= 5,
      note: `heartbeats every 25 s of both sides included; the peer holds ${other.count}`,
    });
    result.push(await budgetRow());
    return result;
  } finally {
    await Promise.all([mf.close(), ue.close()]);
  }
}

/** A line with id 38754 costs what usrsctp's dense tables cost, and gives it back. */
async function wideRow(ue: BenchUe, mf: Awaited<ReturnType<typeof startEngine>>, pid: number): Promise<BenchRow> {
  const count = 8;
  const open = (index: number) =>
    connectPlain(ue.engine, mf, `w${index}`, `w${index}`, { streamIds: [38_754], streams: 38_755 });
  const before = residentBytes(pid);
  await openMany(0, count, open);
  const peak = residentBytes(pid) - before;
  await Promise.all(Array.from({ length: count }, (_, index) => mf.release(`w${index}`)));
  await sleep(2000);
  const kept = (residentBytes(pid) - before) / 1024 / 1024;
  return {
    bench: 'memory',
    row: `${count} associations with id 38754: kept after release`,
    ours: kept,
    unit: 'MB',
    goal: '<= 2 MB',
    met: kept <= 2,
    note: `${(peak / count / 1024 / 1024).toFixed(1)} MB each while open`,
  };
}

interface Peer {
  readonly count: number;
  readonly kilobytes: number;
  readonly idlePercent: number;
}

/** Fewer when it becomes too slow: each set-up of libjuice costs more than the one before. */
async function peer(most: number, idleMs: number): Promise<Peer> {
  const [mf, ue] = [new NdcPeer(), await BenchUe.start()];
  try {
    await openMany(0, 20, (index) => mf.connect(ue.engine, `p${index}`));
    await sleep(1000);
    const before = residentBytes(mf.pid);
    const deadline = performance.now() + PEER_SETUP_MS;
    let count = 0;
    while (count < most && performance.now() < deadline) {
      const next = Math.min(most, count + 50);
      await openMany(20 + count, 20 + next, (index) => mf.connect(ue.engine, `p${index}`));
      count = next;
    }
    await sleep(1000);
    const kilobytes = (residentBytes(mf.pid) - before) / count / 1024;
    const cpu = cpuMs(mf.pid);
    const started = performance.now();
    await sleep(idleMs / 2);
    const idlePercent = ((cpuMs(mf.pid) - cpu) / (performance.now() - started)) * 100;
    return { count: count + 20, kilobytes, idlePercent };
  } finally {
    await Promise.all([mf.close(), ue.close()]);
  }
}

/** A worker with a budget: over it the lines are refused, and what is there goes on. */
async function budgetRow(): Promise<BenchRow> {
  const budget = 64 << 20;
  const mf = await startEngine(pinned(MF_CPU, WORKER), { memoryBudgetBytes: budget });
  const ue = await BenchUe.start();
  try {
    const pid = (await mf.stats([])).workers[0]!.pid;
    let open = 0;
    let refused = 0;
    // 38,755 streams are some megabytes each: far more than fit.
    for (let index = 0; index < 64 && refused < 3; index++) {
      const options = { streamIds: [38_754], streams: 38_755 };
      await connectPlain(ue.engine, mf, `b${index}`, `b${index}`, options).then(
        () => open++,
        () => refused++,
      );
    }
    const resident = residentBytes(pid) / 1024 / 1024;
    return {
      bench: 'memory',
      row: `wide associations under a budget of ${budget >> 20} MB: resident`,
      ours: resident,
      unit: 'MB',
      goal: `<= ${(budget >> 20) * 1.25}, the rest refused`,
      met: refused === 3 && open > 0 && resident <= (budget / 1024 / 1024) * 1.25,
      note: `${open} open, then refused with BUDGET`,
    };
  } finally {
    await Promise.all([mf.close(), ue.close()]);
  }
}
