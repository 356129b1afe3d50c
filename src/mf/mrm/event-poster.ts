import type { Logger } from '../../base/log.ts';
import type { Counter, Metrics } from '../../base/metrics.ts';
import { SbiClient } from '../../sbi/client.ts';
import type { SbiTls } from '../../sbi/tls.ts';
import type { MediaEvent } from '../../services/nmf-mrm.ts';

export interface EventPosterOptions {
  readonly userAgent: string;
  readonly tls?: SbiTls | undefined;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Waits before each repetition, ms. */
  readonly retryDelaysMs?: readonly number[];
}

const RETRY_DELAYS_MS = [200, 1_000, 3_000];
const TIMEOUT_MS = 2_000;
/** Events on their way; more are dropped and counted: a PATCH of `test` operations tells the same (R25). */
const MAX_PENDING = 10_000;
/** Consumers that a client is kept for; a request names the URI, so it must not make us keep sessions without end. */
const MAX_ORIGINS = 64;

/**
 * Posts media events to the consumers' `eventUri`s (R25): TLS, or h2c on loopback, a few repetitions, never in the
 * way of anything.
 */
export class EventPoster {
  readonly #options: EventPosterOptions;
  readonly #clients = new Map<string, SbiClient>();
  readonly #posted: Counter;
  readonly #dropped: Counter;
  readonly #sleeping = new Set<() => void>();
  #pending = 0;
  #closed = false;

  constructor(options: EventPosterOptions) {
    this.#options = options;
    const { metrics } = options;
    this.#posted = metrics.counter('imsdc_mf_events_posted_total', 'media events taken by their consumer');
    this.#dropped = metrics.counter('imsdc_mf_events_dropped_total', 'media events that could not be delivered');
    metrics.gauge('imsdc_mf_events_pending', 'media events on their way', () => this.#pending);
  }

  /** Consumers that a client is kept for. */
  get consumers(): number {
    return this.#clients.size;
  }

  get pending(): number {
    return this.#pending;
  }

  post(eventUri: string, event: MediaEvent): void {
    if (this.#closed || this.#pending >= MAX_PENDING) {
      this.#dropped.value++;
      return;
    }
    this.#pending++;
    this.#deliver(eventUri, event)
      .then(() => this.#posted.value++)
      .catch((error: Error) => {
        this.#dropped.value++;
        this.#options.log.warn({ ...event, eventUri, problem: error.message }, 'media event not delivered');
      })
      .finally(() => this.#pending--);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const wake of this.#sleeping) wake();
    await Promise.all([...this.#clients.values()].map((client) => client.close()));
  }

  async #deliver(eventUri: string, body: MediaEvent): Promise<void> {
    const delays = this.#options.retryDelaysMs ?? RETRY_DELAYS_MS;
    for (let attempt = 0; ; attempt++) {
      try {
        const { status } = await this.#client(eventUri).request({
          method: 'POST',
          path: pathOf(eventUri),
          body,
          deadlineMs: Date.now() + TIMEOUT_MS,
          callback: 'Nmf_MRM_MediaEvent',
        });
        // What the consumer refuses it refuses again; what it cannot take now it may take later.
        if (status < 300) return;
        if (status !== 429 && status < 500) throw new Refused(`status ${status}`);
        throw new Error(`status ${status}`);
      } catch (error) {
        const delayMs = delays[attempt];
        if (error instanceof Refused || delayMs === undefined || this.#closed) throw error;
        await this.#sleep(delayMs);
      }
    }
  }

  #client(eventUri: string): SbiClient {
    const { origin } = new URL(eventUri);
    let client = this.#clients.get(origin);
    if (!client) {
      if (this.#clients.size >= MAX_ORIGINS) this.#forgetOldest();
      const { log, tls, userAgent } = this.#options;
      client = new SbiClient({ apiRoot: origin, userAgent, tls, log });
    }
    // In the order of their last use.
    this.#clients.delete(origin);
    this.#clients.set(origin, client);
    return client;
  }

  /** An AS at another port after each restart is another consumer each time. */
  #forgetOldest(): void {
    for (const [origin, client] of this.#clients) {
      if (client.inFlight > 0) continue;
      this.#clients.delete(origin);
      void client.close();
      return;
    }
    throw new Refused('too many consumers');
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#sleeping.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#sleeping.add(wake);
    });
  }
}

/** Not worth a repetition. */
class Refused extends Error {}

const pathOf = (uri: string) => {
  const { pathname, search } = new URL(uri);
  return pathname + search;
};
