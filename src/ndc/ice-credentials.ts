import { randomBytes } from 'node:crypto';
import type { IceCredentials } from '../stun/responder.ts';

/** RFC 8445 5.3: at least 24 and 128 random bits; only ice-chars (base64 without padding). */
export function iceCredentials(): IceCredentials {
  return { ufrag: randomBytes(6).toString('base64'), password: randomBytes(18).toString('base64') };
}
