import type { Logger } from '../base/log.ts';
import type { Counter, Metrics } from '../base/metrics.ts';
import { encodeField } from '../sbi/http2/header-block.ts';
import { Http2Peer } from '../sbi/http2-peer.ts';
import { requireValid } from '../sbi/validation.ts';
import { type CatalogueEntry, type Grant, type GrantBatch, GrantBatchResult, type GrantPort } from './ndcar.ts';

export interface GrantClientOptions {
  /** `http://127.0.0.1:8091/` */
  readonly url: string;
  readonly secret: string;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Grants remembered for a restart of the repository; more are not handed over. Default 200,000. */
  readonly maxGrants?: number;
  /** An empty batch this often finds restarts and new applications. Default 2 s. */
  readonly heartbeatMs?: number;
}

/**
 * At least so long between two batches: a request per call would cost the DCSF more than its decision. The first grant
 * after a pause goes at once; under load no UE asks within 15 ms, because its DTLS handshake has not begun.
 */
const GRANT_INTERVAL_MS = 15;
/** A token that outlives its call a moment opens what it opened before. */
const REVOKE_DELAY_MS = 100;
/** Members per list of a batch (GrantBatch). */
const MAX_BATCH = 1_000;
const PATH = '/internal/v1/grants';
const RETRY_MS = [50, 100, 200, 500, 1_000, 2_000] as const;
const REQUEST_TIMEOUT_MS = 5_000;
/** Ten thousand catalogue entries. */
const MAX_ANSWER_BYTES = 8 << 20;

/**
 * The DCSF's side of DC5: takes grants at once, hands them over in batches, and sends them all again to a repository
 * process that has restarted. Nothing here blocks or throws; a repository that is away costs downloads, not calls.
 */
export class GrantClient implements GrantPort {
  readonly #options: GrantClientOptions;
  readonly #peer: Http2Peer;
  readonly #fields: string;
  /** All that should be known over there: what a restarted repository is told. */
  readonly #live = new Map<string, Grant>();
  readonly #toGrant = new Map<string, Grant>();
  readonly #toRevoke = new Set<string>();
  readonly #maxGrants: number;
  readonly #dropped: Counter;
  readonly #failures: Counter;
  #applications: ReadonlyMap<string, CatalogueEntry> = new Map();
  #bootId: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** When `#timer` is due, epoch ms. */
  #timerDueMs = 0;
  #sentAtMs = 0;
  #sending: Promise<void> | undefined;
  #failed = 0;
  #closed = false;
  #idle = Promise.withResolvers<void>();
  #idleSettled = false;

