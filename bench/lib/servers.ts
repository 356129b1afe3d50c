import { type ChildProcess, fork, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { freePort } from '../../sipp/sipp.ts';
import { GC_FOLDER, GC_RECORDER } from './gc-pauses.ts';

/** A server under measurement, pinned to one core. */
export interface Server {
  readonly port: number;
  /** The process whose CPU counts, and its children. */
  readonly pid: number;
  stop(): Promise<void>;
}

const root = resolve(import.meta.dirname, '../..');
/** The core that the measured server has for itself; load generators get the other. */
export const SERVER_CPU = 0;
export const LOAD_CPU = 1;
const ALL_CPUS = `0-${availableParallelism() - 1}`;

/** Kamailio 5.6 as Debian ships it, with the fast memory manager (`-x fm -X fm`). */
export async function startKamailio(): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), 'imsdc-kamailio-'));
  const port = await freePort();
  const config = resolve(import.meta.dirname, '../sip/kamailio.cfg');
  const child = spawn(
    'taskset',
    [
      ...['-c', String(SERVER_CPU), 'kamailio', '-f', config, '-l', `udp:127.0.0.1:${port}`],
      ...['-x', 'fm', '-X', 'fm', '-m', '1024', '-M', '64', '-DD', '-E', '-w', folder, '-Y', folder],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  await answersOptions(port, child);
  return { port, pid: child.pid!, stop: () => stop(child, () => rmSync(folder, { recursive: true, force: true })) };
}

export interface OurServers extends Server {
  /** The MF process, when one was started. */
  readonly mfPid?: number;
  /** Processes that run calls: the function itself, or its workers. */
  readonly workerPids: readonly number[];
  /** What the function holds now, as its admin listener tells. */
  status(): Promise<ImsdcStatus>;
}

export interface ImsdcStatus {
  readonly dcar?: { readonly pid: number };
  readonly imsAs: { readonly calls: number; readonly clientTransactions: number; readonly serverTransactions: number };
  readonly workers?: readonly { readonly pid: number }[];
}

export interface ImsdcOptions {
  /** `imsdc mf` beside it; or the URL of another MF that serves already. */
  readonly mf: boolean | string;
  /** `dcsf.workers`; with more than one, they share the core of the server and the dispatcher has the other. Default 1. */
  readonly workers?: number;
  /** `dcsf.dispatcher: always`: a single worker too stands behind one. */
  readonly dispatched?: boolean;
  /** Options of Node for the function. */
  readonly nodeOptions?: string;
  /** Where the function and its workers write down their pauses: see `gcPauses`. */
  readonly gcFolder?: string;
  /** false: all processes on all cores, as the scheduler likes; default true. */
  readonly pinned?: boolean;
}

/** `imsdc dcsf` (IMS AS and DCSF in one process, the repository in its own) and, if asked, `imsdc mf`. */
export async function startImsdc(options: ImsdcOptions): Promise<OurServers> {
  const folder = mkdtempSync(join(tmpdir(), 'imsdc-bench-'));
  const port = await freePort();
  const mrmPort = await freePort();
  const file = join(folder, 'imsdc.yaml');
  writeFileSync(file, stringify(benchConfig(folder, port, mrmPort, options)));
  const main = join(root, 'src/cli/main.ts');
  const children: ChildProcess[] = [];
  const pinned = options.pinned ?? true;
  if (options.mf === true) {
    const mf = spawn(
      'taskset',
      ['-c', pinned ? String(LOAD_CPU) : ALL_CPUS, process.execPath, main, 'mf', '--config', file],
      {
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
        env: { ...process.env, IMSDC_LOG: process.env.IMSDC_LOG ?? 'warn' },
      },
    );
    children.push(mf);
    await ready(mf);
  }
  const cpu = options.dispatched || (options.workers ?? 1) > 1 ? LOAD_CPU : SERVER_CPU;
  const dcsf = spawn(
    'taskset',
    ['-c', pinned ? String(cpu) : ALL_CPUS, process.execPath, main, 'dcsf', '--config', file],
    {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: {
        ...process.env,
        IMSDC_LOG: process.env.IMSDC_LOG ?? 'warn',
        ...nodeEnvironment(options),
      },
    },
  );
  children.push(dcsf);
  const admin = await ready(dcsf);
  const status = async () =>
    (await (await fetch(`http://${admin.address}:${admin.port}/status`)).json()) as ImsdcStatus;
  const { workers } = await status();
  const workerPids = workers?.map(({ pid }) => pid) ?? [dcsf.pid!];
  for (const pid of workers === undefined || !pinned ? [] : workerPids)
    spawnSync('taskset', ['-a', '-c', '-p', String(SERVER_CPU), String(pid)], { stdio: 'ignore' });
  return {
    port,
    pid: dcsf.pid!,
    mfPid: options.mf === true ? children[0]!.pid! : undefined,
    workerPids,
    status,
    stop: async () => {
      for (const child of children.reverse()) await stop(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function nodeEnvironment({ nodeOptions = '', gcFolder }: ImsdcOptions): Record<string, string> {
  if (gcFolder === undefined) return nodeOptions === '' ? {} : { NODE_OPTIONS: nodeOptions };
  return { NODE_OPTIONS: `${nodeOptions} ${GC_RECORDER}`, [GC_FOLDER]: gcFolder };
}

export interface GrantingMf {
  readonly url: string;
  readonly pid: number;
  stop(): void;
}

/** A process that grants every media context at once, over HTTP/2: where the MF's own work is not what is measured. */
export async function startGrantingMf(): Promise<GrantingMf> {
  const child = fork(resolve(import.meta.dirname, '../held/mf-process.ts'));
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  return { url, pid: child.pid!, stop: () => child.kill() };
}

/** Media ports rest 30 s before re-use (R6): at hundreds of calls a second that takes most of the range. */
function benchConfig(
  folder: string,
  port: number,
  mrmPort: number,
  { mf, workers = 1, dispatched = false }: ImsdcOptions,
): object {
  return {
    instance: 'bench',
    log: { level: 'warn' },
    imsAs: {
      listeners: [{ transport: 'udp', address: '127.0.0.1', port }],
      mf: { urls: [typeof mf === 'string' ? mf : `http://127.0.0.1:${mrmPort}`] },
    },
    dcsf: { workers, dispatcher: dispatched ? 'always' : 'auto' },
    dcar: { repository: { directory: join(folder, 'dcar'), seed: apps() }, mdc1: { port: 0 }, internal: { port: 0 } },
    mf: {
      listen: { address: '127.0.0.1', port: mrmPort },
      media: { bindAddress: '127.0.0.2', firstPort: 1024, lastPort: 65_535 },
      workers: 1,
      maxContexts: 100_000,
    },
    admin: { dcsfPort: 0, dcarPort: 0, mfPort: 0 },
  };
}

/** Our sample applications: what is not published is refused. */
function apps(): string[] {
  return readdirSync(join(root, 'apps')).map((name) => join(root, 'apps', name));
}

interface AdminAddress {
  readonly address: string;
  readonly port: number;
}

/** A process of ours says over IPC when it serves, and where its admin listener is. */
function ready(child: ChildProcess): Promise<AdminAddress> {
  return new Promise((resolveReady, reject) => {
    child.once('message', (message) => resolveReady((message as unknown as { admin: AdminAddress }).admin));
    child.once('exit', (code) => reject(new Error(`imsdc ended with status ${code} before it was ready`)));
  });
}

/** Sends OPTIONS until something comes back: Kamailio has no readiness signal. */
async function answersOptions(port: number, child: ChildProcess): Promise<void> {
  const { createSocket } = await import('node:dgram');
  const socket = createSocket('udp4');
  let stderr = '';
  child.stderr?.on('data', (chunk) => {
    stderr = (stderr + chunk).slice(-2000);
  });
  await new Promise<void>((resolveBound) => socket.bind(0, '127.0.0.1', resolveBound));
  const text = [
    `OPTIONS sip:127.0.0.1:${port} SIP/2.0`,
    `Via: SIP/2.0/UDP 127.0.0.1:${socket.address().port};branch=z9hG4bKready;rport`,
    'Max-Forwards: 0',
    'From: <sip:bench@127.0.0.1>;tag=1',
    `To: <sip:127.0.0.1:${port}>`,
    'Call-ID: ready',
    'CSeq: 1 OPTIONS',
    'Content-Length: 0',
    '\r\n',
  ].join('\r\n');
  try {
    await new Promise<void>((resolveAnswer, reject) => {
      const again = setInterval(() => socket.send(text, port, '127.0.0.1'), 100);
      const giveUp = setTimeout(() => reject(new Error(`the peer does not answer: ${stderr}`)), 10_000);
      const done = () => {
        clearInterval(again);
        clearTimeout(giveUp);
      };
      socket.once('message', () => {
        done();
        resolveAnswer();
      });
      child.once('exit', (code) => {
        done();
        reject(new Error(`the peer ended with status ${code}: ${stderr}`));
      });
    });
  } finally {
    socket.close();
  }
}

function stop(child: ChildProcess, then: () => void = () => undefined): Promise<void> {
  return new Promise((resolveStopped) => {
    const finish = () => {
      then();
      resolveStopped();
    };
    if (child.exitCode !== null || child.signalCode !== null) return finish();
    const killer = setTimeout(() => child.kill('SIGKILL'), 5000);
    child.once('exit', () => {
      clearTimeout(killer);
      finish();
    });
    child.kill('SIGTERM');
  });
}
