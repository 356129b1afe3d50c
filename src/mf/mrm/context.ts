import { ImsdcError } from '../../errors.ts';
import type { DcMedia, MediaContext, MediaEvent, MediaUsage, PatchItem } from '../../services/nmf-mrm.ts';
import type { AssociationStateName, KeyStats } from '../engine/types.ts';
import { ClosedChannels, channelId, channelsOf } from './channels.ts';
import {
  type Desired,
  type DesiredAssociation,
  type Mdc2Rules,
  type RequestedValues,
  requestedValues,
} from './desired.ts';
import type { Executor } from './execute.ts';
import { type Held, type HeldAssociation, isBroken, NOTHING_HELD } from './held.ts';
import { applyPatch, deepEqual } from './json-patch.ts';
import { patched } from './patched.ts';
import { isEmpty, type PlanOptions, plan } from './plan.ts';
import { readDesired } from './read-desired.ts';
import { type RenderOptions, render, toldBy, withoutRefused } from './render.ts';
import { type Ending, endingBy, endingOf, usageOf } from './usage.ts';

export interface ContextEnvironment {
  readonly executor: Executor;
  readonly plan: Omit<PlanOptions, 'mintKey'>;
  readonly render: RenderOptions;
  readonly mdc2: Mdc2Rules;
  /** Posts to the consumer (R25). */
  notify(eventUri: string, event: MediaEvent): void;
  /** An association was started: from now on it has its time to connect. */
  connecting(key: string): void;
  /** The engine has nothing under this key any more. */
  gone(key: string): void;
  /** What these keys have carried, from an engine that may be gone: then there is less. Never rejects. */
  figures(keys: readonly string[]): Promise<readonly KeyStats[]>;
}

/** The context that an engine key belongs to: known before the engine first speaks of it. */
export const contextIdOf = (key: string) => key.slice(0, key.lastIndexOf('#'));

type Representation = MediaContext & { contextId: string };

/** More waiting requests than this for one call means that somebody is wrong. */
const MAX_WAITING = 16;

/**
 * One media context: what its consumer wrote, what the engine holds for it, and a mailbox in which requests and engine
 * events take turns, so that no two plans for it ever run at the same time.
 */
export class Context {
  readonly id: string;
  /** Who last asked for something: its lease keeps the context. */
  peer: string;
  /** Its media worker is gone, and everything with it. */
  lost = false;
  readonly #env: ContextEnvironment;
  readonly #plan: PlanOptions;
  #document: Representation;
  #requested = new Map<string, RequestedValues>();
  #desired: Desired = { associations: new Map(), flows: new Map() };
  #held: Held = NOTHING_HELD;
  #serial = 0;
  #tail: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  /** Streams by key whose figures were told already. */
  readonly #counted = new Map<string, ReadonlySet<number>>();
  readonly #closed = new ClosedChannels();
  #ended = false;

  constructor(id: string, peer: string, env: ContextEnvironment) {
    this.id = id;
    this.peer = peer;
    this.#env = env;
    this.#plan = { ...env.plan, mintKey: () => `${id}#${++this.#serial}` };
    this.#document = { contextId: id, terminations: [] };
  }

  get held(): Held {
    return this.#held;
  }

