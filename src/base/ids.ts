import { randomBytes } from 'node:crypto';

/**
 * The route token carried by every identifier we mint (Call-ID, tags, branches, context ids, replacement URLs: R21):
 * which instance, which of its workers, and which start of it. A dispatcher routes by it; a late message of a former
 * start is recognised by its epoch.
 */
export interface RouteToken {
  readonly instance: string;
  readonly worker: number;
  readonly epoch: number;
}

/** `instance.worker.epoch` in base 36: short enough for a Via branch. */
export function formatRouteToken(token: RouteToken): string {
  return `${token.instance}.${token.worker.toString(36)}.${token.epoch.toString(36)}`;
}

/** Mints unguessable identifiers that start with the route token. */
export class IdMint {
  readonly prefix: string;
  #counter = 0;
  #seed = randomBytes(6).toString('hex');

  constructor(token: RouteToken) {
    this.prefix = formatRouteToken(token);
  }

  /** Unique in this process and hard to guess (48 bits of seed, renewed every 2^20 ids, plus a counter). */
  next(): string {
    if (++this.#counter >= 1 << 20) {
      this.#counter = 1;
      this.#seed = randomBytes(6).toString('hex');
    }
    return `${this.prefix}.${this.#seed}${this.#counter.toString(36)}`;
  }
}

/** 128 random bits as base64url (22 characters): capability tokens (R27). */
export function secretToken(): string {
  return randomBytes(16).toString('base64url');
}
