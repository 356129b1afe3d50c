import { setTimeout as sleep } from 'node:timers/promises';
import { treeCpuMs } from '../lib/cpu.ts';
import { type BenchOptions, type BenchRow, median } from '../lib/rows.ts';
import { NdcPeer } from './ndc-peer.ts';
import { BenchUe, connectPlain, MF_CPU, pinned, startEngine, WORKER } from './ue.ts';

/** Message size, share of the peer's CPU that we may need, and whether the figure is per message or per KB. */
const SIZES = [
  { bytes: 64, goal: 0.35, perKb: false },
  { bytes: 1024, goal: 0.45, perKb: false },
  { bytes: 16_384, goal: 0.6, perKb: true },
  { bytes: 65_536, goal: 0.6, perKb: true },
] as const;

interface Measured {
  readonly cpuUsPerMessage: number;
  readonly messagesPerSecond: number;
}

/** UE A floods, the MF relays, UE B counts: CPU of the MF process, all its threads, per message that arrived at B. */
async function measure(ue: BenchUe, pid: number, fromPort: number, toPort: number, bytes: number, ms: number) {
  await ue.sink(toPort, 0);
  await ue.flood(fromPort, 0, bytes);
  await sleep(500); // the congestion window opens
  await ue.report();
  const before = treeCpuMs(pid);
  const started = performance.now();
  await sleep(ms);
  await ue.stop();
  // What is still queued in the MF costs and counts too: until nothing more arrives.
  let received = 0;
  let elapsedMs = 0;
  for (;;) {
    const { received: more } = await ue.report();
    received += more;
    if (elapsedMs > 0 && more === 0) break;
    elapsedMs = performance.now() - started;
    await sleep(100);
  }
  const cpuMs = treeCpuMs(pid) - before;
  return { cpuUsPerMessage: (cpuMs * 1000) / received, messagesPerSecond: (received * 1000) / elapsedMs };
}

async function ours(bytes: number, ms: number): Promise<Measured> {
  const mf = await startEngine(pinned(MF_CPU, WORKER));
  const ue = await BenchUe.start();
  try {
    const a = await connectPlain(ue.engine, mf, 'a', 'call');
    const b = await connectPlain(ue.engine, mf, 'b', 'call');
    await mf.route({ key: 'a', streamId: 0 }, { kind: 'stream', to: { key: 'b', streamId: 0 } });
    await ue.engine.route({ key: 'b', streamId: 0 }, { kind: 'payload' });
    const pid = (await mf.stats([])).workers[0]!.pid;
    return await measure(ue, pid, a.ue.port, b.ue.port, bytes, ms);
  } finally {
    await Promise.all([mf.close(), ue.close()]);
  }
}

async function peer(bytes: number, ms: number): Promise<Measured> {
  const mf = new NdcPeer();
  const ue = await BenchUe.start();
  try {
    const b = await mf.connect(ue.engine, 'b');
    const a = await mf.connect(ue.engine, 'a', 'b');
    await ue.engine.route({ key: 'b', streamId: 0 }, { kind: 'payload' });
    return await measure(ue, mf.pid, a.port, b.port, bytes, ms);
  } finally {
    await Promise.all([mf.close(), ue.close()]);
  }
}

/** Relay A -> MF -> B under load: ours beside node-datachannel with ICE and a relay in JavaScript. */
export async function rows({ quick, progress }: BenchOptions): Promise<BenchRow[]> {
  const result: BenchRow[] = [];
  const runs = quick ? 1 : 3;
  const ms = quick ? 1000 : 3000;
  for (const { bytes, goal, perKb } of SIZES) {
    const [mine, theirs]: [Measured[], Measured[]] = [[], []];
    for (let run = 0; run < runs; run++) {
      mine.push(await ours(bytes, ms));
      theirs.push(await peer(bytes, ms));
      progress(
        `${bytes} B: ${mine.at(-1)!.cpuUsPerMessage.toFixed(2)} us, peer ${theirs.at(-1)!.cpuUsPerMessage.toFixed(2)} us`,
      );
    }
    const scale = perKb ? 1024 / bytes : 1;
    const [own, other] = [mine, theirs].map((all) => median(all.map((one) => one.cpuUsPerMessage)) * scale) as [
      number,
      number,
    ];
    result.push({
      bench: 'relay',
      row: `${bytes} B messages, CPU of the MF`,
      ours: own,
      peer: other,
      unit: perKb ? 'us/KB' : 'us/message',
      ratio: own / other,
      goal: `<= ${goal} x`,
      met: own / other <= goal,
      note: `${Math.round(median(mine.map((one) => one.messagesPerSecond)))} messages/s, peer ${Math.round(median(theirs.map((one) => one.messagesPerSecond)))}`,
    });
  }
  return result;
}
