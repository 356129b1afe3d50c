import { TypedEmitter } from '../../src/base/emitter.ts';
import { ImsdcError } from '../../src/errors.ts';
import type {
  Counters,
  EngineCapabilities,
  EngineEvents,
  EngineStats,
  FlowEndpoints,
  FlowOptions,
  LocalEndpoint,
  MediaEngine,
  PayloadPort,
  RemoteEndpoint,
  ReserveOptions,
  RouteSink,
  StreamOutcome,
  StreamRef,
  StreamSpec,
} from '../../src/mf/engine/types.ts';

export interface FakeAssociation {
  readonly group: string;
  readonly options: ReserveOptions;
  started?: RemoteEndpoint;
  streams: readonly StreamSpec[];
  readonly routes: Map<number, string>;
}

const FINGERPRINT = `sha-256 ${Array.from({ length: 32 }, () => 'C3').join(':')}`;
const NO_COUNTERS: Counters = { bytesReceived: 0, bytesSent: 0, messagesReceived: 0, messagesSent: 0, dropped: 0 };
const NO_STATS = {
  ...NO_COUNTERS,
  state: 'connected',
  stateAgeMs: 0,
  handshakeUs: 0,
  rttUs: 0,
  bufferedBytes: 0,
  retransmissions: 0,
  datagramsReceived: 0,
  datagramsSent: 0,
  datagramsIgnored: 0,
} as const;

/** The engine as plain maps: what is held can be looked at, and any operation can be made to fail. */
export class FakeEngine extends TypedEmitter<EngineEvents> implements MediaEngine {
  capabilities: EngineCapabilities = {
    engine: 'native',
    maxStreamId: 65_534,
    maxMessageSizeBytes: 262_144,
    ice: true,
    receiveBackPressure: true,
    datagramPaths: ['user'],
    forking: true,
  };
  readonly associations = new Map<string, FakeAssociation>();
  readonly flows = new Map<string, { group: string; options: FlowOptions }>();
  readonly log: string[] = [];
  readonly ports = new Map<string, FakePort>();
  /** Called before each operation; what it throws is the operation's failure. */
  fail: (operation: string, key: string) => void = () => undefined;
  /** When set, operations wait for it. */
  gate: Promise<void> | undefined;

