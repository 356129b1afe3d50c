import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { silentLogger as log } from '../../src/base/log.ts';
import { createCertificate } from '../../src/dtls/certificate.ts';
import { KernelFlows } from '../../src/mf/datagrams/kernel-flows.ts';
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
  const {
    received,
    lost,
    seconds: took,
  } = JSON.parse(result.toString()) as Record<'received' | 'lost' | 'seconds', number>;
  return { perSecond: received / took, lost, cpuUs: (cpu * 1000) / received };
}

/** Sender straight to the receiver, over the veth that the flow uses too. */
const direct: Prepare = async (_a, port) => ({ port, workerPid: undefined, done: async () => undefined });

/** Kernel forwarding A - MF - B, beside A straight to the MF's host. */
export async function rows({ quick, progress }: BenchOptions): Promise<BenchRow[]> {
  if (namespacesMissing) {
    progress(`left out: ${namespacesMissing}`);
    return [];
  }
  using spaces = new Namespaces();
  const own = new Set([MF_A, MF_B]);
  const in_ = (...command: string[]) => [...Namespaces.in(spaces.mf), ...command] as [string, ...string[]];
  const datagrams = await KernelFlows.start({
    table: 'imsdc_bench',
    log,
    nft: in_('nft'),
    isLocal: (address) => own.has(address),
  });
  const random = (bytes: number) => Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString('hex');
  const { certificatePem, privateKeyPem: keyPem } = await createCertificate({ nowMs: Date.now(), random });
  const [file, ...args] = in_(WORKER);
  const mf = await EngineClient.start({ command: { file, args }, certificatePem, keyPem, log, datagrams });
  const kernel: Prepare = async (aPort, bPort) => {
    const ends = await mf.flow('f', 'f', {
      a: { bindAddress: MF_A, port: 0, remote: { address: A, port: aPort } },
      b: { bindAddress: MF_B, port: 0, remote: { address: B, port: bPort } },
      path: 'kernel',
    });
    const workerPid = (await mf.stats([])).workers[0]!.pid;
    return { port: ends.a.port, workerPid, done: async () => void (await mf.release('f')) };
  };
  const result: BenchRow[] = [];
  try {
    for (const bytes of [200, 1200]) {
      const measured = { kernel: [] as Measured[], direct: [] as Measured[] };
      for (let run = 0; run < (quick ? 1 : 7); run++) {
        const seconds = quick ? 1 : 2;
        measured.kernel.push(await measure(spaces, [spaces.b, B], bytes, seconds, kernel));
        measured.direct.push(await measure(spaces, [spaces.mf, MF_A], bytes, seconds, direct));
        const text = ({ perSecond }: Measured) => `${Math.round(perSecond)}/s`;
        progress(`${bytes} B: kernel ${text(measured.kernel.at(-1)!)}, direct ${text(measured.direct.at(-1)!)}`);
      }
      const rate = (all: Measured[]) => median(all.map(({ perSecond }) => perSecond));
      const [ours, peer] = [rate(measured.kernel), rate(measured.direct)];
      // Neighbours on the machine change from round to round; within a round both had the same.
      const ratio = median(measured.kernel.map(({ perSecond }, run) => perSecond / measured.direct[run]!.perSecond));
      const cpuUs = median(measured.kernel.map((one) => one.cpuUs));
      const lost = measured.kernel.reduce((sum, one) => sum + one.lost, 0);
      result.push({
        bench: 'datagram-kernel',
        row: `${bytes} B, datagrams, beside sender straight to receiver over the same veth`,
        ours,
        peer,
        unit: '1/s',
        ratio,
        goal: '>= 0.7 x, no user CPU',
        met: ratio >= 0.7 && cpuUs < 0.05,
        note: `worker ${cpuUs.toFixed(3)} us per datagram, lost ${lost}; one process sends and receives on one core; median of the rounds' ratios`,
      });
    }
  } finally {
    await mf.close();
  }
  return result;
}
