import { randomBytes } from 'node:crypto';
import { ImsdcError } from '../errors.ts';
import { BINDING_INDICATION, encodeStun } from '../stun/message.ts';
import type { IceCredentials } from '../stun/responder.ts';

/** Strongest first: RFC 8122 5 lets the verifier choose among the hash functions of the set. */
const HASH_OCTETS = new Map([
  ['sha-512', 64],
  ['sha-384', 48],
  ['sha-256', 32],
  ['sha-224', 28],
  ['sha-1', 20],
]);

/**
 * The one fingerprint that the peer's certificate must have. libdatachannel compares with a single one, so a set with
 * two certificates of the same hash function is refused rather than checked against the wrong one.
 *
 * @throws MEDIA_BAD_REMOTE
 */
export function chooseFingerprint(fingerprints: readonly string[]): string {
  for (const [hash, octets] of HASH_OCTETS) {
    const values = new Set<string>();
    for (const fingerprint of fingerprints) {
      const [name = '', value = ''] = fingerprint.trim().split(/[ \t]+/);
      if (name.toLowerCase() !== hash) continue;
      if (!/^[0-9a-f]{2}(:[0-9a-f]{2})*$/i.test(value) || value.length !== octets * 3 - 1) {
        throw new ImsdcError('MEDIA_BAD_REMOTE', { problem: `${hash} fingerprint of ${value.length} characters` });
      }
      values.add(value.toUpperCase());
    }
    if (values.size > 1) throw new ImsdcError('MEDIA_BAD_REMOTE', { problem: `${values.size} ${hash} fingerprints` });
    for (const value of values) return `${hash} ${value}`;
  }
  throw new ImsdcError('MEDIA_BAD_REMOTE', { problem: 'no fingerprint with a known hash function' });
}

/**
 * The offer that libdatachannel is given: the shim as an ICE-lite peer on loopback. The role of the far end is the
 * opposite of ours, so libdatachannel's answer takes the role we want.
 */
export function remoteOffer(far: {
  readonly innerPort: number;
  readonly credentials: IceCredentials;
  readonly fingerprint: string;
  readonly localRole: 'active' | 'passive';
  readonly sctpPort: number;
}): string {
  return [
    'v=0',
    'o=- 1 0 IN IP4 127.0.0.1',
    's=-',
    't=0 0',
    'a=ice-lite',
    `m=application ${far.innerPort} UDP/DTLS/SCTP webrtc-datachannel`,
    'c=IN IP4 127.0.0.1',
    'a=mid:0',
    `a=ice-ufrag:${far.credentials.ufrag}`,
    `a=ice-pwd:${far.credentials.password}`,
    `a=fingerprint:${far.fingerprint}`,
    `a=setup:${far.localRole === 'active' ? 'passive' : 'active'}`,
    `a=sctp-port:${far.sctpPort}`,
    // No limit here: the real one can change in a call, so the association keeps it itself.
    'a=max-message-size:0',
    `a=candidate:1 1 UDP 2130706431 127.0.0.1 ${far.innerPort} typ host`,
    'a=end-of-candidates',
    '',
  ].join('\r\n');
}

/** Opens the way through a gate that lets in only answers: an indication asks for none (RFC 8445 11). */
export function pinhole(): Buffer {
  return encodeStun({ type: BINDING_INDICATION, transactionId: randomBytes(12) });
}
