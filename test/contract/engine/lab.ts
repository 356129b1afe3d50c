import { createHash } from 'node:crypto';
import { silentLogger } from '../../../src/base/log.ts';
import { EngineClient } from '../../../src/mf/engine/client.ts';
import type { EngineLimits, WorkerCommand } from '../../../src/mf/engine/options.ts';
import type { LocalEndpoint, RemoteEndpoint, StreamSpec } from '../../../src/mf/engine/types.ts';
import type { PlainAssociation } from '../../../src/ndc/association.ts';
import type { MessageKind } from '../../../src/ndc/channel.ts';
import { certificateA, certificateB, ORDERED, opened, reserveLocal } from '../../ndc/support.ts';

/** The engine under test and the UEs around it. Everything is closed when the case ends, however it ends. */
export class Lab {
  readonly engine: EngineClient;
  readonly #ues: PlainAssociation[] = [];

  constructor(engine: EngineClient) {
    this.engine = engine;
  }

  /** A UE with a bound port and nothing else. */
  async ue(): Promise<PlainAssociation> {
    const ue = await reserveLocal(certificateB);
    this.#ues.push(ue);
    return ue;
  }

  reserve(key: string, options: { group?: string; ice?: boolean; sharesPortOf?: string } = {}): Promise<LocalEndpoint> {
    const { group = 'group', ice = false, sharesPortOf } = options;
    return this.engine.reserve(key, group, {
      bindAddress: '127.0.0.1',
      port: 0,
      ice,
      ...(sharesPortOf ? { sharesPortOf } : {}),
    });
  }

  /** A connected association `key` with its UE; `role` is the engine's. All `streams` are open on both sides. */
  async connect(
    key: string,
    options: {
      group?: string;
      role?: 'active' | 'passive';
      streams?: readonly number[];
      remote?: Partial<RemoteEndpoint>;
    } = {},
  ): Promise<PlainAssociation> {
    const { role = 'active', streams = [0] } = options;
    const [local, ue] = await Promise.all([this.reserve(key, options), this.ue()]);
    await this.engine.setStreams(key, streams.map(spec));
    const open = Promise.all(streams.flatMap((id) => [opened(ue, id), this.streamOpen(key, id)]));
    await this.engine.start(key, remoteOf(ue, role, options.remote));
    await this.startUe(ue, local, role === 'active' ? 'passive' : 'active', streams);
    await open;
    return ue;
  }

  async startUe(
    ue: PlainAssociation,
    local: LocalEndpoint,
    role: 'active' | 'passive',
    streams: readonly number[] = [0],
  ): Promise<void> {
    const { address, port, sctpPort, fingerprint } = local;
    const far = { address, port, sctpPort, fingerprints: [fingerprint], role, maxMessageSizeBytes: 0 };
    await ue.start(far, streams.map(ORDERED));
  }

  streamOpen(key: string, streamId: number): Promise<unknown> {
    return this.engine.next('stream', (e) => e.key === key && e.streamId === streamId && e.state === 'open');
  }

  streamClosed(key: string, streamId: number) {
    return this.engine.next('stream', (e) => e.key === key && e.streamId === streamId && e.state === 'closed');
  }

  state(key: string, state: string) {
    return this.engine.next('state', (e) => e.key === key && e.state === state);
  }

  /** Routes `a` and `b` to each other on each of `streams`. */
  async relay(a: string, b: string, streams: readonly number[]): Promise<void> {
    for (const streamId of streams) {
      await this.engine.route({ key: a, streamId }, { kind: 'stream', to: { key: b, streamId } });
      await this.engine.route({ key: b, streamId }, { kind: 'stream', to: { key: a, streamId } });
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#ues.map((ue) => ue.close()));
    await this.engine.close();
  }
}

/** A case that waits for something that never comes fails after this long, and is cleaned up. */
const CASE_LIMIT_MS = 60_000;

/** Runs one case on an engine of its own. */
export async function withLab(
  command: WorkerCommand,
  body: (lab: Lab) => Promise<void>,
  limits: Partial<EngineLimits> = {},
  workers = 1,
): Promise<void> {
  const engine = await EngineClient.start({ command, ...certificateA, log: silentLogger, limits, workers });
  const lab = new Lab(engine);
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`not done after ${CASE_LIMIT_MS} ms`)), CASE_LIMIT_MS);
  try {
    await Promise.race([body(lab), late]);
  } finally {
    clearTimeout(timer);
    await lab.close();
  }
}

export function spec(streamId: number): StreamSpec {
  return { streamId, ordered: true, priority: 256, label: `s${streamId}`, subprotocol: '' };
}

/** The UE as its SDP would say. */
export function remoteOf(
  ue: PlainAssociation,
  role: 'active' | 'passive',
  change: Partial<RemoteEndpoint> = {},
): RemoteEndpoint {
  return {
    address: '127.0.0.1',
    port: ue.localPort,
    sctpPort: 5000,
    fingerprints: [certificateB.fingerprint],
    role,
    maxMessageSizeBytes: 262_144,
    streams: 1024,
    ice: false,
    ...change,
  };
}

export interface Received {
  readonly kind: MessageKind;
  readonly hash: string;
  readonly length: number;
}

export function hash(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/** Resolves with the next `count` messages of one stream. */
export function collect(ue: PlainAssociation, streamId: number, count: number): Promise<Received[]> {
  const got: Received[] = [];
  return new Promise((resolve) => {
    const off = ue.on('message', (event) => {
      if (event.streamId !== streamId) return;
      got.push({ kind: event.kind, hash: hash(event.data), length: event.data.length });
      if (got.length < count) return;
      off();
      resolve(got);
    });
  });
}

/** Sends everything, waiting for room as an application does. */
export async function sendAll(
  ue: PlainAssociation,
  streamId: number,
  messages: Iterable<{ data: Uint8Array; kind: MessageKind }>,
): Promise<void> {
  for (const { data, kind } of messages) {
    while (!ue.send(streamId, data, kind)) await ue.next('writable', (event) => event.streamId === streamId);
  }
}
