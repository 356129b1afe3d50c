export const DEFAULT_PACE = { perSecond: 100, burst: 50 } as const;

/**
 * When a call that lost its MF may ask another one (R25): `burst` at once, then `perSecond`. Each question reserves a
 * place, so the calls of a large MF follow one another, in the order in which they learn of their loss. The places are
 * deadlines of the calls themselves: nothing is queued here.
 */
export class RepairPace {
  readonly #intervalMs: number;
  readonly #burst: number;
  #nextMs = Number.NEGATIVE_INFINITY;

  constructor(options: { readonly perSecond: number; readonly burst: number }) {
    this.#intervalMs = 1000 / options.perSecond;
    this.#burst = options.burst;
  }

  /** Epoch ms. Emergency and priority calls do not wait, and take no place of others. */
  slotMs(nowMs: number, priority: boolean): number {
    if (priority) return nowMs;
    this.#nextMs = Math.max(this.#nextMs, nowMs - (this.#burst - 1) * this.#intervalMs);
    const slotMs = Math.max(nowMs, Math.round(this.#nextMs));
    this.#nextMs += this.#intervalMs;
    return slotMs;
  }
}
