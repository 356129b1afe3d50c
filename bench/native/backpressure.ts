import { setTimeout as sleep } from 'node:timers/promises';
import { residentBytes } from '../lib/cpu.ts';
import type { BenchOptions, BenchRow } from '../lib/rows.ts';
import { NdcPeer } from './ndc-peer.ts';
import { BenchUe, connectPlain, MF_CPU, pinned, startEngine, UE_CPU, WORKER } from './ue.ts';

const BYTES = 16_384;
/** What a message costs besides its bytes (docs/media-worker.md). */
const MESSAGE_OVERHEAD_BYTES = 16;
/** When nothing has arrived for so long, what is missing is lost: longer than a retransmission time-out that has grown. */
const QUIET_MS = 20_000;

interface Stall {
  readonly grownMb: number;
  readonly lost: number;
}

/** A floods; B is stopped (SIGSTOP) for `stallMs`; then both run until everything has arrived. */
async function stall(
  sender: BenchUe,
  reader: BenchUe,
  pid: number,
  ports: { from: number; to: number },
  stallMs: number,
): Promise<Stall> {
  await reader.sink(ports.to, 0);
  await sender.flood(ports.from, 0, BYTES);
  await sleep(1500); // buffers of a running transfer are filled
  const readerPid = (await reader.engine.stats([])).workers[0]!.pid;
  const before = residentBytes(pid);
  process.kill(readerPid, 'SIGSTOP');
  let peak = before;
  for (const until = performance.now() + stallMs; performance.now() < until; await sleep(200)) {
    peak = Math.max(peak, residentBytes(pid));
  }
  process.kill(readerPid, 'SIGCONT');
  await sleep(1000);
  await sender.stop();
  const { sent } = await sender.report();
  let received = 0;
  for (let quietMs = 0; quietMs < QUIET_MS && received < sent; quietMs += 250) {
    const report = await reader.report();
    received += report.received;
    if (report.received > 0) quietMs = 0;
    await sleep(250);
  }
  return { grownMb: (peak - before) / 1024 / 1024, lost: sent - received };
}

/** The reader's stack stays alive and closes its window: B takes no more messages for `stallMs`, then all of them. */
async function ours(stallMs: number): Promise<Stall> {
  const mf = await startEngine(pinned(MF_CPU, WORKER), { slowReaderLimitMs: 10 * 60_000 });
  const a = await BenchUe.start();
  // A UE that takes messages as its application grants, and whose own worker is patient with it too.
  const b = await startEngine(pinned(UE_CPU, WORKER), { slowReaderLimitMs: 10 * 60_000 });
  try {
    const from = await connectPlain(a.engine, mf, 'a', 'call');
    await connectPlain(b, mf, 'b', 'call');
    await mf.route({ key: 'a', streamId: 0 }, { kind: 'stream', to: { key: 'b', streamId: 0 } });
    await b.route({ key: 'b', streamId: 0 }, { kind: 'payload' });
    const pid = (await mf.stats([])).workers[0]!.pid;
    const reader = b.payload({ key: 'b', streamId: 0 }, 1 << 20);
    let [received, owed, reading] = [0, 0, true];
    const grant = () => {
      if (!reading) return;
      reader.grant(owed);
      owed = 0;
    };
    reader.onMessage = (message) => {
      received++;
      owed += message.length + MESSAGE_OVERHEAD_BYTES;
      grant();
    };
    await a.flood(from.ue.port, 0, BYTES);
    await sleep(1500); // buffers of a running transfer are filled
    const before = residentBytes(pid);
    reading = false;
    let peak = before;
    for (const until = performance.now() + stallMs; performance.now() < until; await sleep(200)) {
      peak = Math.max(peak, residentBytes(pid));
    }
    reading = true;
    grant();
    await sleep(1000);
    await a.stop();
    const { sent } = await a.report();
    for (let [quietMs, seen] = [0, received]; quietMs < QUIET_MS && received < sent; quietMs += 250) {
      await sleep(250);
      if (received > seen) quietMs = 0;
      seen = received;
    }
    return { grownMb: (peak - before) / 1024 / 1024, lost: sent - received };
  } finally {
    await Promise.all([mf.close(), a.close(), b.close()]);
  }
}

async function peer(stallMs: number): Promise<Stall> {
  const mf = new NdcPeer();
  const a = await BenchUe.start();
  const b = await BenchUe.start(undefined, { hungAfterMs: 10 * 60_000 });
  try {
    const to = await mf.connect(b.engine, 'b');
    const from = await mf.connect(a.engine, 'a', 'b');
    await b.engine.route({ key: 'b', streamId: 0 }, { kind: 'payload' });
    return await stall(a, b, mf.pid, { from: from.port, to: to.port }, stallMs);
  } finally {
    await Promise.all([mf.close(), a.close(), b.close()]);
  }
}

/** A reader that stalls under a full-speed sender: does the MF's memory grow, is anything lost after it resumes? */
export async function rows({ quick, progress }: BenchOptions): Promise<BenchRow[]> {
  const stallMs = quick ? 8000 : 60_000;
  const own = await ours(stallMs);
  progress(`ours grew ${own.grownMb.toFixed(1)} MB, lost ${own.lost}`);
  const other = await peer(8000); // it gives the reader up after 15 s
  progress(`peer grew ${other.grownMb.toFixed(1)} MB in 8 s, lost ${other.lost}`);
  return [
    {
      bench: 'backpressure',
      row: `growth of the MF, reader stalled ${stallMs / 1000} s`,
      ours: own.grownMb,
      peer: other.grownMb,
      unit: 'MB',
      goal: '<= 4 MB',
      met: own.grownMb <= 4,
      note: 'the peer is stalled for 8 s only',
    },
    {
      bench: 'backpressure',
      row: 'messages lost after the reader resumed',
      ours: own.lost,
      peer: other.lost,
      unit: 'messages',
      goal: '0',
      met: own.lost === 0,
    },
  ];
}
