/** The contexts of one consumer, and when it last gave a sign of life (R25). */
export interface Owner<T> {
  readonly peer: string;
  readonly contexts: Set<T>;
  lastSeenMs: number;
}

/** Who owns what. Any request, and any PING on its sessions, renews the lease of all that a consumer holds. */
export class Leases<T> {
  readonly #owners = new Map<string, Owner<T>>();
  readonly #leaseMs: number;
  readonly #nowMs: () => number;

  /** `leaseMs` 0: leases never end. */
  constructor(leaseMs: number, nowMs: () => number) {
    this.#leaseMs = leaseMs;
    this.#nowMs = nowMs;
  }

  /** Owners are kept while they hold something: a peer that only connects costs nothing. */
  get size(): number {
    return this.#owners.size;
  }

  add(peer: string, context: T): void {
    let owner = this.#owners.get(peer);
    if (!owner) this.#owners.set(peer, (owner = { peer, contexts: new Set(), lastSeenMs: 0 }));
    owner.contexts.add(context);
    owner.lastSeenMs = this.#nowMs();
  }

  remove(peer: string, context: T): void {
    const owner = this.#owners.get(peer);
    owner?.contexts.delete(context);
    if (owner?.contexts.size === 0) this.#owners.delete(peer);
  }

  renew(peer: string): void {
    const owner = this.#owners.get(peer);
    if (owner) owner.lastSeenMs = this.#nowMs();
  }

  /** Those whose lease has ended. */
  expired(): Owner<T>[] {
    if (this.#leaseMs === 0) return [];
    const limitMs = this.#nowMs() - this.#leaseMs;
    return [...this.#owners.values()].filter((owner) => owner.lastSeenMs < limitMs);
  }
}
