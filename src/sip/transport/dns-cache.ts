import type { DnsAnswer } from './name-server.ts';

/** Answers kept; the oldest goes first. */
const MAX_CACHED_NAMES = 1000;
/** When the TTL was not told. */
const DEFAULT_TTL_MS = 30_000;
/** A TTL of 0 would ask for each message of a call. */
const MIN_TTL_MS = 1000;
/** A name that has moved is found again within the hour, whatever its TTL says. */
const MAX_TTL_MS = 3_600_000;
/** A name that does not exist, or a server that does not answer, is asked again after this time only (RFC 2308). */
const NEGATIVE_TTL_MS = 5000;

/** Answers of the DNS for as long as they are good. Questions for the same name share one answer. */
export class DnsCache {
  readonly #nowMs: () => number;
  readonly #entries = new Map<string, { untilMs: number; records: Promise<readonly unknown[]> }>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** The records for `key`, asked for with `ask` when none are known; a failure counts as "none". */
  async get<T>(key: string, ask: () => Promise<DnsAnswer<T>>): Promise<readonly T[]> {
    const known = this.#entries.get(key);
    if (known !== undefined && known.untilMs > this.#nowMs()) return (await known.records) as readonly T[];
    // Until the answer is there nobody asks again.
    const entry = { untilMs: Number.POSITIVE_INFINITY, records: Promise.resolve<readonly T[]>([]) };
    entry.records = ask().then(
      ({ records, ttlMs }) => {
        entry.untilMs = this.#nowMs() + (records.length === 0 ? NEGATIVE_TTL_MS : bounded(ttlMs));
        return records;
      },
      () => {
        entry.untilMs = this.#nowMs() + NEGATIVE_TTL_MS;
        return [];
      },
    );
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (this.#entries.size > MAX_CACHED_NAMES) this.#entries.delete(this.#entries.keys().next().value!);
    return entry.records;
  }
}

function bounded(ttlMs = DEFAULT_TTL_MS): number {
  return Math.min(MAX_TTL_MS, Math.max(MIN_TTL_MS, ttlMs));
}
