import type { Logger } from '../../base/log.ts';
import type { Counter, Metrics } from '../../base/metrics.ts';
import { ImsdcError } from '../../errors.ts';
import { Idempotency } from '../../sbi/idempotency.ts';
import type { MediaContext, MediaEvent, PatchItem } from '../../services/nmf-mrm.ts';
import type { MrmRequestInfo, MrmService } from '../../services/nmf-mrm-server.ts';
import type { EngineEvents, KeyStats, MediaEngine } from '../engine/types.ts';
import { Context, type ContextEnvironment, contextIdOf } from './context.ts';
import { Leases } from './lease.ts';

export interface ContextsOptions {
  readonly engine: MediaEngine;
  readonly context: Omit<ContextEnvironment, 'connecting' | 'figures' | 'gone' | 'notify'>;
  notify(eventUri: string, event: MediaEvent): void;
  mintContextId(): string;
  readonly maxContexts: number;
  /** 0: never ends. */
  readonly leaseMs: number;
  /** A clock that never goes back. */
  readonly nowMs: () => number;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** R25, R5: an association that is not up so long after its start never will be. */
export const CONNECT_LIMIT_MS = 60_000;

/**
 * All media contexts of this MF: the service behind Nmf_MRM, the receiver of the engine's events, and the leases. Call
 * `tick` about once a second.
 */
export class Contexts implements MrmService {
  readonly #options: ContextsOptions;
  readonly #contexts = new Map<string, Context>();
  readonly #leases: Leases<Context>;
  readonly #created: Idempotency<string>;
  /** Whether the answer has a body. */
  readonly #changed: Idempotency<boolean>;
  /** In the order of their deadlines, since all get the same time. */
  readonly #connecting = new Map<string, number>();
  readonly #env: ContextEnvironment;
  readonly #offs: (() => void)[];
  readonly #counters: Record<'created' | 'patched' | 'deleted' | 'expired' | 'failed', Counter>;
  #draining = false;
  #drained: () => void = () => undefined;

  constructor(options: ContextsOptions) {
    this.#options = options;
    const { engine, leaseMs, metrics, nowMs } = options;
    this.#leases = new Leases(leaseMs, nowMs);
    this.#created = new Idempotency(nowMs);
    this.#changed = new Idempotency(nowMs);
    this.#env = {
      ...options.context,
      notify: (eventUri, event) => options.notify(eventUri, event),
      connecting: (key) => this.#connecting.set(key, nowMs() + CONNECT_LIMIT_MS),
      gone: (key) => this.#connecting.delete(key),
      figures: (keys) => this.#figures(keys),
    };
    this.#offs = [
      engine.on('state', (event) => this.#onState(event)),
      engine.on('stream', (event) => this.#onStream(event)),
      engine.on('lost', (event) => this.#onLost(event)),
    ];
    const counter = (name: string, help: string) => metrics.counter(`imsdc_mf_contexts_${name}_total`, help);
    this.#counters = {
      created: counter('created', 'media contexts created'),
      patched: counter('patched', 'media contexts patched'),
      deleted: counter('deleted', 'media contexts deleted by their consumer'),
      expired: counter('expired', 'media contexts freed because the lease of their owner ended (R25)'),
      failed: metrics.counter('imsdc_mf_associations_failed_total', 'associations that failed or were lost'),
    };
    metrics.gauge('imsdc_mf_contexts', 'media contexts held', () => this.#contexts.size);
  }

  get size(): number {
    return this.#contexts.size;
  }

  /** What the engine holds for them. */
  count(): { associations: number; flows: number; lost: number } {
    let [associations, flows, lost] = [0, 0, 0];
    for (const context of this.#contexts.values()) {
      associations += context.held.locals.size;
      flows += context.held.flowLocals.size;
      if (context.lost) lost++;
    }
    return { associations, flows, lost };
  }

  get owners(): number {
    return this.#leases.size;
  }

  async create(document: MediaContext, info: MrmRequestInfo): Promise<MediaContext & { contextId: string }> {
    const id = await this.#created.once(keyOf('POST', info), () => this.#create(document, info.peer));
    const context = this.#contexts.get(id);
    // A repetition that comes after the DELETE.
    if (!context) throw new ImsdcError('MF_CONTEXT_NOT_FOUND', { contextId: id });
    return context.representation;
  }

  async patch(contextId: string, items: readonly PatchItem[], info: MrmRequestInfo): Promise<MediaContext | undefined> {
    const context = this.#require(contextId, info.peer);
    if (items.every(({ op }) => op === 'test')) {
      context.test(items);
      return undefined;
    }
    const told = await this.#changed.once(keyOf(contextId, info), async () => {
      const representation = await context.patch(items);
      this.#counters.patched.value++;
      return representation !== undefined;
    });
    return told ? context.representation : undefined;
  }

