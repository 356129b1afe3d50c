import { TypedEmitter } from '../../base/emitter.ts';
import type { Metrics } from '../../base/metrics.ts';
import { ImsdcError } from '../../errors.ts';
import { workerErrorName } from '../worker/codec.ts';
import { withCounters, withSideCounters } from './datagram-path.ts';
import { Entries, type Entry } from './entries.ts';
import { flowBody, flowEndpoints, localEndpoint, startBody, streamsBody, ZERO_COUNTERS } from './frames.ts';
import { Inbox } from './inbox.ts';
import { DEFAULT_LIMITS, type EngineOptions } from './options.ts';
import { WorkerPayloadPort } from './payload-port.ts';
import { collectStats } from './stats.ts';
import { Totals, trafficMetrics } from './totals.ts';
import { traceKey } from './trace.ts';
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
  TraceReader,
} from './types.ts';
import { WorkerPool, workerMetrics } from './worker-pool.ts';
import type { WorkerProcess } from './worker-process.ts';

/**
 * The media engine over worker processes: places groups, keeps which key is which handle, and makes sure that nothing
 * outlives its worker. What the workers are made of is the business of `options.command` alone.
 */
export class EngineClient extends TypedEmitter<EngineEvents> implements MediaEngine {
  readonly capabilities: EngineCapabilities;
  readonly #options: EngineOptions;
  readonly #pool: WorkerPool;
  readonly #entries = new Entries();
  readonly #releasing = new Map<string, Promise<Counters>>();
  readonly #remotes = new Map<string, RemoteEndpoint>();
  readonly #totals = new Totals();
  readonly #inbox: Inbox;
  #draining = false;
  #drained: () => void = () => undefined;

  private constructor(options: EngineOptions, pool: WorkerPool, capabilities: EngineCapabilities) {
    super();
    this.#options = options;
    this.#pool = pool;
    this.capabilities = capabilities;
    this.#inbox = new Inbox(this.#entries, options, (event, value) => this.emit(event, value));
    pool.on('frame', ({ worker, frame }) => this.#inbox.take(worker, frame));
    pool.on('lost', ({ worker, reason }) => this.#onLost(worker, reason));
    if (options.metrics) this.#measure(options.metrics);
  }

  /** Starts the workers. @throws WORKER_LOST, WORKER_REFUSED when they cannot start */
  static async start(options: EngineOptions): Promise<EngineClient> {
    const pool = new WorkerPool(options, { ...DEFAULT_LIMITS, ...options.limits });
    await pool.start(options.workers ?? 1);
    const { welcome } = pool.workers[0]!;
    return new EngineClient(options, pool, {
      engine: welcome.engine,
      maxStreamId: welcome.maxStreamId,
      maxMessageSizeBytes: welcome.maxMessageSizeBytes,
      ice: welcome.ice,
      receiveBackPressure: welcome.receiveBackPressure,
      datagramPaths: welcome.kernelDatagrams || options.datagrams ? ['user', 'kernel'] : ['user'],
      forking: welcome.forking,
    });
  }

  async reserve(key: string, group: string, options: ReserveOptions): Promise<LocalEndpoint> {
    const known = this.#entries.find(key);
    if (known?.kind === 'association') return known.local as Promise<LocalEndpoint>;
    const worker = await this.#place(group);
    const { sharesPortOf } = options;
    return this.#open(key, group, worker, 'association', (entry) => {
      const shared = sharesPortOf === undefined ? null : this.#inSameWorker(entry, sharesPortOf, 'RESERVE');
      return entry.worker
        .request('RESERVE', entry, {
          bindAddress: options.bindAddress,
          port: options.port,
          ice: options.ice,
          sharedHandle: shared?.handle ?? 0,
          sharedGeneration: shared?.generation ?? 0,
        })
        .then(localEndpoint);
    });
  }

  async start(key: string, remote: RemoteEndpoint): Promise<void> {
    const entry = this.#entries.get(key, 'association');
    this.#remotes.set(key, remote);
    await entry.worker.request('START', entry, startBody(remote));
  }

  async update(key: string, change: Partial<RemoteEndpoint>): Promise<void> {
    const entry = this.#entries.get(key, 'association');
    const known = this.#remotes.get(key);
    if (!known) throw new ImsdcError('MEDIA_WRONG_STATE', { operation: 'update', state: entry.state });
    const remote = { ...known, ...change };
    this.#remotes.set(key, remote);
    await entry.worker.request('UPDATE', entry, {
      remoteAddress: remote.address,
      remotePort: remote.port,
      maxMessageSizeBytes: remote.maxMessageSizeBytes,
    });
  }

  async setStreams(key: string, streams: readonly StreamSpec[]): Promise<readonly StreamOutcome[]> {
    const entry = this.#entries.get(key, 'association');
    const { outcomes } = await entry.worker.request('STREAMS', entry, streamsBody(streams));
    return outcomes.map(({ streamId, code }) => ({
      streamId,
      result: code === 0 ? 'ok' : workerErrorName(code) === 'BUDGET' ? 'BUDGET' : 'STREAM_ID_TOO_HIGH',
    }));
  }

