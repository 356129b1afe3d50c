import type { Environment } from '../base/environment.ts';

/** RFC 8842 4 and TS 29.571 TlsId: 20 to 255 of these. */
const TLS_ID = /^[A-Za-z0-9+/_-]{20,255}$/;

export function isTlsId(text: string): boolean {
  return TLS_ID.test(text);
}

/**
 * A new tls-id: 20 characters base64url of 15 random bytes, which is exactly the 120 bits RFC 8842 4 asks for and
 * exactly what the chipset buffer holds (ue-side.md 4.3).
 */
export function mintTlsId(env: Pick<Environment, 'random'>): string {
  return Buffer.from(env.random(15), 'hex').toString('base64url');
}

/**
 * The form for a peer that enforces the alpha pattern of TS 29.571 (hex digits only): the first 40 hex digits of the
 * SHA-256 of the tls-id (R12). The same tls-id always gives the same form, so `test` operations still match.
 * `sha256Hex` comes from the edge: this room is pure and the global WebCrypto hashes only asynchronously.
 */
export function alphaTlsId(tlsId: string, sha256Hex: (text: string) => string): string {
  return sha256Hex(tlsId).slice(0, 40).toUpperCase();
}