  /** Connects at once, to learn the catalogue. Throws SBI_PLAINTEXT off loopback. */
  constructor(options: GrantClientOptions) {
    this.#options = options;
    const { url, log, secret } = options;
    this.#peer = new Http2Peer(url, { log, userAgent: 'DCSF', maxResponseBytes: MAX_ANSWER_BYTES });
    this.#fields = encodeField('authorization', `Bearer ${secret}`) + encodeField('content-type', 'application/json');
    this.#maxGrants = options.maxGrants ?? 200_000;
    const { metrics } = options;
    this.#dropped = metrics.counter('imsdc_grants_dropped_total', 'Grants and revocations not handed over: too many');
    this.#failures = metrics.counter('imsdc_grant_batches_failed_total', 'Batches the repository did not take');
    metrics.gauge('imsdc_grants_live', 'Grants handed out and not revoked', () => this.#live.size);
    this.#schedule(0);
  }

  grant(grants: readonly Grant[]): void {
    for (const grant of grants) {
      if (this.#live.size >= this.#maxGrants && !this.#live.has(grant.token)) {
        this.#dropped.value++;
        continue;
      }
      this.#live.set(grant.token, grant);
      this.#toGrant.set(grant.token, grant);
    }
    this.#wake(this.#untilNextGrantMs());
  }

  revoke(tokens: readonly string[]): void {
    for (const token of tokens) {
      // Never sent: nothing to revoke over there, unless the batch is under way.
      if (!this.#live.delete(token)) continue;
      if (this.#toGrant.delete(token) && !this.#sending) continue;
      if (this.#toRevoke.size < this.#maxGrants) this.#toRevoke.add(token);
      else this.#dropped.value++; // ends by its expiry instead
    }
    this.#wake(REVOKE_DELAY_MS);
  }

  applications(): ReadonlyMap<string, CatalogueEntry> {
    return this.#applications;
  }

  granted(tokens: readonly string[]): Grant[] {
    return tokens.flatMap((token) => this.#live.get(token) ?? []);
  }

  /** Resolves when everything handed in so far has been taken by the repository. */
  flushed(): Promise<void> {
    return this.#isIdle() ? Promise.resolve() : this.#idle.promise;
  }

  status(): { live: number; waiting: number; connected: boolean } {
    const waiting = this.#toGrant.size + this.#toRevoke.size;
    return { live: this.#live.size, waiting, connected: this.#bootId !== undefined && this.#failed === 0 };
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#peer.close();
    await this.#sending;
  }

  #isIdle(): boolean {
    return this.#toGrant.size + this.#toRevoke.size === 0 && !this.#sending && this.#bootId !== undefined;
  }

  /** Grants of a moment go together; while the repository is away its retry timer decides. */
  #wake(delayMs: number): void {
    if (this.#idleSettled) {
      this.#idle = Promise.withResolvers();
      this.#idleSettled = false;
    }
    if (this.#failed > 0 || this.#sending) return;
    if (this.#timer === undefined || this.#timerDueMs > Date.now() + delayMs) this.#schedule(delayMs);
  }

  #untilNextGrantMs(): number {
    return Math.max(0, this.#sentAtMs + GRANT_INTERVAL_MS - Date.now());
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#timerDueMs = Date.now() + delayMs;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#sending = this.#send().finally(() => {
        this.#sending = undefined;
        this.#next();
      });
    }, delayMs);
    // The heartbeat alone keeps no process alive.
    if (delayMs > 0) this.#timer.unref();
  }

  #next(): void {
    if (this.#failed > 0) {
      this.#schedule(RETRY_MS[Math.min(this.#failed, RETRY_MS.length) - 1]!);
    } else if (this.#toGrant.size + this.#toRevoke.size > 0) {
      this.#schedule(this.#toGrant.size > 0 ? this.#untilNextGrantMs() : REVOKE_DELAY_MS);
    } else {
      this.#idleSettled = true;
      this.#idle.resolve();
      this.#schedule(this.#options.heartbeatMs ?? 2_000);
    }
  }

  async #send(): Promise<void> {
    this.#sentAtMs = Date.now();
    const batch: GrantBatch = {
      grant: first(this.#toGrant.values()),
      revoke: first(this.#toRevoke),
    };
    for (const grant of batch.grant) this.#toGrant.delete(grant.token);
    for (const token of batch.revoke) this.#toRevoke.delete(token);
    try {
      this.#taken(await this.#post(batch), batch);
    } catch (error) {
      // Whether it was taken is unknown; granting and revoking twice does no harm.
      for (const grant of batch.grant) if (this.#live.has(grant.token)) this.#toGrant.set(grant.token, grant);
      for (const token of batch.revoke) this.#toRevoke.add(token);
      this.#failures.value++;
      if (this.#failed++ === 0 && !this.#closed) this.#options.log.warn({ err: error }, 'the repository is away');
    }
  }

  #taken(result: GrantBatchResult, batch: GrantBatch): void {
    if (this.#failed > 0) this.#options.log.info('the repository is back');
    this.#failed = 0;
    if (result.refused > 0) this.#options.log.warn({ refused: result.refused }, 'the repository refused grants');
    this.#applications = new Map(result.applications.map((entry) => [entry.applicationId, entry]));
    if (this.#bootId !== undefined && this.#bootId !== result.bootId) this.#grantAllBut(batch);
    this.#bootId = result.bootId;
  }

  #grantAllBut(batch: GrantBatch): void {
    const nowMs = Date.now();
    for (const [token, grant] of this.#live) {
      if (grant.expiresAtMs <= nowMs) this.#live.delete(token);
      else this.#toGrant.set(token, grant);
    }
    for (const { token } of batch.grant) this.#toGrant.delete(token);
  }

  async #post(batch: GrantBatch): Promise<GrantBatchResult> {
    const request = { method: 'POST', path: PATH, fields: this.#fields, body: JSON.stringify(batch) };
    const answer = await this.#peer.exchange(request, REQUEST_TIMEOUT_MS);
    if (answer.status !== 200) throw new Error(`status ${answer.status}`);
    const result: unknown = JSON.parse(answer.body);
    requireValid<GrantBatchResult>(GrantBatchResult, result);
    return result;
  }
}

function first<T>(values: Iterable<T>): T[] {
  const taken: T[] = [];
  for (const value of values) {
    if (taken.push(value) === MAX_BATCH) break;
  }
  return taken;
}
