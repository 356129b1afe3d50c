import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { treeCpuMs } from '../lib/cpu.ts';
import { type BenchOptions, type BenchRow, median } from '../lib/rows.ts';
import { startRtpengine } from './rtpengine.ts';
import { benchProgram, MF_CPU, pinned, startEngine, UE_CPU, WORKER } from './ue.ts';

/** First octet: DTLS for us, RTP version 2 for rtpengine. */
const DTLS = 22;
const RTP = 128;
const WINDOW = 256;
/** rtpengine drops a stream when more than 50 datagrams wait at once (its flood guard). */
const RTPENGINE_WINDOW = 8;
const MIN_COMPARABLE_PER_SECOND = 10_000;

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
  window: number,
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

/** Forwarding of end-to-end datagrams in user space: CPU per datagram, and what passes without loss. */
export async function rows({ quick, progress }: BenchOptions): Promise<BenchRow[]> {
  const runs = quick ? 1 : 3;
  const seconds = quick ? 1 : 3;
  const result: BenchRow[] = [];
  for (const bytes of [200, 1200]) {
    const measured = { ours: [] as Measured[], dgram: [] as Measured[], rtpengine: [] as Measured[] };
    for (let run = 0; run < runs; run++) {
      measured.ours.push(await measure(ours, DTLS, bytes, WINDOW, seconds));
      measured.dgram.push(await measure(nodeDgram, DTLS, bytes, WINDOW, seconds));
      const rtpengine = await startRtpengine(MF_CPU);
      if (rtpengine) {
        measured.rtpengine.push(await measure(rtpengine, RTP, bytes, RTPENGINE_WINDOW, seconds));
      }
      const text = (all: Measured[]) =>
        all.length ? `${all.at(-1)!.cpuUs.toFixed(2)} us, ${Math.round(all.at(-1)!.perSecond)}/s` : 'absent';
      progress(
        `${bytes} B: ours ${text(measured.ours)}; dgram ${text(measured.dgram)}; rtpengine ${text(measured.rtpengine)}`,
      );
    }
    const middle = (all: Measured[], what: 'cpuUs' | 'perSecond') => median(all.map((one) => one[what]));
    const peers = [
      ['Node dgram', measured.dgram],
      ['rtpengine', measured.rtpengine],
    ] as const;
    for (const [name, peer] of peers) {
      // rtpengine's flood guard may drop the whole stream: then there is nothing to compare with.
      if (peer.length === 0 || middle(peer, 'perSecond') < MIN_COMPARABLE_PER_SECOND) continue;
      const [own, other] = [middle(measured.ours, 'cpuUs'), middle(peer, 'cpuUs')];
      result.push({
        bench: 'datagram',
        row: `${bytes} B, CPU per datagram, beside ${name}`,
        ours: own,
        peer: other,
        unit: 'us',
        ratio: own / other,
        goal: '<= 3 us',
        met: own <= 3,
        note: `window ${WINDOW}${name === 'rtpengine' ? `, rtpengine ${RTPENGINE_WINDOW}` : ''}`,
      });
      const [rate, otherRate] = [middle(measured.ours, 'perSecond'), middle(peer, 'perSecond')];
      result.push({
        bench: 'datagram',
        row: `${bytes} B, datagrams without loss, beside ${name}`,
        ours: rate,
        peer: otherRate,
        unit: '1/s',
        ratio: rate / otherRate,
        goal: '>= 3 x',
        met: rate >= 3 * otherRate && measured.ours.every(({ lost }) => lost === 0),
        note: `lost ${measured.ours.reduce((sum, { lost }) => sum + lost, 0)}; sender and receiver share one core`,
      });
    }
  }
  return result;
}