  get representation(): Representation {
    return withoutRefused(this.#document, this.#held);
  }

  /** Rejects with MF_CONTEXT_INVALID and what the executor rejects with; then nothing is held. */
  create(document: MediaContext): Promise<Representation> {
    return this.#turn(async () => {
      await this.#apply(document, requestedValues);
      return this.representation;
    });
  }

  /**
   * All or nothing (R26: computed by the consumer, guarded by its `test` operations). Undefined when the MF has nothing
   * to tell that the consumer does not know.
   */
  patch(items: readonly PatchItem[]): Promise<Representation | undefined> {
    return this.#turn(async () => {
      const told = toldBy(this.#held);
      const { document, requested } = patched(this.#document, this.#requested, items);
      await this.#apply(document, requested);
      return deepEqual(toldBy(this.#held), told) ? undefined : this.representation;
    });
  }

  /** A patch of `test` operations only: asks whether the context is as the consumer believes. */
  test(items: readonly PatchItem[]): void {
    if (this.lost) throw new ImsdcError('MF_CONTEXT_NOT_FOUND', { contextId: this.id });
    applyPatch(this.#document, items);
  }

  /** Releases everything. Resolves when the engine has. */
  end(): Promise<void> {
    return this.#turn(async () => {
      this.#ended = true;
      await this.#execute({ associations: new Map(), flows: new Map() });
    }, true);
  }

  /** What the engine says of one of our associations. */
  stateChanged(key: string, state: AssociationStateName, reason?: string): Promise<void> {
    return this.#turn(async () => {
      const association = this.#find(key);
      if (!association || this.#ended || association.state === state) return;
      const ended = state === 'failed' || state === 'closed';
      if (association.key !== key) {
        // The predecessor ended by itself; its successor is on its way.
        if (!ended) return;
        const { predecessor } = association;
        this.#replace({ ...association, predecessor: undefined });
        await this.#accounted(endingOf(predecessor, 'superseded'), reason, () => this.#release(key));
        await this.#execute(this.#desired);
        return;
      }
      this.#replace({ ...association, state });
      if (ended) {
        await this.#accounted(endingOf(association, 'ended'), reason, () => this.#release(key));
        await this.#closeFarEnds(association);
      } else if (state === 'connected') await this.#closeDeadEnds(association);
      if (ended || state === 'connected') {
        this.#notify(association, state, reason);
        // Relays towards it change: to the successor, or to nowhere.
        await this.#execute(this.#desired);
      }
    }, true);
  }

  /** One stream was reset, by either side (R31). */
  streamClosed(key: string, streamId: number, reason?: string): Promise<void> {
    return this.#turn(async () => {
      const association = this.#find(key);
      if (this.#ended || association === undefined) return;
      if (reason === 'PEER_RESET_STREAM' && association.key === key) this.#closedByPeer(association, streamId);
      if (!association.usage || this.#counted.get(key)?.has(streamId)) return;
      const [ending] = endingOf({ ...association, key }, 'streamClosed', new Set([streamId]));
      const [stats] = ending ? await this.#env.figures([key]) : [];
      if (ending && stats) this.#account(ending, stats, reason);
    }, true);
  }

  /** Over WebSocket: the DC AS has said that it is done with this channel. */
  closedByServer(key: string, streamId: number): Promise<void> {
    return this.#turn(async () => {
      const association = this.#find(key);
      if (!this.#ended && association !== undefined) this.#serverIsDone(association, streamId);
    }, true);
  }

  /**
   * Over DTLS closing a channel is resetting its stream (RFC 8831 6.7), and the relay takes that to the other half. So
   * whose half goes first tells who closed it.
   */
  #closedByPeer({ key, mdc2Of, routes }: HeldAssociation, streamId: number): void {
    if (mdc2Of === undefined) this.#closed.closedByUe(channelId(key, streamId));
    const route = routes.get(streamId);
    const ue = mdc2Of !== undefined && route?.kind === 'stream' ? this.#find(route.key) : undefined;
    if (ue !== undefined) this.#serverIsDone(ue, streamId);
  }

  /** The consumer hears of it when no channel of the medium is left, on any leg. */
  #serverIsDone(association: HeldAssociation, streamId: number): void {
    const closed = channelId(association.key, streamId);
    if (!this.#closed.closedByServer(closed)) return;
    for (const entry of association.entries) {
      const channels = channelsOf(this.#document, this.#held, entry.slice(entry.indexOf('/') + 1));
      if (channels.includes(closed) && this.#closed.isDone(channels))
        this.#post(association.eventUri, entry, 'serverClosed');
    }
  }

  /** The engine lost these keys without our doing. */
  keysLost(keys: ReadonlySet<string>, reason: string): Promise<void> {
    return this.#turn(async () => {
      this.#keep(this.#env.executor.forget(this.#held, keys));
      for (const association of this.#held.associations.values()) {
        if (!keys.has(association.key)) continue;
        this.#replace({ ...association, state: 'failed', predecessor: undefined });
        this.#notify(association, 'failed', reason);
      }
      for (const flow of this.#held.flows.values()) {
        if (!keys.has(flow.key)) continue;
        for (const { entries, eventUri } of [flow.a, flow.b]) {
          for (const entry of entries) this.#post(eventUri, entry, 'failed', reason);
        }
      }
    }, true);
  }

  /** The state of one key; undefined when it is not ours any more. */
  stateOf(key: string): AssociationStateName | undefined {
    const association = this.#find(key);
    return association?.key === key ? association.state : undefined;
  }

  /** A channel whose DC AS is gone is no channel; nor has a DC AS any use for one whose UE is gone. */
  async #closeFarEnds(gone: HeldAssociation): Promise<void> {
    for (const far of this.#held.associations.values()) {
      if (isBroken(far) || (far.mdc2Of === undefined && gone.mdc2Of === undefined)) continue;
      const ids = [...far.routes].filter(([, to]) => to.kind === 'stream' && to.key === gone.key).map(([id]) => id);
      const reason = gone.mdc2Of === undefined ? 'the UE is gone' : 'the DC AS is gone';
      if (ids.length === 0) continue;
      const reset = () => this.#env.executor.resetStreams(far.key, ids, reason);
      await this.#accounted(endingOf(far, 'streamClosed', new Set(ids)), reason, reset);
    }
  }

  /** The DC AS was gone before its UE came: nothing could be closed then. */
  async #closeDeadEnds({ id, key }: HeldAssociation): Promise<void> {
    const ids: number[] = [];
    for (const { sink, streamId } of this.#desired.associations.get(id)?.streams ?? []) {
      const far = sink.kind === 'relay' ? this.#held.associations.get(sink.association) : undefined;
      if (far?.mdc2Of !== undefined && isBroken(far)) ids.push(streamId);
    }
    if (ids.length > 0) await this.#env.executor.resetStreams(key, ids, 'the DC AS is gone');
  }

  #find(key: string): HeldAssociation | undefined {
    for (const association of this.#held.associations.values()) {
      if (association.key === key || association.predecessor?.key === key) return association;
    }
    return undefined;
  }

  async #apply(document: MediaContext, requested: (dcMedia: DcMedia) => RequestedValues): Promise<void> {
    const asked = new Map<string, RequestedValues>();
    const owners = new Map<string, string>();
    for (const { entries, id } of this.#held.associations.values()) for (const entry of entries) owners.set(entry, id);
    const desired = readDesired(document, {
      associationOf: (entry) => owners.get(entry),
      mdc2: this.#env.mdc2,
      requested: (entry, dcMedia) => {
        const values = requested(dcMedia);
        asked.set(entry, values);
        return values;
      },
    });
    await this.#execute(desired);
    this.#desired = withoutWishes(desired);
    this.#requested = asked;
    this.#document = render(this.id, document, this.#held, this.#env.render);
    this.#closed.keepOnly(() => channelsOf(this.#document, this.#held));
  }

  async #execute(desired: Desired): Promise<void> {
    const next = plan(this.#held, desired, this.#plan);
    if (isEmpty(next)) {
      this.#held = { ...this.#held, associations: next.associations, flows: next.flows };
      return;
    }
    const execute = async () => this.#keep(await this.#env.executor.execute(this.id, this.#held, next));
    await this.#accounted(endingBy(next, this.#held), 'released', execute);
    for (const { key } of next.start) this.#env.connecting(key);
  }

  async #release(key: string): Promise<void> {
    this.#keep(await this.#env.executor.release(this.#held, key));
  }

  /** Takes the last figures of what `end` ends, and tells them once it has. */
  async #accounted(endings: readonly Ending[], reason: string | undefined, end: () => Promise<void>): Promise<void> {
    const stats = endings.length === 0 ? [] : await this.#env.figures(endings.map(({ key }) => key));
    await end();
    for (const ending of endings) {
      const figures = stats.find(({ key }) => key === ending.key);
      if (figures) this.#account(ending, figures, reason);
    }
  }

  /** No stream is told of twice. */
  #account(ending: Ending, stats: KeyStats, reason?: string): void {
    const { state } = ending;
    const counted = this.#counted.get(ending.key) ?? new Set();
    for (const { entry, eventUri, usage } of usageOf(ending, stats, counted)) {
      this.#post(eventUri, entry, state, reason, usage);
    }
    if (ending.streams) this.#counted.set(ending.key, new Set([...counted, ...ending.streams]));
    else this.#counted.delete(ending.key);
  }

  #keep(held: Held): void {
    for (const key of this.#held.locals.keys()) if (!held.locals.has(key)) this.#env.gone(key);
    this.#held = held;
  }

  #replace(association: HeldAssociation): void {
    const associations = new Map(this.#held.associations).set(association.id, association);
    this.#held = { ...this.#held, associations };
  }

  #notify(association: HeldAssociation, state: MediaEvent['state'], reason?: string): void {
    const { mdc2Of } = association;
    if (mdc2Of !== undefined && state !== 'connected') {
      // The consumer knows of no such association: its medium has lost its far end.
      const ue = [...this.#held.associations.values()].find(({ entries }) => entries.includes(mdc2Of));
      this.#post(ue?.eventUri, mdc2Of, state, `MDC2: ${reason ?? state}`);
    }
    for (const entry of association.entries) this.#post(association.eventUri, entry, state, reason);
  }

  #post(
    eventUri: string | undefined,
    entry: string,
    state: MediaEvent['state'],
    reason?: string,
    usage?: MediaUsage,
  ): void {
    if (eventUri === undefined) return;
    const slash = entry.indexOf('/');
    const [terminationId, mediaId] = [entry.slice(0, slash), entry.slice(slash + 1)];
    const event = { contextId: this.id, terminationId, mediaId, state };
    this.#env.notify(eventUri, { ...event, ...(reason === undefined ? {} : { reason }), ...(usage && { usage }) });
  }

  /** `own`: the MF's own business, never refused. */
  #turn<T>(task: () => Promise<T>, own = false): Promise<T> {
    if (!own) {
      if (this.#ended) throw new ImsdcError('MF_CONTEXT_NOT_FOUND', { contextId: this.id });
      if (this.#waiting >= MAX_WAITING) {
        throw new ImsdcError('MF_CONTEXT_BUSY', { contextId: this.id, waiting: this.#waiting });
      }
    }
    this.#waiting++;
    const run = this.#tail.then(() => {
      if (!own && (this.#ended || this.lost)) throw new ImsdcError('MF_CONTEXT_NOT_FOUND', { contextId: this.id });
      return task();
    });
    this.#tail = run.catch(() => undefined).finally(() => this.#waiting--);
    return run;
  }
}

/** A wish for a tls-id is fulfilled once; planned again, it would ask for yet another association. */
function withoutWishes({ associations, flows }: Desired): Desired {
  const plain = new Map<string, DesiredAssociation>();
  for (const [id, association] of associations) plain.set(id, { ...association, tlsId: undefined });
  return { associations: plain, flows };
}