  async route(from: StreamRef, to: RouteSink): Promise<void> {
    const entry = this.#entries.get(from.key, 'association');
    const target = to.kind === 'stream' ? this.#inSameWorker(entry, to.to.key, 'ROUTE') : null;
    await entry.worker.request('ROUTE', entry, {
      streamId: from.streamId,
      sink: to.kind,
      toHandle: target?.handle ?? 0,
      toGeneration: target?.generation ?? 0,
      toStreamId: to.kind === 'stream' ? to.to.streamId : 0,
    });
  }

  async flow(key: string, group: string, options: FlowOptions): Promise<FlowEndpoints> {
    const known = this.#entries.find(key);
    if (known?.kind === 'flow') return known.local as Promise<FlowEndpoints>;
    const worker = await this.#place(group);
    return this.#open(key, group, worker, 'flow', (entry) => {
      entry.flow = options;
      return this.#openFlow(entry, options);
    });
  }

  async updateFlow(key: string, change: Partial<FlowOptions>): Promise<void> {
    const entry = this.#entries.get(key, 'flow');
    entry.flow = { ...entry.flow!, ...change };
    await this.#openFlow(entry, entry.flow);
  }

  /** The worker has the sockets in any case; the kernel, where it may, forwards before they see anything. */
  async #openFlow(entry: Entry, options: FlowOptions): Promise<FlowEndpoints> {
    const { datagrams, log } = this.#options;
    const { path = 'auto' } = options;
    const ask = async (inWorker: FlowOptions) =>
      flowEndpoints(await entry.worker.request('FLOW', entry, flowBody(inWorker)));
    if (!datagrams || path === 'user') return ask(options);
    const ends = await ask({ ...options, path: 'user' });
    // Released while the worker answered: nobody would take it out of the kernel any more.
    if (entry.releasing || this.#entries.find(entry.key) !== entry) return ends;
    try {
      return { ...ends, path: await datagrams.set(entry.key, options, ends) };
    } catch (error) {
      log.error({ err: error, key: entry.key }, 'a flow goes through its worker: the kernel path failed');
      return ends;
    }
  }

  payload(ref: StreamRef, creditBytes: number): PayloadPort {
    const entry = this.#entries.get(ref.key, 'association');
    const { streamId } = ref;
    const known = entry.ports.get(streamId);
    if (known) return known;
    const wire = {
      payload: (kind: 'text' | 'binary' | 'end', data: Uint8Array) =>
        entry.worker.payload(entry, { streamId, kind, data }),
      credit: (bytes: number) => entry.worker.credit(entry, streamId, bytes),
    };
    const port = new WorkerPayloadPort(wire, () => {
      if (entry.ports.get(streamId) === port) entry.ports.delete(streamId);
    });
    entry.ports.set(streamId, port);
    port.grant(creditBytes);
    return port;
  }

  async resetStream(ref: StreamRef, reason: string): Promise<void> {
    const entry = this.#entries.get(ref.key, 'association');
    await entry.worker.request('RESET_STREAM', entry, { streamId: ref.streamId, reason: reason.slice(0, 64) });
  }

  release(key: string): Promise<Counters> {
    const running = this.#releasing.get(key);
    if (running) return running;
    const entry = this.#entries.find(key);
    if (!entry) return Promise.resolve(ZERO_COUNTERS);
    const release = this.#release(entry).finally(() => this.#releasing.delete(key));
    this.#releasing.set(key, release);
    return release;
  }

  /** Frames for handles that were released or lost. */
  get lateFrames(): number {
    return this.#inbox.lateFrames;
  }

  async stats(keys: readonly string[] = this.#entries.keys()): Promise<EngineStats> {
    const stats = await collectStats(this.#pool.workers, this.#entries, keys);
    const flows = stats.associations.some(({ kind }) => kind === 'flow');
    const { datagrams } = this.#options;
    const passed = flows ? await datagrams?.counters() : undefined;
    if (!passed) return stats;
    const associations = stats.associations.map((one) => {
      const way = one.kind === 'flow' ? datagrams?.wayOf(one.key) : undefined;
      return { ...withSideCounters(one, passed.get(one.key)), ...(way && { way }) };
    });
    return { ...stats, associations };
  }

  trace(key: string, reader: TraceReader): Promise<() => Promise<void>> {
    return traceKey(this.#entries, key, reader);
  }

  /** Handles per worker that runs. */
  workerLoads(): number[] {
    return this.#pool.workers.map(({ load }) => load);
  }

  /** Takes nothing new from now on; resolves when the last key was released. */
  async drain(): Promise<void> {
    this.#draining = true;
    if (this.#entries.size > 0) await new Promise<void>((resolve) => (this.#drained = resolve));
  }

  async close(): Promise<void> {
    this.#draining = true;
    await this.#pool.close();
    await this.#options.datagrams?.close();
  }

  /** A handle means nothing in another worker; two keys of one group are never in two. */
  #inSameWorker(entry: Entry, key: string, operation: string): Entry {
    const other = this.#entries.get(key, 'association');
    if (other.worker === entry.worker) return other;
    const detail = `${entry.key} and ${key} are of different groups`;
    throw new ImsdcError('WORKER_REFUSED', { operation, reason: 'UNKNOWN_HANDLE', detail });
  }

  async #place(group: string): Promise<WorkerProcess> {
    if (this.#draining) throw new ImsdcError('WORKER_UNAVAILABLE', { problem: 'the engine is draining' });
    return this.#entries.workerOf(group) ?? (await this.#pool.pick());
  }

  /** Makes the entry before the worker answers, so that a second call with the same key finds it. */
  #open<T>(
    key: string,
    group: string,
    picked: WorkerProcess,
    kind: Entry['kind'],
    ask: (entry: Entry) => Promise<T>,
  ): Promise<T> {
    const raced = this.#entries.find(key);
    if (raced) return raced.local as Promise<T>;
    // Another call may have placed the group while a worker was being picked.
    const worker = this.#entries.workerOf(group) ?? picked;
    const { handle, generation } = worker.allocate();
    const entry: Entry = {
      key,
      group,
      worker,
      handle,
      generation,
      kind,
      local: Promise.resolve(),
      state: 'reserved',
      ports: new Map(),
      flow: null,
      trace: null,
      releasing: false,
    };
    this.#entries.add(entry);
    const local = attempt(() => ask(entry)).catch((error: unknown) => {
      this.#giveBack(entry);
      throw error;
    });
    entry.local = local;
    return local;
  }

  async #release(entry: Entry): Promise<Counters> {
    await entry.local.catch(() => undefined); // A failed reservation has been reported to its caller.
    if (this.#entries.find(entry.key) !== entry) return ZERO_COUNTERS;
    entry.releasing = true;
    for (const port of [...entry.ports.values()]) port.ended('released');
    try {
      const passed = entry.kind === 'flow' ? await this.#options.datagrams?.remove(entry.key) : undefined;
      const counters = withCounters(await entry.worker.request('RELEASE', entry, {}), passed);
      this.#totals.gone(entry.key, entry.kind, counters);
      return counters;
    } catch (error) {
      if (error instanceof ImsdcError && error.code === 'WORKER_LOST') return ZERO_COUNTERS;
      throw error;
    } finally {
      this.#forget(entry);
    }
  }

  /**
   * What could not be opened: whatever the worker made of it, RELEASE undoes, and only then the handle is free. One that
   * the worker still holds would be refused to each that gets it next.
   */
  #giveBack(entry: Entry): void {
    if (!this.#remove(entry)) return;
    const { key, worker } = entry;
    worker.request('RELEASE', entry, {}).then(
      () => worker.free(entry),
      (error: Error) => this.#options.log.warn({ key, reason: error.message }, 'a handle stays unused'),
    );
  }

  #forget(entry: Entry): void {
    if (this.#remove(entry)) entry.worker.free(entry);
  }

  /** False: it is gone already. */
  #remove(entry: Entry): boolean {
    if (this.#entries.find(entry.key) !== entry) return false;
    this.#entries.remove(entry);
    this.#remotes.delete(entry.key);
    entry.trace?.end();
    if (this.#draining && this.#entries.size === 0) this.#drained();
    return true;
  }

  #measure(metrics: Metrics): void {
    workerMetrics(metrics, this.#pool);
    metrics.gauge('imsdc_mf_media_keys', 'Associations and flows', () => this.#entries.size);
    metrics.gauge('imsdc_mf_late_frames_total', 'Frames of released handles', () => this.lateFrames);
    trafficMetrics(metrics, {
      totals: this.#totals,
      keys: () => this.#entries.all(),
      refresh: async () => {
        const { associations } = await this.stats();
        this.#totals.seen(associations.filter(({ key }) => this.#entries.find(key)));
      },
    });
  }

  #removeDatagrams(key: string): void {
    const { datagrams, log } = this.#options;
    datagrams?.remove(key).catch((error: unknown) => log.error({ err: error, key }, 'a flow may stay in the kernel'));
  }

  #onLost(worker: WorkerProcess, reason: EngineEvents['lost']['reason']): void {
    const entries = this.#entries.removeAll(worker);
    for (const entry of entries) {
      this.#remotes.delete(entry.key);
      this.#totals.gone(entry.key, entry.kind);
      entry.trace?.end();
      if (entry.kind === 'flow') this.#removeDatagrams(entry.key);
      for (const port of [...entry.ports.values()]) port.ended('workerLost');
    }
    if (this.#draining && this.#entries.size === 0) this.#drained();
    if (entries.length > 0) this.emit('lost', { keys: entries.map(({ key }) => key), reason });
  }
}

/** A throw becomes a rejection. */
async function attempt<T>(ask: () => Promise<T>): Promise<T> {
  return ask();
}
