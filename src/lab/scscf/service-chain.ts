/**
 * The S-CSCF's memory of a request that is out at the application server: an original dialog identifier, carried in
 * the Route below the AS (TS 24.229 5.4.3.2, 5.4.3.3), tells where to go on when the request comes back.
 */
export interface ServicePass {
  readonly sessionCase: 'orig' | 'term';
  /** Default public identity of the served user. */
  readonly servedUser: string;
  /** The request came back: the AS is at work. */
  readonly onReturn?: () => void;
}

/** Requests that are out at an AS at one time. More than a lab ever has; beyond it the chain is not entered. */
const MAX_PASSES = 10_000;
const USER_PREFIX = 'odi-';

/** Original dialog identifiers. Each lives as long as the transaction that was sent to the AS (R22, R23 retry). */
export class ServiceChain {
  readonly #passes = new Map<string, ServicePass>();
  readonly #mint: () => string;

  constructor(mint: () => string) {
    this.#mint = mint;
  }

  /** A new identifier for `pass`; undefined when too many are out. */
  enter(pass: ServicePass): string | undefined {
    if (this.#passes.size >= MAX_PASSES) return undefined;
    const odi = this.#mint();
    this.#passes.set(odi, pass);
    return odi;
  }

  /** The pass that a Route URI's user part names. */
  returned(routeUser: string | undefined): ServicePass | undefined {
    return routeUser?.startsWith(USER_PREFIX) ? this.#passes.get(routeUser.slice(USER_PREFIX.length)) : undefined;
  }

  leave(odi: string): void {
    this.#passes.delete(odi);
  }

  get size(): number {
    return this.#passes.size;
  }
}

/** User part of the Route that carries `odi`. */
export function odiUser(odi: string): string {
  return USER_PREFIX + odi;
}

export function isOdiUser(user: string | undefined): boolean {
  return user?.startsWith(USER_PREFIX) ?? false;
}
