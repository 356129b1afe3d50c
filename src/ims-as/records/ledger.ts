import type { Timer, Timers } from '../../base/timers.ts';
import type { MediaEvent } from '../../services/nmf-mrm.ts';
import type { Call, LegName } from '../call/types.ts';
import { terminationOwner } from '../media/context.ts';
import { added, type Cause, type ChannelRecord, causeOf, type LegFigures } from './channel-record.ts';
import { anchoredLegs, applicationOf, modeOf, type OpenChannel, openChannels, proxyOf } from './open-channels.ts';

export interface LedgerOptions {
  readonly timers: Timers;
  /** How long a channel that has ended waits for the last figures of the MF. */
  readonly figuresWaitMs: number;
  write(record: ChannelRecord): void;
}

/** Channels that have ended and wait for figures; above, the next ones are written without. */
const MAX_WAITING = 10_000;

/** One channel from its opening to its record. */
interface Entry {
  readonly call: Call;
  readonly key: string;
  readonly facts: Pick<
    ChannelRecord,
    'applicationId' | 'label' | 'mediaId' | 'mode' | 'proxy' | 'streamId' | 'subprotocol'
  >;
  readonly openedMs: number;
  contextId: string;
  /** Legs whose last figures are still to come. */
  readonly pending: Set<LegName>;
  /** Legs whose association is gone, so that there will be no more of them. */
  readonly drained: Set<LegName>;
  connectedMs: number | undefined;
  failure: string | null;
  /** Why it is going to end, once that is known. */
  cause: Cause | undefined;
  detail: string;
  counted: ChannelRecord['counted'];
  readonly legs: { served?: LegFigures; remote?: LegFigures };
  ended: { readonly atMs: number; readonly timer: Timer | undefined } | undefined;
  written: boolean;
}

/**
 * Follows the data channels of all calls and writes one record for each at its end (R31). It looks at a call after each
 * of its events and changes nothing there; what the MF counted comes by its own way, before or after the end.
 */
export class ChannelLedger {
  readonly #options: LedgerOptions;
  readonly #calls = new Map<string, Map<string, Entry>>();
  /** Open and waiting ones, by MRM context: figures name no call. */
  readonly #contexts = new Map<string, Set<Entry>>();
  #waiting = 0;

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** After an event of `call`. While an offer is open nothing is final, so nothing is concluded. */
  look(call: Call): void {
    if (call.media === null) return;
    if (call.state === 'ending' || call.state === 'ended') this.over(call);
    else if (call.negotiation.step !== 'stable' && call.state === 'established') this.#noteCauses(call);
    else this.#compare(call);
  }

