import { readFileSync } from 'node:fs';
import type { SecureClientSessionOptions, SecureServerOptions } from 'node:http2';
import { isIP } from 'node:net';
import Type, { type Static } from 'typebox';
import { ImsdcError } from '../errors.ts';

/** Mutual TLS between network functions (TS 33.501 13.1, 33.210 6.2). Paths of PEM files. */
export const SbiTls = Type.Object(
  {
    certFile: Type.String({ description: 'our certificate chain, PEM' }),
    keyFile: Type.String({ description: 'its private key, PEM' }),
    caFile: Type.String({ description: 'the authorities that peers must be certified by, PEM' }),
  },
  { description: 'mutual TLS; without it only loopback is served or called' },
);
export type SbiTls = Static<typeof SbiTls>;

const shared = (tls: SbiTls) => ({
  cert: readFileSync(tls.certFile),
  key: readFileSync(tls.keyFile),
  ca: readFileSync(tls.caFile),
  minVersion: 'TLSv1.2' as const,
});

/** Until then nobody knows who it is; Node waits for two minutes. */
const HANDSHAKE_TIMEOUT_MS = 5_000;

export function serverTlsOptions(tls: SbiTls): SecureServerOptions {
  const handshakeTimeout = HANDSHAKE_TIMEOUT_MS;
  return { ...shared(tls), requestCert: true, rejectUnauthorized: true, allowHTTP1: false, handshakeTimeout };
}

export function clientTlsOptions(tls: SbiTls): SecureClientSessionOptions {
  return { ...shared(tls), rejectUnauthorized: true };
}

/** 127/8, ::1 and `localhost`: where HTTP/2 without TLS is allowed. */
export function isLoopback(host: string): boolean {
  const bare = host.startsWith('[') ? host.slice(1, -1) : host;
  if (isIP(bare) === 4) return bare.startsWith('127.');
  return bare === '::1' || bare === 'localhost';
}

/** The scheme and authority of `url`. Throws SBI_PLAINTEXT for http:// off loopback, SBI_UNAVAILABLE for no URL at all. */
export function requireOrigin(url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')) {
    throw new ImsdcError('SBI_UNAVAILABLE', { peer: url.slice(0, 256), problem: 'not an http or https URL' });
  }
  if (parsed.protocol === 'http:' && !isLoopback(parsed.hostname)) throw new ImsdcError('SBI_PLAINTEXT', { url });
  return parsed;
}
