import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { treeCpuMs } from '../lib/cpu.ts';
import { type BenchOptions, type BenchRow, median } from '../lib/rows.ts';
import { startRtpengine } from './rtpengine.ts';
import { benchProgram, MF_CPU, pinned, startEngine, UE_CPU, WORKER } from './ue.ts';

/** First octet: DTLS for us, RTP version 2 for rtpengine. */
const DTLS = 22;
const RTP = 128;
/** CPU is measured with datagrams that come one by one; the rate with trains, or the core of the sender would be it. */
const WINDOW = '256';
const RATE_WINDOW = 'trains:256';
/** rtpengine gives a stream up when it finds more than 50 datagrams in one go, five times (its flood guard). */
const RTPENGINE_WINDOW = 'burst:40';

interface Forwarder {
  readonly pid: number;
  /** Where A sends, once the forwarder knows both ends. */
  readonly port: number;
  close(): Promise<void>;
}
type StartForwarder = (aPort: number, bPort: number) => Promise<Forwarder>;

interface Measured {
  readonly cpuUs: number;
  readonly perSecond: number;
  readonly lost: number;
}

/** Closed loop: `imsdc-udp-load` never has more than `window` datagrams on the way. */
async function measure(
  start: StartForwarder,
  first: number,
  bytes: number,
  window: string,
  seconds: number,
): Promise<Measured> {
  const args = [first, bytes, window, seconds].map(String);
  const command = pinned(UE_CPU, benchProgram('imsdc-udp-load'), ...args);
  const load = spawn(command.file, command.args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const [ports] = (await once(load.stdout, 'data')) as [Buffer];
  const [a, b] = ports.toString().trim().split(' ').map(Number) as [number, number];
  const forwarder = await start(a, b);
  const before = treeCpuMs(forwarder.pid);
  load.stdin.end(`${forwarder.port}\n`);
  const [result] = (await once(load.stdout, 'data')) as [Buffer];
  const cpu = treeCpuMs(forwarder.pid) - before;
  await forwarder.close();
  const {
    received,
    lost,
    seconds: took,
  } = JSON.parse(result.toString()) as { received: number; lost: number; seconds: number };
  return { cpuUs: (cpu * 1000) / received, perSecond: received / took, lost };
}

const ours: StartForwarder = async (aPort, bPort) => {
  const mf = await startEngine(pinned(MF_CPU, WORKER));
  const side = (port: number) => ({ bindAddress: '127.0.0.1', port: 0, remote: { address: '127.0.0.1', port } });
  const ends = await mf.flow('f', 'f', { a: side(aPort), b: side(bPort) });
  return { pid: (await mf.stats([])).workers[0]!.pid, port: ends.a.port, close: () => mf.close() };
};

/** Node's own forwarder: two connected sockets, as fast as its API allows. */
const nodeDgram: StartForwarder = async (aPort, bPort) => {
  const code = `
    const { createSocket } = require('node:dgram');
    const [a, b] = [createSocket('udp4'), createSocket('udp4')];
    a.bind(0, '127.0.0.1', () => b.bind(0, '127.0.0.1', () => {
      a.setRecvBufferSize(1 << 21); b.setSendBufferSize(1 << 21);
      a.connect(${aPort}, '127.0.0.1', () => b.connect(${bPort}, '127.0.0.1', () => {
        for (const socket of [a, b]) socket.on('error', () => undefined); // the load has ended
        a.on('message', (message) => b.send(message));
        b.on('message', (message) => a.send(message));
        process.send(a.address().port);
      }));
    }));`;
  const command = pinned(MF_CPU, process.execPath, '-e', code);
  const child: ChildProcess = spawn(command.file, command.args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const [port] = (await once(child, 'message')) as [number];
  return {
    pid: child.pid!,
    port,
    close: async () => {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
};

interface Rounds {
  readonly cpuUs: number[];
  readonly perSecond: number[];
  lost: number;
}

const rounds = (): Rounds => ({ cpuUs: [], perSecond: [], lost: 0 });

/** One round of a forwarder: datagram by datagram for the CPU, in trains for the rate. */
async function round(into: Rounds, start: StartForwarder, bytes: number, seconds: number): Promise<void> {
  const single = await measure(start, DTLS, bytes, WINDOW, seconds);
  const trains = await measure(start, DTLS, bytes, RATE_WINDOW, seconds);
  into.cpuUs.push(single.cpuUs);
  into.perSecond.push(Math.max(single.perSecond, trains.perSecond));
  into.lost += single.lost + trains.lost;
}

/** Forwarding of end-to-end datagrams in user space: CPU per datagram, and what passes without loss. */
export async function rows({ quick, progress }: BenchOptions): Promise<BenchRow[]> {
  const seconds = quick ? 1 : 2;
  const result: BenchRow[] = [];
  for (const bytes of [200, 1200]) {
    const measured = { ours: rounds(), dgram: rounds(), rtpengine: rounds() };
    for (let run = 0; run < (quick ? 1 : 3); run++) {
      await round(measured.ours, ours, bytes, seconds);
      await round(measured.dgram, nodeDgram, bytes, seconds);
      const rtpengine = await startRtpengine(MF_CPU);
      if (rtpengine) {
        const { cpuUs, perSecond, lost } = await measure(rtpengine, RTP, bytes, RTPENGINE_WINDOW, seconds);
        measured.rtpengine.cpuUs.push(cpuUs);
        measured.rtpengine.perSecond.push(perSecond);
        measured.rtpengine.lost += lost;
      }
      const text = ({ cpuUs, perSecond }: Rounds) =>
        cpuUs.length > 0 ? `${cpuUs.at(-1)!.toFixed(2)} us, ${Math.round(perSecond.at(-1)!)}/s` : 'absent';
      progress(
        `${bytes} B: ours ${text(measured.ours)}; dgram ${text(measured.dgram)}; rtpengine ${text(measured.rtpengine)}`,
      );
    }
    result.push(...rowsBeside('Node dgram', bytes, measured.ours, measured.dgram));
    if (measured.rtpengine.cpuUs.length > 0) {
      result.push(...rowsBeside('rtpengine', bytes, measured.ours, measured.rtpengine));
    }
  }
  return result;
}

function rowsBeside(name: string, bytes: number, ours: Rounds, peer: Rounds): BenchRow[] {
  const [own, other] = [median(ours.cpuUs), median(peer.cpuUs)];
  const [rate, otherRate] = [median(ours.perSecond), median(peer.perSecond)];
  const burst = name === 'rtpengine' ? '; rtpengine in bursts of 40' : '';
  return [
    {
      bench: 'datagram',
      row: `${bytes} B, CPU per datagram, beside ${name}`,
      ours: own,
      peer: other,
      unit: 'us',
      ratio: own / other,
      goal: '<= 3 us',
      met: own <= 3,
      note: `sent one by one, window ${WINDOW}${burst}`,
    },
    {
      bench: 'datagram',
      row: `${bytes} B, datagrams without loss, beside ${name}`,
      ours: rate,
      peer: otherRate,
      unit: '1/s',
      ratio: rate / otherRate,
      goal: '>= 3 x',
      met: rate >= 3 * otherRate && ours.lost === 0,
      note: `sent in trains${burst}; lost ${ours.lost}; sender and receiver share one core`,
    },
  ];
}
