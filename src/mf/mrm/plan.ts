import type { RemoteEndpoint, StreamSpec } from '../engine/types.ts';
import { engineRemote, matches, type PathOptions, resolveRole, startedAs } from './association.ts';
import type { Desired, DesiredAssociation, DesiredFlow, DesiredStream, Sink } from './desired.ts';
import { type Held, type HeldAssociation, type HeldFlow, type HeldSink, isBroken } from './held.ts';
import { deepEqual } from './json-patch.ts';

/** What is done in the engine to get from what is held to what is desired. Stages run one after the other. */
export interface Plan {
  /** New ports. */
  readonly prepare: readonly PrepareStep[];
  /** Streams, routes and moved far ends. */
  readonly shape: readonly ShapeStep[];
  readonly start: readonly StartStep[];
  /** Engine keys; done last and never undone. */
  readonly release: readonly string[];
  /** What is held afterwards. */
  readonly associations: ReadonlyMap<string, HeldAssociation>;
  readonly flows: ReadonlyMap<string, HeldFlow>;
}

export type PrepareStep =
  | {
      readonly do: 'reserve';
      readonly key: string;
      readonly ice: boolean;
      /** Towards a DC AS: another network than the UEs', perhaps. */
      readonly mdc2: boolean;
      /** R20: the port of this key, beside it or, where the engine cannot, instead of it. */
      readonly sharesPortOf: string | undefined;
    }
  | { readonly do: 'flow'; readonly key: string; readonly flow: DesiredFlow };

export type ShapeStep =
  | {
      readonly do: 'streams';
      readonly key: string;
      readonly streams: readonly StreamSpec[];
      readonly before: readonly StreamSpec[];
      readonly pointer: string;
    }
  | {
      readonly do: 'route';
      readonly key: string;
      readonly streamId: number;
      readonly sink: HeldSink;
      readonly before: HeldSink;
    }
  | {
      readonly do: 'update';
      readonly key: string;
      readonly change: RemoteChange;
      readonly before: RemoteChange;
    }
  | { readonly do: 'updateFlow'; readonly key: string; readonly flow: DesiredFlow; readonly before: HeldFlow };

export interface StartStep {
  readonly do: 'start';
  readonly key: string;
  readonly remote: RemoteEndpoint;
}

export type RemoteChange = Pick<RemoteEndpoint, 'address' | 'maxMessageSizeBytes' | 'port'>;

export interface PlanOptions {
  mintKey(): string;
  mintTlsId(): string;
  readonly streamHeadroom: { readonly bootstrap: number; readonly application: number };
  readonly maxStreamId: number;
  /** Ours (R11). */
  readonly maxMessageSizeBytes: number;
  readonly path: PathOptions;
}

const DISCARD: HeldSink = { kind: 'discard' };

/** Pure but for minting names. Throws MF_CONTEXT_INVALID where roles contradict each other. */
export function plan(held: Held, desired: Desired, options: PlanOptions): Plan {
  const planner = new Planner(options);
  const associations = new Map<string, HeldAssociation>();
  for (const wanted of desired.associations.values()) {
    associations.set(wanted.id, planner.association(wanted, held.associations.get(wanted.id), associations));
  }
  for (const [id, association] of held.associations) {
    if (!desired.associations.has(id)) planner.release(association, association.predecessor);
  }
  for (const wanted of desired.associations.values()) {
    associations.set(wanted.id, planner.routes(wanted, associations));
  }
  const flows = new Map<string, HeldFlow>();
  for (const wanted of desired.flows.values()) flows.set(wanted.id, planner.flow(wanted, held.flows.get(wanted.id)));
  for (const [id, flow] of held.flows) if (!desired.flows.has(id) && flow.state === 'open') planner.keys.push(flow.key);
  const { prepare, shape, start, keys } = planner;
  return { prepare, shape, start, release: keys, associations, flows };
}

/** True when nothing has to be done in the engine. */
export function isEmpty({ prepare, shape, start, release }: Plan): boolean {
  return prepare.length + shape.length + start.length + release.length === 0;
}

class Planner {
  readonly prepare: PrepareStep[] = [];
  readonly shape: ShapeStep[] = [];
  readonly start: StartStep[] = [];
  readonly keys: string[] = [];
  readonly #options: PlanOptions;

  constructor(options: PlanOptions) {
    this.#options = options;
  }

