import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { silentLogger as log } from '../../src/base/log.ts';
import { createCertificate } from '../../src/dtls/certificate.ts';
import { DeviceForwarding } from '../../src/mf/datagrams/device-table.ts';
import { KernelFlows } from '../../src/mf/datagrams/kernel-flows.ts';
import { routedForwarding } from '../../src/mf/datagrams/routed-table.ts';
import { EngineClient } from '../../src/mf/engine/client.ts';
import { Namespaces, namespacesMissing } from '../../test/mf/datagrams/namespaces.ts';
import { treeCpuMs } from '../lib/cpu.ts';
import { type BenchOptions, type BenchRow, median } from '../lib/rows.ts';
import { benchProgram, UE_CPU, WORKER } from './ue.ts';

const DTLS = 22;
const WINDOW = 256;
/** The MF's addresses towards A and B, and theirs (Namespaces). */
const [MF_A, MF_B, A, B] = ['10.77.1.1', '10.77.2.1', '10.77.1.2', '10.77.2.2'];

interface Measured {
  readonly perSecond: number;
  readonly lost: number;
  /** Of the worker, per datagram. */
  readonly cpuUs: number;
  /** Of all that the way costs, per datagram: one core sends, forwards and receives. */
  readonly wholeUs: number;
}

type Prepare = (
  aPort: number,
  bPort: number,
) => Promise<{ port: number; workerPid: number | undefined; done(): Promise<void> }>;

/** Closed loop from namespace A to the receiver; one process sends and receives. */
async function measure(
  spaces: Namespaces,
  receiver: readonly [string, string],
  bytes: number,
  seconds: number,
  prepare: Prepare,
): Promise<Measured> {
  const sizes = [DTLS, bytes, WINDOW, seconds].map(String);
  const words = ['-c', String(UE_CPU), benchProgram('imsdc-udp-load'), ...sizes, spaces.a, A, ...receiver, MF_A];
  const load = spawn('taskset', words, { stdio: ['pipe', 'pipe', 'inherit'] });
  const [ports] = (await once(load.stdout, 'data')) as [Buffer];
  const [a, b] = ports.toString().trim().split(' ').map(Number) as [number, number];
  const { port, workerPid, done } = await prepare(a, b);
  const before = workerPid ? treeCpuMs(workerPid) : 0;
  load.stdin.end(`${port}\n`);
  const [result] = (await once(load.stdout, 'data')) as [Buffer];
  const cpu = workerPid ? treeCpuMs(workerPid) - before : 0;
  await done();
  const told = JSON.parse(result.toString()) as Record<'received' | 'lost' | 'seconds' | 'cpuSeconds', number>;
  const { received, lost } = told;
  return {
    perSecond: received / told.seconds,
    lost,
    cpuUs: (cpu * 1000) / received,
    wholeUs: (told.cpuSeconds * 1e6) / received,
  };
}

/** Sender straight to the receiver, over the veth that the flow uses too. */
const direct: Prepare = async (_a, port) => ({ port, workerPid: undefined, done: async () => undefined });

/** An MF that forwards in one way of the kernel; its table is its own. */
async function startMf(spaces: Namespaces, way: 'routed' | 'device'): Promise<EngineClient> {
  const own = new Set([MF_A, MF_B]);
  const in_ = (...command: string[]) => [...Namespaces.in(spaces.mf), ...command] as [string, ...string[]];
  const rule = in_(join(dirname(WORKER), 'imsdc-nft-rule'));
  const datagrams = await KernelFlows.start({
    table: `imsdc_bench_${way}`,
    log,
    nft: in_('nft'),
    isLocal: (address) => own.has(address),
    forwarding: way === 'routed' ? routedForwarding : new DeviceForwarding({ log, ip: in_('ip'), rule }),
  });
  const random = (bytes: number) => Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString('hex');
  const { certificatePem, privateKeyPem: keyPem } = await createCertificate({ nowMs: Date.now(), random });
  const [file, ...args] = in_(WORKER);
  return EngineClient.start({ command: { file, args }, certificatePem, keyPem, log, datagrams });
}

/** A flow of that MF, whose table the host has only as long as it is measured: each hook costs every datagram. */
const through =
  (spaces: Namespaces, way: 'routed' | 'device'): Prepare =>
  async (aPort, bPort) => {
    const mf = await startMf(spaces, way);
    const ends = await mf.flow('f', 'f', {
      a: { bindAddress: MF_A, port: 0, remote: { address: A, port: aPort } },
      b: { bindAddress: MF_B, port: 0, remote: { address: B, port: bPort } },
      path: 'kernel',
    });
    const workerPid = (await mf.stats([])).workers[0]!.pid;
    return { port: ends.a.port, workerPid, done: () => mf.close() };
  };

/** Kernel forwarding A - MF - B in both ways, beside A straight to the MF's host. */
export async function rows({ quick, progress }: BenchOptions): Promise<BenchRow[]> {
  if (namespacesMissing) {
    progress(`left out: ${namespacesMissing}`);
    return [];
  }
  using spaces = new Namespaces();
  const seconds = quick ? 1 : 2;
  const ways = ['routed', 'device'] as const;
  const result: BenchRow[] = [];
  for (const bytes of [200, 1200]) {
    const measured = { routed: [] as Measured[], device: [] as Measured[], direct: [] as Measured[] };
    for (let run = 0; run < (quick ? 1 : 7); run++) {
      for (const way of ways) {
        measured[way].push(await measure(spaces, [spaces.b, B], bytes, seconds, through(spaces, way)));
      }
      measured.direct.push(await measure(spaces, [spaces.mf, MF_A], bytes, seconds, direct));
      const text = (kind: keyof typeof measured) => `${kind} ${Math.round(measured[kind].at(-1)!.perSecond)}/s`;
      progress(`${bytes} B: ${[...ways, 'direct' as const].map(text).join(', ')}`);
    }
    for (const way of ways) result.push(...rowsOf(bytes, way, measured[way], measured.direct));
  }
  return result;
}

const NOTE = "one process sends and receives on one core; median of the rounds' ratios";

function rowsOf(bytes: number, way: string, forwarded: readonly Measured[], straight: readonly Measured[]): BenchRow[] {
  const compare = (figure: 'perSecond' | 'wholeUs') => {
    const [ours, peer] = [forwarded, straight].map((all) => median(all.map((one) => one[figure])));
    // Neighbours on the machine change from round to round; within a round both had the same.
    const ratio = median(forwarded.map((one, run) => one[figure] / straight[run]![figure]));
    return { bench: 'datagram-kernel', ours: ours!, peer: peer!, ratio };
  };
  const cpuUs = median(forwarded.map((one) => one.cpuUs));
  const lost = forwarded.reduce((sum, one) => sum + one.lost, 0);
  const rate = compare('perSecond');
  const whole = compare('wholeUs');
  return [
    {
      ...rate,
      row: `${bytes} B, ${way}: datagrams, beside sender straight to receiver over the same veth`,
      unit: '1/s',
      goal: '>= 0.7 x, no user CPU',
      met: rate.ratio >= 0.7 && cpuUs < 0.05,
      note: `worker ${cpuUs.toFixed(3)} us per datagram, lost ${lost}; ${NOTE}`,
    },
    {
      ...whole,
      row: `${bytes} B, ${way}: CPU of the whole way, beside the same`,
      unit: 'us',
      goal: '<= 1.43 x (1 / 0.7)',
      met: whole.ratio <= 1 / 0.7,
      note: `what a busy machine spoils less than rates; ${NOTE}`,
    },
  ];
}