  #compare(call: Call): void {
    const entries = this.#calls.get(call.id) ?? new Map<string, Entry>();
    const open = openChannels(call);
    for (const [key, channel] of open) {
      const entry = entries.get(key);
      if (entry === undefined) this.#open(call, key, channel, entries);
      else this.#follow(entry, channel);
    }
    // Before the answer, branches come and go: only the end of the call ends a channel then.
    if (call.state === 'establishing') return;
    for (const [key, entry] of entries) {
      if (!open.has(key)) this.#end(entry, entry.cause ?? this.#causeOf(call, entry), entry.detail);
    }
  }

  /** The call is over, or forgotten after a bug of ours. */
  over(call: Call): void {
    const { outcome } = call.record;
    for (const entry of [...(this.#calls.get(call.id)?.values() ?? [])]) this.#end(entry, causeOf(outcome), outcome);
  }

  /** What an MF reports of one of our contexts. */
  mediaEvent(event: MediaEvent): void {
    const { leg } = terminationOwner(event.terminationId);
    const entries = [...(this.#contexts.get(event.contextId) ?? [])].filter(
      ({ facts }) => facts.mediaId === event.mediaId,
    );
    for (const entry of entries) {
      if (event.state === 'connected') this.#connected(entry, leg);
      if (event.state === 'failed') entry.failure ??= event.reason ?? 'unknown';
      this.#takeFigures(entry, leg, event);
      if (entry.ended !== undefined && entry.pending.size === 0) this.#write(entry);
    }
  }

  /** This process ends: what is open or waits is written as it is. */
  close(): void {
    const all = new Set([...this.#contexts.values(), ...this.#calls.values()].flatMap((some) => [...some.values()]));
    for (const entry of all) {
      entry.pending.clear();
      if (entry.ended === undefined) this.#end(entry, 'AS_STOPPED', 'the IMS AS ended');
      else this.#write(entry);
    }
  }

  #open(call: Call, key: string, channel: OpenChannel, entries: Map<string, Entry>): void {
    const { line, stream, streamId } = channel;
    const { label = '', subprotocol = '' } = stream;
    const entry: Entry = {
      call,
      key,
      facts: {
        mediaId: line.id,
        streamId,
        label,
        subprotocol,
        applicationId: applicationOf(call, channel),
        mode: modeOf(line, streamId),
        proxy: proxyOf(line),
      },
      openedMs: this.#options.timers.nowMs(),
      contextId: '',
      pending: new Set(),
      drained: new Set(),
      connectedMs: undefined,
      failure: null,
      cause: undefined,
      detail: '',
      counted: 'nothing',
      legs: {},
      ended: undefined,
      written: false,
    };
    entries.set(key, entry);
    this.#calls.set(call.id, entries);
    this.#follow(entry, channel);
  }

  /** Where it is held now, and whether it is about to end. */
  #follow(entry: Entry, { line }: OpenChannel): void {
    const legs = anchoredLegs(entry.call, line);
    const { contextId = '' } = legs.length > 0 ? (entry.call.media?.context ?? {}) : {};
    if (contextId !== '' && contextId !== entry.contextId) {
      // Another MF has it, or it is new: whatever ended before it is behind it.
      this.#unlink(entry);
      entry.contextId = contextId;
      entry.cause = undefined;
      entry.pending.clear();
      entry.drained.clear();
      const linked = this.#contexts.get(contextId) ?? new Set();
      this.#contexts.set(contextId, linked.add(entry));
    }
    if (entry.ended === undefined) for (const leg of legs) if (!entry.drained.has(leg)) entry.pending.add(leg);
    this.#noteCause(entry, line);
  }

  /** An offer that ends a channel says why only while it is open. */
  #noteCauses(call: Call): void {
    for (const entry of this.#calls.get(call.id)?.values() ?? []) {
      const line = call.media?.lines.find(({ id }) => id === entry.facts.mediaId);
      if (line !== undefined) this.#noteCause(entry, line);
    }
  }

  #noteCause(entry: Entry, line: OpenChannel['line']): void {
    if (line.closedBy === 'mf') this.#lost(entry);
    else if (line.closedBy === 'instruction') entry.cause ??= 'DELETED';
  }

  #lost(entry: Entry): void {
    entry.cause ??= 'MF_LOST';
    entry.pending.clear();
    if (entry.ended !== undefined) this.#write(entry);
  }

  #causeOf(call: Call, { facts }: Entry): Cause {
    const line = call.media?.lines.find(({ id }) => id === facts.mediaId);
    return line !== undefined && line.state !== 'closed' ? 'DCMAP_REMOVED' : 'PORT_0';
  }

  #connected(entry: Entry, leg: LegName): void {
    entry.connectedMs ??= this.#options.timers.nowMs();
    entry.drained.delete(leg);
    if (entry.ended === undefined) entry.pending.add(leg);
  }

  #takeFigures(entry: Entry, leg: LegName, { reason = '', state, usage }: MediaEvent): void {
    const figures = usage?.datagrams ?? usage?.streams[String(entry.facts.streamId)];
    if (figures !== undefined && !entry.written) {
      entry.counted = usage?.datagrams === undefined ? 'messages' : 'datagrams';
      entry.legs[leg] = added(entry.legs[leg], figures);
    }
    const isLast = state === 'ended' || (state === 'streamClosed' && figures !== undefined);
    if (!isLast) return;
    entry.drained.add(leg);
    entry.pending.delete(leg);
    if (state === 'streamClosed' && this.#isOffered(entry)) this.#end(entry, 'STREAM_RESET', reason);
  }

  /** Still in the session: a stream that was left out of it is reset by our MF, too. */
  #isOffered({ call, facts, cause }: Entry): boolean {
    const line = call.media?.lines.find(({ id }) => id === facts.mediaId);
    return cause === undefined && line?.state === 'open' && String(facts.streamId) in line.streams;
  }

  #end(entry: Entry, cause: Cause, detail: string): void {
    // One that was reset stays known to its call until its line ends, so that it is not taken for a new one.
    if (cause !== 'STREAM_RESET') this.#forgetOpen(entry);
    if (entry.ended !== undefined) return;
    entry.cause = cause;
    entry.detail = detail;
    const { figuresWaitMs, timers } = this.#options;
    const waits = entry.pending.size > 0 && this.#waiting < MAX_WAITING;
    const timer = waits ? timers.after(figuresWaitMs, () => this.#write(entry)) : undefined;
    entry.ended = { atMs: timers.nowMs(), timer };
    this.#waiting++;
    if (!waits) this.#write(entry);
  }

  #write(entry: Entry): void {
    const { call, connectedMs, counted, ended, failure, facts, legs, openedMs } = entry;
    if (ended === undefined || entry.written) return;
    entry.written = true;
    ended.timer?.cancel();
    this.#waiting--;
    this.#unlink(entry);
    const { called, calling, chargingId } = call.identities;
    const [served, peer] = call.sessionCase === 'originating' ? [calling, called] : [called, calling];
    this.#options.write({
      schema: 1,
      chargingId,
      callId: call.id,
      sessionId: call.sessionId,
      sessionCase: call.sessionCase,
      served,
      peer,
      ...facts,
      openedAt: instant(openedMs),
      connectedAt: connectedMs === undefined ? null : instant(connectedMs),
      endedAt: instant(ended.atMs),
      durationMs: ended.atMs - openedMs,
      cause: entry.cause ?? 'RELEASED',
      detail: entry.detail,
      failure,
      counted,
      legs,
    });
  }

  #unlink(entry: Entry): void {
    const linked = this.#contexts.get(entry.contextId);
    linked?.delete(entry);
    if (linked?.size === 0) this.#contexts.delete(entry.contextId);
  }

  #forgetOpen({ call, key }: Entry): void {
    const entries = this.#calls.get(call.id);
    entries?.delete(key);
    if (entries?.size === 0) this.#calls.delete(call.id);
  }
}

const instant = (ms: number) => new Date(ms).toISOString();