  async #enter(operation: string, key: string): Promise<void> {
    this.log.push(`${operation} ${key}`);
    await this.gate;
    this.fail(operation, key);
  }

  #get(key: string): FakeAssociation {
    const association = this.associations.get(key);
    if (!association) throw new ImsdcError('WORKER_REFUSED', { operation: '?', reason: 'UNKNOWN_HANDLE', detail: key });
    return association;
  }

  async reserve(key: string, group: string, options: ReserveOptions): Promise<LocalEndpoint> {
    await this.#enter('reserve', key);
    const users = [...this.associations].filter(([, other]) => other.options.port === options.port);
    if (users.some(([other]) => other !== options.sharesPortOf)) refuse('PORT_UNAVAILABLE');
    this.associations.set(key, { group, options, streams: [], routes: new Map() });
    const ice = options.ice ? { iceUfrag: 'ufrag', icePwd: 'password-of-ice-22-chars' } : {};
    return { address: options.bindAddress, port: options.port, sctpPort: 5000, fingerprint: FINGERPRINT, ...ice };
  }

  async start(key: string, remote: RemoteEndpoint): Promise<void> {
    await this.#enter('start', key);
    const association = this.#get(key);
    if (association.started) refuse('WRONG_STATE');
    association.started = remote;
  }

  async update(key: string, change: Partial<RemoteEndpoint>): Promise<void> {
    await this.#enter('update', key);
    const association = this.#get(key);
    association.started = { ...association.started!, ...change };
  }

  async setStreams(key: string, streams: readonly StreamSpec[]): Promise<readonly StreamOutcome[]> {
    await this.#enter('setStreams', key);
    const limit = this.capabilities.maxStreamId;
    this.#get(key).streams = streams.filter(({ streamId }) => streamId <= limit);
    return streams.map(({ streamId }) => ({ streamId, result: streamId <= limit ? 'ok' : 'STREAM_ID_TOO_HIGH' }));
  }

  async route({ key, streamId }: StreamRef, to: RouteSink): Promise<void> {
    await this.#enter('route', key);
    const { group, routes } = this.#get(key);
    if (to.kind === 'stream') {
      if (this.#get(to.to.key).group !== group) refuse('UNKNOWN_HANDLE');
      routes.set(streamId, `${to.to.key} ${to.to.streamId}`);
    } else if (to.kind === 'discard') routes.delete(streamId);
    else routes.set(streamId, 'payload');
  }

  async flow(key: string, group: string, options: FlowOptions): Promise<FlowEndpoints> {
    await this.#enter('flow', key);
    this.flows.set(key, { group, options });
    const side = ({ bindAddress, port }: FlowOptions['a']) => ({ address: bindAddress, port });
    return { a: side(options.a), b: side(options.b) };
  }

  async updateFlow(key: string, change: Partial<FlowOptions>): Promise<void> {
    await this.#enter('updateFlow', key);
    const flow = this.flows.get(key)!;
    flow.options = { ...flow.options, ...change };
  }

  payload(ref: StreamRef, creditBytes: number): PayloadPort {
    const port = new FakePort(creditBytes);
    this.ports.set(`${ref.key} ${ref.streamId}`, port);
    return port;
  }

  async resetStream(ref: StreamRef): Promise<void> {
    await this.#enter('resetStream', ref.key);
  }

  async release(key: string): Promise<Counters> {
    await this.#enter('release', key);
    this.#forget(key);
    return NO_COUNTERS;
  }

  /** A route to what is gone discards (docs/media-worker.md, ROUTE). */
  #forget(key: string): void {
    this.associations.delete(key);
    this.flows.delete(key);
    for (const { routes } of this.associations.values()) {
      for (const [streamId, to] of routes) if (to.startsWith(`${key} `)) routes.delete(streamId);
    }
  }

  /** What the streams of each key (the sides of a flow) have carried, by stream id. */
  readonly carried = new Map<string, Readonly<Record<number, Partial<Counters>>>>();

  async stats(keys: readonly string[] = [...this.carried.keys()]): Promise<EngineStats> {
    await this.#enter('stats', keys.join(' '));
    const associations = keys.flatMap((key) => {
      const streams = Object.entries(this.carried.get(key) ?? {}).map(([streamId, counters]) => ({
        ...NO_COUNTERS,
        ...counters,
        streamId: Number(streamId),
        bufferedBytes: 0,
      }));
      const kind = this.flows.has(key) ? ('flow' as const) : ('association' as const);
      return this.associations.has(key) || this.flows.has(key) ? [{ ...NO_STATS, key, kind, streams }] : [];
    });
    return { workers: [], associations };
  }

  async trace(key: string): Promise<() => Promise<void>> {
    await this.#enter('trace', key);
    return async () => undefined;
  }

  async close(): Promise<void> {
    await this.#enter('close', '');
  }

  /** As if the worker of these keys had ended. */
  lose(keys: readonly string[], reason: EngineEvents['lost']['reason'] = 'workerExit'): void {
    for (const key of keys) this.#forget(key);
    this.emit('lost', { keys, reason });
  }
}

export function refuse(reason: string): never {
  throw new ImsdcError('WORKER_REFUSED', { operation: 'test', reason, detail: '' });
}

/** A payload port whose window the test opens and closes. */
export class FakePort implements PayloadPort {
  credit: number;
  writable = true;
  closed = false;
  readonly sent: Uint8Array[] = [];
  onMessage: PayloadPort['onMessage'] = () => undefined;
  onWritable: PayloadPort['onWritable'] = () => undefined;
  onClosed: PayloadPort['onClosed'] = () => undefined;

  constructor(credit: number) {
    this.credit = credit;
  }

  send(message: Uint8Array): boolean {
    if (!this.writable || this.closed) return false;
    this.sent.push(message);
    return true;
  }

  grant(bytes: number): void {
    this.credit += bytes;
  }

  close(): void {
    this.closed = true;
  }
}
