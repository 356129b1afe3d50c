import { randomBytes } from 'node:crypto';
import { ownJoined } from './owned.ts';

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

/** The worker in a route token at `at` of `text`, where `prefix` is `instance.`; -1: not one of this instance. */
export function workerAt(text: string, at: number, prefix: string): number {
  if (!text.startsWith(prefix, at)) return -1;
  const from = at + prefix.length;
  const dot = text.indexOf('.', from);
  if (dot < 0 || dot === from || dot - from > 2) return -1;
  const worker = Number.parseInt(text.slice(from, dot), 36);
  return Number.isNaN(worker) ? -1 : worker;
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

/**
 * A version 4 UUID (RFC 9562) from 32 hex digits. Its last byte tells the worker, masked by the others: peers see a
 * session id that says nothing of topology (network-side.md 3.1), and a dispatcher finds the worker all the same.
 */
export function sessionIdOf(worker: number, hex: string): string {
  const variant = ((Number.parseInt(hex[16]!, 16) & 3) | 8).toString(16);
  const digits = ownJoined([hex.slice(0, 12), '4', hex.slice(13, 16), variant, hex.slice(17, 30)], '');
  const last = (worker ^ foldedBytes(digits)).toString(16).padStart(2, '0');
  const node = `${digits.slice(20)}${last}`;
  return ownJoined([digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), node], '-');
}

/** What `sessionIdOf` has put in; anything from 0 to 255 for ids of others. */
export function workerOfSessionId(sessionId: string): number {
  const digits = sessionId.replaceAll('-', '');
  const worker = foldedBytes(digits.slice(0, -2)) ^ Number.parseInt(digits.slice(-2), 16);
  return Number.isNaN(worker) ? 0 : worker & 0xff;
}

/** All bytes of hex digits, one upon the other by exclusive or. */
function foldedBytes(digits: string): number {
  let folded = 0;
  for (let at = 0; at + 1 < digits.length; at += 2) {
    folded ^= (hexValue(digits.charCodeAt(at)) << 4) | hexValue(digits.charCodeAt(at + 1));
  }
  return folded & 0xff;
}

/** 0x30..0x39 are the digits; a letter of either case has bit 6 set, and "a" ends in 1. */
function hexValue(code: number): number {
  return (code & 0xf) + (code >> 6) * 9;
}
