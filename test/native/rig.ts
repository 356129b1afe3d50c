import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { silentLogger } from '../../src/base/log.ts';
import { createCertificate } from '../../src/dtls/certificate.ts';
import { EngineClient } from '../../src/mf/engine/client.ts';
import type { EngineLimits } from '../../src/mf/engine/options.ts';
import type { LocalEndpoint, PayloadPort, RemoteEndpoint, StreamSpec } from '../../src/mf/engine/types.ts';

/** Another build, for instance one with sanitizers, can be put to the test. */
export const WORKER =
  process.env.IMSDC_NATIVE_WORKER ?? fileURLToPath(new URL('../../native/build/imsdc-media-worker', import.meta.url));
export const workerMissing = existsSync(WORKER) ? false : 'the native media worker is not built';

const certificate = () =>
  createCertificate({
    nowMs: Date.now(),
    random: (bytes: number) => Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString('hex') as never,
  } as never);

/** `inside`: a command that runs the worker, for instance in a network namespace. */
export async function startEngine(
  limits: Partial<EngineLimits> = {},
  workers = 1,
  inside: readonly string[] = [],
): Promise<EngineClient> {
  const { certificatePem, privateKeyPem } = await certificate();
  const [file, ...args] = [...inside, WORKER];
  return EngineClient.start({
    command: { file: file!, args },
    workers,
    certificatePem,
    keyPem: privateKeyPem,
    log: silentLogger,
    limits,
  });
}

export function stream(streamId: number, more: Partial<StreamSpec> = {}): StreamSpec {
  return { streamId, ordered: true, priority: 256, label: `s${streamId}`, subprotocol: '', ...more };
}

export function remoteOf(local: LocalEndpoint, more: Partial<RemoteEndpoint> = {}): RemoteEndpoint {
  return {
    address: local.address,
    port: local.port,
    sctpPort: local.sctpPort,
    fingerprints: [local.fingerprint],
    role: 'active',
    maxMessageSizeBytes: 262_144,
    streams: 112,
    ice: false,
    ...more,
  };
}

export const reserveOptions = { bindAddress: '127.0.0.1', port: 0, ice: false } as const;

/** Resolves when the port has taken the message: once its stream is open and there is room. */
export async function sent(port: PayloadPort, message: Uint8Array, kind: 'text' | 'binary'): Promise<void> {
  while (!port.send(message, kind)) await new Promise<void>((resolve) => (port.onWritable = resolve));
}

/** Resolves with the state's reason once `key` is in it. */
export function stateOf(engine: EngineClient, key: string, state: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const off = engine.on('state', (event) => {
      if (event.key !== key || event.state !== state) return;
      off();
      resolve(event.reason);
    });
  });
}

/** Connects `ueKey` of one engine to `mfKey` of another, without SDP between them. */
export async function connect(
  ue: EngineClient,
  ueKey: string,
  mf: EngineClient,
  mfKey: string,
  options: { group?: string; streams?: StreamSpec[]; remote?: Partial<RemoteEndpoint> } = {},
): Promise<void> {
  const mfLocal = await mf.reserve(mfKey, options.group ?? mfKey, reserveOptions);
  const ueLocal = await ue.reserve(ueKey, ueKey, reserveOptions);
  const streams = options.streams ?? [stream(0)];
  await mf.setStreams(mfKey, streams);
  await ue.setStreams(ueKey, streams);
  const both = Promise.all([stateOf(mf, mfKey, 'connected'), stateOf(ue, ueKey, 'connected')]);
  await mf.start(mfKey, remoteOf(ueLocal, { role: 'passive', ...options.remote }));
  await ue.start(ueKey, remoteOf(mfLocal, { role: 'active', ...options.remote }));
  await both;
}