  async delete(contextId: string, info: MrmRequestInfo): Promise<void> {
    await this.#changed.once(keyOf(contextId, info), async () => {
      await this.#remove(this.#require(contextId, info.peer));
      this.#counters.deleted.value++;
      return false;
    });
  }

  /** A consumer gave a sign of life. */
  alive(peer: string): void {
    this.#leases.renew(peer);
  }

  /** A DC AS has closed this channel because it is done with it. */
  closedByServer({ key, streamId }: { key: string; streamId: number }): void {
    const context = this.#contexts.get(contextIdOf(key));
    if (context) this.#settle(context.closedByServer(key, streamId), context);
  }

  /** Ends leases, gives up associations that never came up. */
  tick(): void {
    const { log, nowMs } = this.#options;
    for (const [key, deadlineMs] of this.#connecting) {
      if (deadlineMs > nowMs()) break;
      this.#connecting.delete(key);
      const context = this.#contexts.get(contextIdOf(key));
      if (context?.stateOf(key) === 'connecting') this.#onState({ key, state: 'failed', reason: 'HANDSHAKE_TIMEOUT' });
    }
    for (const { contexts, peer } of this.#leases.expired()) {
      log.warn({ peer, contexts: contexts.size }, 'lease ended: freeing the contexts of a silent owner');
      for (const context of contexts) {
        this.#counters.expired.value++;
        this.#settle(this.#remove(context), context);
      }
    }
  }

  /** No new contexts; resolves when those there are gone. */
  async drain(): Promise<void> {
    this.#draining = true;
    if (this.#contexts.size > 0) {
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
      });
    }
  }

  async close(): Promise<void> {
    this.#draining = true;
    await Promise.all([...this.#contexts.values()].map((context) => this.#remove(context)));
    for (const off of this.#offs) off();
  }

  async #create(document: MediaContext, peer: string): Promise<string> {
    const { maxContexts, mintContextId } = this.#options;
    if (this.#draining) throw new ImsdcError('MF_DRAINING');
    if (this.#contexts.size >= maxContexts) throw new ImsdcError('MF_CONTEXT_LIMIT', { max: maxContexts });
    const context = new Context(mintContextId(), peer, this.#env);
    // At once: the engine's events may come before its answers have been worked through.
    this.#contexts.set(context.id, context);
    try {
      await context.create(document);
    } catch (error) {
      this.#contexts.delete(context.id);
      this.#endIfDrained();
      throw error;
    }
    this.#leases.add(peer, context);
    this.#counters.created.value++;
    return context.id;
  }

  /** Whoever asks owns it from now on: after a fail-over that is another instance of the AS. */
  #require(contextId: string, peer: string): Context {
    const context = this.#contexts.get(contextId);
    if (!context) throw new ImsdcError('MF_CONTEXT_NOT_FOUND', { contextId });
    if (context.peer !== peer) {
      this.#leases.remove(context.peer, context);
      context.peer = peer;
      this.#leases.add(peer, context);
    }
    this.#leases.renew(peer);
    return context;
  }

  async #remove(context: Context): Promise<void> {
    this.#contexts.delete(context.id);
    this.#leases.remove(context.peer, context);
    await context.end();
    this.#endIfDrained();
  }

  #endIfDrained(): void {
    if (this.#draining && this.#contexts.size === 0) this.#drained();
  }

  #onState({ key, state, reason }: EngineEvents['state']): void {
    const context = this.#contexts.get(contextIdOf(key));
    if (!context) return;
    if (state === 'failed') this.#counters.failed.value++;
    if (state !== 'connecting') this.#connecting.delete(key);
    this.#settle(context.stateChanged(key, state, reason), context);
  }

  #onStream({ key, streamId, state, reason }: EngineEvents['stream']): void {
    const context = state === 'closed' ? this.#contexts.get(contextIdOf(key)) : undefined;
    if (context) this.#settle(context.streamClosed(key, streamId, reason), context);
  }

  async #figures(keys: readonly string[]): Promise<readonly KeyStats[]> {
    try {
      return (await this.#options.engine.stats(keys)).associations;
    } catch (error) {
      this.#options.log.warn({ reason: (error as Error).message }, 'no last figures');
      return [];
    }
  }

  #onLost({ keys, reason }: EngineEvents['lost']): void {
    this.#counters.failed.value += keys.length;
    for (const [contextId, gone] of Map.groupBy(keys, contextIdOf)) {
      const context = this.#contexts.get(contextId);
      if (!context) continue;
      // All of a context lives in one worker: it is as if it had never been (R25: 404 = lost).
      context.lost = true;
      this.#settle(context.keysLost(new Set(gone), reason), context);
    }
  }

  /** The MF's own turns in a mailbox have nobody to report to but the log. */
  #settle(turn: Promise<void>, context: Context): void {
    turn.catch((error: Error) => this.#options.log.warn({ contextId: context.id, reason: error.message }, 'context'));
  }
}

/** Two consumers may mint the same key, and one may use it for two resources. */
function keyOf(resource: string, { idempotencyKey, peer }: MrmRequestInfo): string | undefined {
  return idempotencyKey === undefined ? undefined : `${peer} ${resource} ${idempotencyKey}`;
}
