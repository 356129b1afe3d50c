/** A DC AS behind DTLS that nobody can ask. Its certificate is never shown, since nobody sends a ClientHello. */
export const DTLS_DC_AS = {
  address: '127.0.0.1',
  port: 9,
  fingerprint: `SHA-256 ${Array.from({ length: 32 }, () => 'DA').join(':')}`,
  sctpPort: 5_009,
  maxMessageSizeBytes: 30_000,
  secret: 'for scripts that speak no DTLS',
} as const;
