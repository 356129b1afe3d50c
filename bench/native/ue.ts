import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { silentLogger } from '../../src/base/log.ts';
import { createCertificate } from '../../src/dtls/certificate.ts';
import { EngineClient } from '../../src/mf/engine/client.ts';
import type { EngineLimits } from '../../src/mf/engine/options.ts';
import type { LocalEndpoint, RemoteEndpoint, StreamSpec } from '../../src/mf/engine/types.ts';

const build = resolve(import.meta.dirname, '../../native/build');
export const WORKER = process.env.IMSDC_NATIVE_WORKER ?? join(build, 'imsdc-media-worker');
/** The measured MF has one core, the UEs the other. */
export const MF_CPU = 0;
export const UE_CPU = 1;

/** Builds a program of native/bench; npm's pre-script has configured the folder. */
export function benchProgram(name: string): string {
  const words = [join(build, '.lock'), 'cmake', '--build', build, '--target', name]; // the lock of scripts/build-native.mjs
  execFileSync('flock', words, { stdio: ['ignore', 'ignore', 'inherit'] });
  return join(build, name);
}

export const pinned = (cpu: number, file: string, ...args: string[]) => ({
  file: 'taskset',
  args: ['-c', String(cpu), file, ...args],
});

export async function startEngine(
  command: { file: string; args: string[] },
  limits: Partial<EngineLimits> = {},
): Promise<EngineClient> {
  const random = (bytes: number) => Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString('hex');
  const { certificatePem, privateKeyPem } = await createCertificate({ nowMs: Date.now(), random } as never);
  return EngineClient.start({
    command,
    certificatePem,
    keyPem: privateKeyPem,
    log: silentLogger,
    limits: { maxAssociations: 20_000, memoryBudgetBytes: 8e9, ...limits },
  });
}

export interface UeReport {
  readonly sent: number;
  readonly received: number;
  readonly receivedBytes: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

/** A process that plays any number of plain UEs and makes load by itself (native/bench/bench_ue.h). */
export class BenchUe {
  readonly engine: EngineClient;
  readonly #socket: Socket;
  readonly #folder: string;
  #lines: ((line: string) => void)[] = [];

  private constructor(engine: EngineClient, socket: Socket, folder: string) {
    this.engine = engine;
    this.#socket = socket;
    this.#folder = folder;
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        this.#lines.shift()?.(text.slice(0, end));
        text = text.slice(end + 1);
      }
    });
  }

  static async start(cpu = UE_CPU, limits: Partial<EngineLimits> = {}): Promise<BenchUe> {
    const folder = mkdtempSync(join(tmpdir(), 'imsdc-ue-'));
    const path = join(folder, 'commands');
    const server = createServer().listen(path);
    await once(server, 'listening');
    const connected = once(server, 'connection');
    const engine = await startEngine(pinned(cpu, benchProgram('imsdc-bench-ue'), path), limits);
    const [socket] = (await connected) as [Socket];
    server.close();
    return new BenchUe(engine, socket, folder);
  }

  #ask(line: string): Promise<Record<string, unknown>> {
    return new Promise((resolveAnswer, reject) => {
      this.#lines.push((answer) => {
        const value = JSON.parse(answer) as Record<string, unknown>;
        if (value.error) reject(new Error(`${line}: ${value.error}`));
        else resolveAnswer(value);
      });
      this.#socket.write(`${line}\n`);
    });
  }

  flood = (port: number, streamId: number, bytes: number) => this.#ask(`flood ${port} ${streamId} ${bytes}`);
  pace = (port: number, streamId: number, bytes: number, perSecond: number) =>
    this.#ask(`pace ${port} ${streamId} ${bytes} ${perSecond}`);
  sink = (port: number, streamId: number) => this.#ask(`sink ${port} ${streamId}`);
  stop = () => this.#ask('stop');
  report = () => this.#ask('report') as unknown as Promise<UeReport>;

  async close(): Promise<void> {
    await this.engine.close();
    this.#socket.destroy();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export const stream = (streamId: number): StreamSpec => ({
  streamId,
  ordered: true,
  priority: 256,
  label: 'bench',
  subprotocol: '',
});

export function remoteOf(local: LocalEndpoint, role: 'active' | 'passive', streams = 112): RemoteEndpoint {
  return {
    address: local.address,
    port: local.port,
    sctpPort: local.sctpPort,
    fingerprints: [local.fingerprint],
    role,
    maxMessageSizeBytes: 262_144,
    streams,
    ice: false,
  };
}

export const local = { bindAddress: '127.0.0.1', port: 0, ice: false } as const;

export function connected(engine: EngineClient, key: string): Promise<void> {
  return new Promise((resolveState, reject) => {
    const off = engine.on('state', (event) => {
      if (event.key !== key || event.state === 'connecting') return;
      off();
      if (event.state === 'connected') resolveState();
      else reject(new Error(`${key} is ${event.state}: ${event.reason}`));
    });
  });
}

/** One association between a UE and an engine; returns both local ends. */
export async function connectPlain(
  ue: EngineClient,
  mf: EngineClient,
  key: string,
  group: string,
  options: { streamIds?: number[]; streams?: number; mfRole?: 'active' | 'passive' } = {},
): Promise<{ ue: LocalEndpoint; mf: LocalEndpoint }> {
  const [mfLocal, ueLocal] = [await mf.reserve(key, group, local), await ue.reserve(key, key, local)];
  const streams = (options.streamIds ?? [0]).map(stream);
  await Promise.all([mf.setStreams(key, streams), ue.setStreams(key, streams)]);
  const both = Promise.all([connected(mf, key), connected(ue, key)]);
  const mfRole = options.mfRole ?? 'passive';
  both.catch(() => undefined); // a refused start is what the caller hears of
  await Promise.all([
    mf.start(key, remoteOf(ueLocal, mfRole, options.streams)),
    ue.start(key, remoteOf(mfLocal, mfRole === 'passive' ? 'active' : 'passive', options.streams)),
  ]);
  await both;
  return { ue: ueLocal, mf: mfLocal };
}