  /** The record of one association after the plan, without its routes. */
  association(
    wanted: DesiredAssociation,
    held: HeldAssociation | undefined,
    next: ReadonlyMap<string, HeldAssociation>,
  ): HeldAssociation {
    if (!held) return this.#create(wanted, undefined, next);
    const { predecessor } = held;
    if (predecessor && !isBroken(predecessor)) {
      const seen = asSeenBy(predecessor, held, wanted);
      if (matches(predecessor, seen)) {
        // The consumer returned to what was before its last change: a rejected re-INVITE.
        this.release(held);
        return this.#keep(seen, predecessor);
      }
    }
    if (matches(held, wanted)) return this.#keep(wanted, held);
    const alive = [held, predecessor].find((candidate) => candidate?.state === 'connected');
    this.release(...[held, predecessor].filter((candidate) => candidate !== alive));
    return this.#create(wanted, alive, next, held.tlsId);
  }

  release(...associations: (HeldAssociation | undefined)[]): void {
    for (const association of associations) {
      if (association && !isBroken(association)) this.keys.push(association.key);
    }
  }

  #create(
    wanted: DesiredAssociation,
    predecessor: HeldAssociation | undefined,
    next: ReadonlyMap<string, HeldAssociation>,
    formerTlsId?: string,
  ): HeldAssociation {
    const key = this.#options.mintKey();
    const shared = wanted.sharesPortOf === undefined ? undefined : next.get(wanted.sharesPortOf);
    const mdc2 = wanted.mdc2Of !== undefined;
    this.prepare.push({ do: 'reserve', key, ice: wanted.ice, mdc2, sharesPortOf: shared?.key });
    // RFC 8842 5.1: a new association has a new tls-id. The response told the former one, so only another is a wish.
    const wish = wanted.tlsId === formerTlsId ? undefined : wanted.tlsId;
    const created: HeldAssociation = {
      id: wanted.id,
      key,
      entries: wanted.entries,
      ice: wanted.ice,
      tlsId: wish ?? this.#options.mintTlsId(),
      tlsIdWished: wish !== undefined,
      role: undefined,
      localSetup: wanted.localSetup,
      streams: [],
      refused: new Set(),
      routes: new Map(),
      started: undefined,
      state: 'reserved',
      predecessor: predecessor && { ...predecessor, predecessor: undefined },
      maxMessageSizeBytes: 0,
      eventUri: wanted.eventUri,
      usage: wanted.usage,
      mdc2Of: wanted.mdc2Of,
    };
    return this.#keep(wanted, created);
  }

  /** The association goes on: streams, far end, and the start once everything is known. */
  #keep(wanted: DesiredAssociation, held: HeldAssociation): HeldAssociation {
    const { maxMessageSizeBytes, maxStreamId } = this.#options;
    const advertised = Math.min(maxMessageSizeBytes, wanted.relayedMaxMessageSizeBytes ?? maxMessageSizeBytes);
    const told = {
      entries: wanted.entries,
      localSetup: wanted.localSetup,
      eventUri: wanted.eventUri,
      usage: wanted.usage,
    };
    const next: HeldAssociation = { ...held, ...told, ice: wanted.ice, maxMessageSizeBytes: advertised };
    if (isBroken(held)) return next;
    const role = resolveRole(wanted, held.role);
    const started = held.started ?? startedAs(wanted, role, this.#streamsAtInit(wanted));
    const limit = Math.min(maxStreamId + 1, started?.streams ?? maxStreamId + 1);
    const allowed = wanted.streams.filter(({ streamId }) => streamId < limit).map(specOf);
    if (!deepEqual(allowed, held.streams)) {
      const { key } = held;
      this.shape.push({ do: 'streams', key, streams: allowed, before: held.streams, pointer: wanted.pointer });
    }
    const refused = new Set(wanted.streams.filter(({ streamId }) => streamId >= limit).map(({ streamId }) => streamId));
    if (started && !held.started) {
      this.start.push({ do: 'start', key: held.key, remote: engineRemote(started, wanted.ice, this.#options.path) });
      return { ...next, role, refused, streams: allowed, started, state: 'connecting' };
    }
    const moved = this.#move(wanted, held);
    // R12: the successor works, so what was before it can go.
    const done = held.state === 'connected';
    if (done) this.release(held.predecessor);
    const predecessor = done ? undefined : held.predecessor;
    return { ...next, role, refused, streams: allowed, started: moved, predecessor };
  }

  #move(wanted: DesiredAssociation, held: HeldAssociation): HeldAssociation['started'] {
    const { started } = held;
    if (!started || !wanted.remote) return started;
    // A tls-id that disappears was dropped on the way; forgetting it would make its return look like a new one.
    const remote = { ...wanted.remote, tlsId: wanted.remote.tlsId ?? started.remote.tlsId };
    const change = { ...pick(remote), maxMessageSizeBytes: wanted.peerMaxMessageSizeBytes };
    const before = { ...pick(started.remote), maxMessageSizeBytes: started.peerMaxMessageSizeBytes };
    if (deepEqual(change, before)) return { ...started, remote };
    this.shape.push({ do: 'update', key: held.key, change, before });
    return { ...started, remote, peerMaxMessageSizeBytes: wanted.peerMaxMessageSizeBytes };
  }

  /** R13: highest id + 1, with headroom for channels that come later; never more than the engine can. */
  #streamsAtInit({ multiplexing, streams }: DesiredAssociation): number {
    const highest = streams.at(-1)?.streamId ?? 0;
    const { bootstrap, application } = this.#options.streamHeadroom;
    // TS 26.114 6.2.10.1: ids below 1,000 are bootstrap channels.
    const headroom = highest < 1_000 && !multiplexing ? bootstrap : application;
    return Math.min(Math.max(highest + 1, headroom), this.#options.maxStreamId + 1);
  }

  routes(wanted: DesiredAssociation, next: ReadonlyMap<string, HeldAssociation>): HeldAssociation {
    const association = next.get(wanted.id)!;
    if (isBroken(association)) return { ...association, routes: new Map() };
    const routes = new Map<number, HeldSink>();
    for (const { streamId, sink } of wanted.streams) {
      if (association.refused.has(streamId)) continue;
      const to = resolveSink(sink, wanted.peerMaxMessageSizeBytes, next);
      const before = association.routes.get(streamId) ?? DISCARD;
      routes.set(streamId, to);
      if (deepEqual(to, before)) continue;
      this.shape.push({ do: 'route', key: association.key, streamId, sink: to, before });
    }
    for (const [streamId, before] of association.routes) {
      if (routes.has(streamId) || before.kind === 'discard') continue;
      this.shape.push({ do: 'route', key: association.key, streamId, sink: DISCARD, before });
    }
    return { ...association, routes };
  }

  flow(wanted: DesiredFlow, held: HeldFlow | undefined): HeldFlow {
    const { id, ice, a, b } = wanted;
    if (!held) {
      const key = this.#options.mintKey();
      this.prepare.push({ do: 'flow', key, flow: wanted });
      return { id, key, ice, a, b, state: 'open' };
    }
    const next = { ...held, a, b };
    if (held.state === 'open' && !(deepEqual(a.remote, held.a.remote) && deepEqual(b.remote, held.b.remote))) {
      this.shape.push({ do: 'updateFlow', key: held.key, flow: wanted, before: held });
    }
    return next;
  }
}

/** Towards an association whose successor is not up yet, the old one is where its peer listens. */
function resolveSink(
  sink: Sink,
  peerMaxMessageSizeBytes: number,
  next: ReadonlyMap<string, HeldAssociation>,
): HeldSink {
  if (sink.kind === 'http' || sink.kind === 'mdc2') return { ...sink, peerMaxMessageSizeBytes };
  if (sink.kind === 'discard') return sink;
  const far = next.get(sink.association);
  const working = far?.predecessor && far.state !== 'connected' ? far.predecessor : far;
  return working && !isBroken(working) ? { kind: 'stream', key: working.key } : DISCARD;
}

/** The response told the tls-id that we minted for the successor; that is no wish as far as the predecessor goes. */
function asSeenBy(predecessor: HeldAssociation, held: HeldAssociation, wanted: DesiredAssociation): DesiredAssociation {
  const tlsId = wanted.tlsId ?? held.tlsId;
  return { ...wanted, tlsId: tlsId === held.tlsId && !held.tlsIdWished ? predecessor.tlsId : tlsId };
}

const pick = ({ address, port }: { address: string; port: number }) => ({ address, port });

function specOf({ sink: _, ...spec }: DesiredStream): StreamSpec {
  return spec;
}
