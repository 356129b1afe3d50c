import type { Destination } from '../types.ts';
import { hostPort } from './transport.ts';

/** After a timeout or a transport failure: without it each call would wait for the same dead server again. */
export const FAILURE_REST_MS = 30_000;
/** Longest `Retry-After` that is believed. */
const MAX_REST_MS = 3_600_000;
const MAX_TARGETS = 1000;

/**
 * Next hops that have failed, or said `503` with `Retry-After`: others are tried before them (RFC 3263 4.3, RFC 3261
 * 21.5.4). When all rest they are used all the same: a call that may fail is better than one that does, and a 503 may
 * come from somebody behind the next hop.
 */
export class RestingTargets {
  readonly #untilMs = new Map<string, number>();

  get size(): number {
    return this.#untilMs.size;
  }

  rest(target: Destination, forMs: number, nowMs: number): void {
    const key = keyOf(target);
    this.#untilMs.delete(key);
    this.#untilMs.set(key, nowMs + Math.min(MAX_REST_MS, forMs));
    if (this.#untilMs.size > MAX_TARGETS) this.#untilMs.delete(this.#untilMs.keys().next().value!);
  }

  /** It has answered. */
  works(target: Destination): void {
    if (this.#untilMs.size > 0) this.#untilMs.delete(keyOf(target));
  }

  /** The same targets, those that rest behind the others, and of them first the one that rests no longer soonest. */
  inOrder(targets: readonly Destination[], nowMs: number): readonly Destination[] {
    if (this.#untilMs.size === 0 || targets.length < 2) return targets;
    const left = (target: Destination) => Math.max(0, (this.#untilMs.get(keyOf(target)) ?? 0) - nowMs);
    return [...targets].sort((a, b) => left(a) - left(b));
  }
}

function keyOf({ transport, address, port }: Destination): string {
  return `${transport} ${hostPort(address, port)}`;
}

/** Milliseconds of a `Retry-After` value (RFC 3261 20.33); undefined: it says nothing. */
export function parseRetryAfter(value: string | undefined): number | undefined {
  const seconds = /^\s*(\d{1,9})(?=[\s;(]|$)/.exec(value ?? '')?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}
