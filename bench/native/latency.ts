import { setTimeout as sleep } from 'node:timers/promises';
import { type BenchOptions, type BenchRow, median } from '../lib/rows.ts';
import { NdcPeer } from './ndc-peer.ts';
import { BenchUe, connectPlain, MF_CPU, pinned, startEngine, type UeReport, WORKER } from './ue.ts';

const BYTES = 200;
const PER_SECOND = 500;

async function paced(ue: BenchUe, fromPort: number, toPort: number, ms: number): Promise<UeReport> {
  await ue.sink(toPort, 0);
  await ue.pace(fromPort, 0, BYTES, PER_SECOND);
  await sleep(300);
  await ue.report();
  await sleep(ms);
  return ue.report();
}

/** UE to UE with nothing between them: two processes, as with an MF between. */
async function direct(ms: number): Promise<UeReport> {
  const [a, b] = [await BenchUe.start(), await BenchUe.start(MF_CPU)];
  try {
    const ports = await connectPlain(a.engine, b.engine, 'x', 'x');
    await b.engine.route({ key: 'x', streamId: 0 }, { kind: 'payload' });
    await b.sink(ports.mf.port, 0);
    await a.pace(ports.ue.port, 0, BYTES, PER_SECOND);
    await sleep(300);
    await b.report();
    await sleep(ms);
    return await b.report();
  } finally {
    await Promise.all([a.close(), b.close()]);
  }
}

async function ours(ms: number): Promise<UeReport> {
  const [mf, ue] = [await startEngine(pinned(MF_CPU, WORKER)), await BenchUe.start()];
  try {
    const a = await connectPlain(ue.engine, mf, 'a', 'call');
    const b = await connectPlain(ue.engine, mf, 'b', 'call');
    await mf.route({ key: 'a', streamId: 0 }, { kind: 'stream', to: { key: 'b', streamId: 0 } });
    await ue.engine.route({ key: 'b', streamId: 0 }, { kind: 'payload' });
    return await paced(ue, a.ue.port, b.ue.port, ms);
  } finally {
    await Promise.all([mf.close(), ue.close()]);
  }
}

async function peer(ms: number): Promise<UeReport> {
  const [mf, ue] = [new NdcPeer(), await BenchUe.start()];
  try {
    const b = await mf.connect(ue.engine, 'b');
    const a = await mf.connect(ue.engine, 'a', 'b');
    await ue.engine.route({ key: 'b', streamId: 0 }, { kind: 'payload' });
    return await paced(ue, a.port, b.port, ms);
  } finally {
    await Promise.all([mf.close(), ue.close()]);
  }
}

/** What the MF adds to the one-way time of a small message at light load: with it minus the two UEs directly. */
export async function rows({ quick, progress }: BenchOptions): Promise<BenchRow[]> {
  const runs = quick ? 1 : 5;
  const ms = quick ? 1000 : 4000;
  const results: { direct: UeReport; ours: UeReport; peer: UeReport }[] = [];
  for (let run = 0; run < runs; run++) {
    const one = { direct: await direct(ms), ours: await ours(ms), peer: await peer(ms) };
    results.push(one);
    const text = (report: UeReport) => `${report.p50Us.toFixed(0)}/${report.p99Us.toFixed(0)}`;
    progress(`p50/p99 us: direct ${text(one.direct)}, ours ${text(one.ours)}, peer ${text(one.peer)}`);
  }
  const added = (who: 'ours' | 'peer', share: 'p50Us' | 'p99Us') =>
    median(results.map((one) => one[who][share] - one.direct[share]));
  return (['p50Us', 'p99Us'] as const).map((share) => {
    const goal = share === 'p50Us' ? 80 : 300;
    const [own, other] = [added('ours', share), added('peer', share)];
    return {
      bench: 'latency',
      row: `added one-way time, ${share.slice(0, 3)}, ${BYTES} B at ${PER_SECOND}/s`,
      ours: own,
      peer: other,
      unit: 'us',
      ratio: own / other,
      goal: `<= ${goal} us`,
      met: own <= goal,
      note: `median of ${runs} runs`,
    };
  });
}
