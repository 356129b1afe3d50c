import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';

/** The lab's Kamailio as the containers run it. */
const START = resolve(import.meta.dirname, '../../docker/core/start.sh');
/** Between two probes while it starts. */
const PROBE_MS = 50;
const START_LIMIT_MS = 10_000;

export interface CoreOptions {
  /** On 127.0.0.1. */
  readonly port: number;
  /** URI of the application server. */
  readonly applicationServer: string;
  /** How long it may stay silent; default 5 s. */
  readonly applicationServerTimeoutMs?: number;
  /** For its process id and control sockets. */
  readonly directory: string;
  readonly homeDomain: string;
  readonly peer?: { readonly domain: string; readonly uri: string };
}

export interface Core {
  readonly uri: string;
  close(): Promise<void>;
}

/** True when Kamailio and the modules of the lab's script are on this machine. */
export function kamailioAvailable(): boolean {
  return spawnSync('kamailio', ['-v'], { stdio: 'ignore' }).error === undefined;
}

/** Starts Kamailio and resolves once it answers OPTIONS. Rejects with what it wrote when it ends before. */
export async function startCore(options: CoreOptions): Promise<Core> {
  const { port, applicationServer, directory, homeDomain, peer } = options;
  mkdirSync(directory, { recursive: true });
  const timeout = options.applicationServerTimeoutMs;
  const defined = timeout === undefined ? [] : ['-A', `AS_TIMEOUT_MS=${timeout}`];
  const child = spawn(START, ['-Y', directory, '-P', `${directory}/kamailio.pid`, ...defined], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      ...process.env,
      CORE_ADDRESS: '127.0.0.1',
      CORE_PORT: String(port),
      AS_URI: applicationServer,
      HOME_DOMAIN: homeDomain,
      PEER_DOMAIN: peer?.domain ?? '',
      PEER_URI: peer?.uri ?? '',
    },
  });
  const written = text(child.stderr);
  const exited = new Promise<void>((done) => child.once('exit', () => done()));
  const early = exited.then(async () => {
    throw new Error(`kamailio ended: ${await written}`);
  });
  await Promise.race([answersOptions(port), early]);
  // From now on its end is ours to cause.
  early.catch(() => undefined);
  return { uri: `sip:127.0.0.1:${port}`, close: () => stop(child, exited) };
}

async function stop(child: ChildProcess, exited: Promise<void>): Promise<void> {
  child.kill('SIGTERM');
  await exited;
}

/** OPTIONS over UDP, again and again until anything comes back: the request's own retransmission is the wait. */
async function answersOptions(port: number): Promise<void> {
  const socket = createSocket('udp4');
  const { promise, resolve: answered, reject } = Promise.withResolvers<void>();
  socket.on('message', () => answered());
  await new Promise<void>((bound) => socket.bind(0, '127.0.0.1', bound));
  const from = `127.0.0.1:${socket.address().port}`;
  const probe = [
    `OPTIONS sip:127.0.0.1:${port} SIP/2.0`,
    `Via: SIP/2.0/UDP ${from};branch=z9hG4bKprobe;rport`,
    'Max-Forwards: 1',
    `From: <sip:probe@${from}>;tag=1`,
    `To: <sip:127.0.0.1:${port}>`,
    'Call-ID: probe',
    'CSeq: 1 OPTIONS',
    'Content-Length: 0',
    '',
    '',
  ].join('\r\n');
  const repeat = setInterval(() => socket.send(probe, port, '127.0.0.1'), PROBE_MS);
  const limit = setTimeout(() => reject(new Error('kamailio does not answer OPTIONS')), START_LIMIT_MS);
  try {
    await promise;
  } finally {
    clearInterval(repeat);
    clearTimeout(limit);
    socket.close();
  }
}
