/** One certificate fingerprint (RFC 8122 5), in the spelling of TS 29.571: both parts upper-case. */
export interface Fingerprint {
  /** 'SHA-256' */
  readonly algorithm: string;
  /** Hex pairs with colons. */
  readonly value: string;
}

/**
 * Digest lengths in bytes of the hashes we know, the most preferred first (RFC 8122 5.1 leaves the order to the
 * receiver). SHA-256 leads because every peer and every interface of this system speaks it.
 */
const DIGEST_BYTES: ReadonlyMap<string, number> = new Map([
  ['SHA-256', 32],
  ['SHA-384', 48],
  ['SHA-512', 64],
  ['SHA-224', 28],
  ['SHA-1', 20],
]);
const HEX_PAIRS = /^[0-9A-F]{2}(?::[0-9A-F]{2})*$/;

export interface FingerprintPolicy {
  /** The examples of TS 26.114 A.17 still use SHA-1. A lab switch, default false. */
  readonly acceptSha1?: boolean;
}

/**
 * Reads `<hash> <hex pairs>`, the value of `a=fingerprint` and of TS 29.571 Fingerprint alike. The hash name is
 * matched without regard to case. Returns the reason as a string when the fingerprint cannot be used.
 */
export function parseFingerprint(text: string, policy: FingerprintPolicy = {}): Fingerprint | string {
  const said = text.trim();
  const gap = said.search(/\s/);
  const name = gap < 0 ? said : said.slice(0, gap);
  const digits = gap < 0 ? '' : said.slice(gap).trimStart();
  const algorithm = DIGEST_BYTES.has(name) ? name : name.toUpperCase();
  const isUpperCase = HEX_PAIRS.test(digits);
  const value = isUpperCase ? digits : digits.toUpperCase();
  const bytes = DIGEST_BYTES.get(algorithm);
  if (bytes === undefined) {
    return /^MD[25]$/.test(algorithm) ? `${algorithm} is broken (RFC 8122 5)` : `unknown hash '${name.slice(0, 32)}'`;
  }
  if (algorithm === 'SHA-1' && !policy.acceptSha1) return 'SHA-1 is not accepted';
  if (!isUpperCase && !HEX_PAIRS.test(value)) return `${algorithm} value is not hex pairs`;
  if (value.length !== bytes * 3 - 1) return `${algorithm} needs ${bytes} bytes, got ${(value.length + 1) / 3}`;
  return { algorithm, value };
}

/** `SHA-256 AA:BB:..`, for SDP and for TS 29.571. */
export function formatFingerprint(fingerprint: Fingerprint): string {
  return `${fingerprint.algorithm} ${fingerprint.value}`;
}

/** The fingerprints with the most preferred hash among `all` (RFC 8122 5.1); the certificate must match one of them. */
export function preferredFingerprints(all: readonly Fingerprint[]): readonly Fingerprint[] {
  for (const algorithm of DIGEST_BYTES.keys()) {
    const set = all.filter((f) => f.algorithm === algorithm);
    if (set.length > 0) return set;
  }
  return [];
}

/** Equal as sets: order and repetition do not matter. */
export function sameFingerprints(a: readonly Fingerprint[], b: readonly Fingerprint[]): boolean {
  const within = (some: readonly Fingerprint[], all: readonly Fingerprint[]) =>
    some.every((f) => all.some((g) => f.algorithm === g.algorithm && f.value === g.value));
  return within(a, b) && within(b, a);
}
