import type { Counter, Metrics } from '../base/metrics.ts';
import type { Grant } from '../services/ndcar.ts';

/** Live tokens. Bounded; what has expired counts as unknown. */
export class GrantTable {
  readonly #grants = new Map<string, Grant>();
  readonly #max: number;
  readonly #refused: Counter;

  constructor(max: number, metrics: Metrics) {
    this.#max = max;
    this.#refused = metrics.counter('imsdc_dcar_grants_refused_total', 'Grants refused: table full or already expired');
    metrics.gauge('imsdc_dcar_grants', 'Tokens that open something', () => this.#grants.size);
  }

  get size(): number {
    return this.#grants.size;
  }

  /** False when there is no room, or nothing left of its life. The same token again replaces. */
  add(grant: Grant, nowMs: number): boolean {
    if (grant.expiresAtMs <= nowMs || (this.#grants.size >= this.#max && !this.#grants.has(grant.token))) {
      this.#refused.value++;
      return false;
    }
    this.#grants.set(grant.token, grant);
    return true;
  }

  revoke(token: string): void {
    this.#grants.delete(token);
  }

  find(token: string, nowMs: number): Grant | undefined {
    const grant = this.#grants.get(token);
    return grant && grant.expiresAtMs > nowMs ? grant : undefined;
  }

  expire(nowMs: number): void {
    for (const [token, { expiresAtMs }] of this.#grants) if (expiresAtMs <= nowMs) this.#grants.delete(token);
  }
}
