import type { ViaValue } from '../types.ts';

/** RFC 7339 4.3: when the server does not say how long its value is good. */
const DEFAULT_VALIDITY_MS = 500;
/** Longest validity that is believed. */
const MAX_VALIDITY_MS = 60_000;
/** `oc-seq` is remembered beyond the validity: a response may be as late as a transaction lasts (64 * T1). */
const SEQUENCE_MS = 32_000;
/** ISC has a handful. */
const MAX_HOPS = 1000;
/** Of the share of requests that may be shed, the newest one counts so much: about the last fifty count. */
const SHARE_WEIGHT = 0.02;

interface Hop {
  /** 0 to 1: what it asked us to leave out. */
  fraction: number;
  untilMs: number;
  sequence: number;
  sequenceUntilMs: number;
  /** Requests that it is owed, of those that may be shed. */
  owed: number;
  /** Share of all requests to it that may be shed, since it began to ask. */
  share: number;
}

/**
 * RFC 7339 as the client: next hops that say in the Via of their responses which share of our requests they want left
 * out (`oc`, algorithm `loss`) are obeyed. New calls alone are shed; requests of calls that are up, emergency and
 * priority calls always go. The share is of all requests, so of the new calls more is shed than that (RFC 7339 5.10.1
 * and 6.1), up to all of them.
 */
export class NextHopLoad {
  /** Requests left out because their next hop asked for it. */
  shed = 0;
  /** Emergency and priority calls that went while others might not have. */
  spared = 0;
  readonly #hops = new Map<string, Hop>();

  /** Next hops that ask for less right now, or did not long ago. */
  get size(): number {
    return this.#hops.size;
  }

  /** A response of `hop` came back with our Via, as `hop` completed it. */
  heard(hop: string, via: ViaValue, nowMs: number): void {
    const value = via.params.get('oc');
    // Without a value it is our own offer, come back from somebody who does not know it.
    if (value === undefined) return;
    const percent = /^\d{1,3}$/.test(value) ? Number(value) : Number.NaN;
    const algorithm = via.params.get('oc-algo')?.replaceAll('"', '').toLowerCase();
    if (!(percent <= 100) || (algorithm !== undefined && algorithm !== 'loss')) return;
    const known = this.#hops.get(hop);
    const remembered = known !== undefined && known.sequenceUntilMs > nowMs ? known.sequence : 0;
    const sequence = sequenceOf(via.params.get('oc-seq')) ?? remembered;
    // RFC 7339 4.4: an older response that came late says nothing of now.
    if (sequence < remembered) return;
    const validityMs = validityOf(via.params.get('oc-validity'));
    if (known === undefined && (percent === 0 || validityMs === 0)) return;
    const state = known ?? { fraction: 0, untilMs: 0, sequence: 0, sequenceUntilMs: 0, owed: 0, share: 1 };
    Object.assign(state, {
      fraction: percent / 100,
      untilMs: nowMs + validityMs,
      sequence,
      sequenceUntilMs: nowMs + SEQUENCE_MS,
    });
    this.#hops.delete(hop);
    this.#hops.set(hop, state);
    if (this.#hops.size > MAX_HOPS) this.#hops.delete(this.#hops.keys().next().value!);
  }

  /** Whether it wants less of us. Nothing needs to be known of the request before this says so. */
  asksForLess(hop: string, nowMs: number): boolean {
    if (this.#hops.size === 0) return false;
    const state = this.#hops.get(hop);
    if (state === undefined) return false;
    if (state.untilMs > nowMs && state.fraction > 0) return true;
    if (state.sequenceUntilMs <= nowMs) this.#hops.delete(hop);
    return false;
  }

  /**
   * Whether a request to `hop`, which asks for less, is to be left out. `call`: it may be (a new call), it is part of one
   * that is up, or it is a new one that has priority.
   */
  sheds(hop: string, call: 'new' | 'up' | 'priority'): boolean {
    const state = this.#hops.get(hop);
    if (state === undefined) return false;
    state.share += ((call === 'new' ? 1 : 0) - state.share) * SHARE_WEIGHT;
    if (call !== 'new') {
      if (call === 'priority') this.spared++;
      return false;
    }
    // Spread evenly instead of drawn: 0.25 leaves out each fourth.
    state.owed = Math.min(2, state.owed + Math.min(1, state.fraction / state.share));
    if (state.owed < 1) return false;
    state.owed -= 1;
    this.shed++;
    return true;
  }
}

function validityOf(value: string | undefined): number {
  return value !== undefined && /^\d{1,9}$/.test(value)
    ? Math.min(MAX_VALIDITY_MS, Number(value))
    : DEFAULT_VALIDITY_MS;
}

/** `oc-seq` is seconds with a fraction; without one each response counts as the newest. */
function sequenceOf(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,12}(\.\d{1,9})?$/.test(value) ? Number(value) : undefined;
}
