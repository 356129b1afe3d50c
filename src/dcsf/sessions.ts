import type { Counter, Metrics } from '../base/metrics.ts';
import { ImsdcError } from '../errors.ts';
import type { Session } from './decide/types.ts';

interface Entry {
  readonly session: Session;
  readonly touchedMs: number;
}

/** Sessions by id, oldest event first. Bounded in number and in age. */
export class SessionTable {
  readonly #entries = new Map<string, Entry>();
  /** Session ids of a served user, oldest first; most have one, which needs no set. */
  readonly #byServed = new Map<string, string | Set<string>>();
  readonly #max: number;
  readonly #maxAgeMs: number;
  readonly #refused: Counter;
  readonly #expired: Counter;

  readonly #changed: (sessionId: string) => void;

  /** `changed`: a session came, changed or went. */
  constructor(
    options: { max: number; maxAgeMs: number },
    metrics: Metrics,
    changed: (sessionId: string) => void = () => undefined,
  ) {
    this.#changed = changed;
    this.#max = options.max;
    this.#maxAgeMs = options.maxAgeMs;
    this.#refused = metrics.counter('imsdc_dcsf_sessions_refused_total', 'Sessions refused because the table is full');
    this.#expired = metrics.counter(
      'imsdc_dcsf_sessions_expired_total',
      'Sessions forgotten without SESSION_TERMINATION',
    );
    metrics.gauge('imsdc_dcsf_sessions', 'Sessions remembered', () => this.#entries.size);
  }

  get size(): number {
    return this.#entries.size;
  }

  get(sessionId: string): Session | null {
    return this.#entries.get(sessionId)?.session ?? null;
  }

  /** Epoch ms of its last event; 0: there is no such session. */
  touchedMs(sessionId: string): number {
    return this.#entries.get(sessionId)?.touchedMs ?? 0;
  }

  /** The newest session in which this user is served; null when there is none. */
  ofServed(served: string): Session | null {
    const ids = this.#byServed.get(served);
    const newest = typeof ids === 'object' ? [...ids].at(-1) : ids;
    return newest === undefined ? null : this.get(newest);
  }

  /** null forgets. Throws DCSF_SESSIONS_FULL for a new session when there is no room. */
  set(sessionId: string, session: Session | null, nowMs: number): void {
    const known = this.get(sessionId);
    this.#changed(sessionId);
    this.#entries.delete(sessionId);
    if (!session) {
      if (known) this.#forget(known);
      return;
    }
    if (!known && this.#entries.size >= this.#max) {
      this.#refused.value++;
      throw new ImsdcError('DCSF_SESSIONS_FULL', { max: this.#max });
    }
    this.#entries.set(sessionId, { session, touchedMs: nowMs });
    if (known?.served === session.served) return;
    if (known) this.#forget(known);
    const ids = this.#byServed.get(session.served);
    if (typeof ids === 'object') ids.add(sessionId);
    else this.#byServed.set(session.served, ids === undefined ? sessionId : new Set([ids, sessionId]));
  }

  #forget({ served, sessionId }: Session): void {
    const ids = this.#byServed.get(served);
    if (typeof ids === 'object') ids.delete(sessionId);
    if (ids === sessionId || (typeof ids === 'object' && ids.size === 0)) this.#byServed.delete(served);
  }

  /** Forgets what had no event for too long; returns it, for its tokens. */
  expire(nowMs: number): Session[] {
    const gone: Session[] = [];
    for (const [sessionId, { session, touchedMs }] of this.#entries) {
      if (nowMs - touchedMs < this.#maxAgeMs) break; // oldest first: the rest is younger
      this.#entries.delete(sessionId);
      this.#forget(session);
      this.#changed(sessionId);
      this.#expired.value++;
      gone.push(session);
    }
    return gone;
  }

  ids(): Iterable<string> {
    return this.#entries.keys();
  }

  *sessions(): Iterable<Session> {
    for (const { session } of this.#entries.values()) yield session;
  }
}
