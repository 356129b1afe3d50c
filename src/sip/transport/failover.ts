import { withTopVia } from '../message/index.ts';
import { clientKey } from '../transaction/index.ts';
import type { ClientKey, Destination, TransactionUserEvent } from '../types.ts';
import { FAILURE_REST_MS, parseRetryAfter, type RestingTargets } from './resting-targets.ts';

/** Between a branch and the number of the attempt: a token character that no branch of ours has. */
const ATTEMPT = '~';

export interface OutgoingRequest {
  readonly wire: string;
  readonly method: string;
  readonly branch: string;
  readonly to: Destination;
}

interface Attempt {
  /** As the user gave it: each attempt is made from it. */
  readonly request: OutgoingRequest;
  readonly to: Destination;
  readonly number: number;
  /** Not tried yet; emptied by CANCEL. */
  rest: readonly Destination[];
}

/**
 * RFC 3263 4.3: a request whose next hop has several addresses goes to the next one when this one answers 503, cannot be
 * reached or does not answer, as a new transaction with a branch of its own. Its user knows it by the first branch and
 * sees the last outcome only.
 */
export class Failover {
  readonly #resting: RestingTargets;
  readonly #sentBy: (to: Destination) => string | undefined;
  /** By the key that the user knows. */
  readonly #attempts = new Map<ClientKey, Attempt>();
  #everRetried = false;

  constructor(resting: RestingTargets, sentBy: (to: Destination) => string | undefined) {
    this.#resting = resting;
    this.#sentBy = sentBy;
  }

  /** Requests that have no final response yet. */
  get size(): number {
    return this.#attempts.size;
  }

  /** The first attempt: its topmost Via says how it goes. */
  start(request: OutgoingRequest, otherwise: readonly Destination[]): OutgoingRequest {
    const key = clientKey(request.branch, request.method);
    const attempt = { request, to: request.to, number: 0, rest: otherwise };
    if (otherwise.length > 0) this.#attempts.set(key, attempt);
    return this.#outgoing(attempt);
  }

  /** The transaction that is under way for the one that the user knows. CANCEL ends the search for a better place. */
  cancelled(key: ClientKey): ClientKey {
    const attempt = this.#attempts.get(key);
    if (attempt === undefined) return key;
    attempt.rest = [];
    return clientKey(branchOf(attempt), attempt.request.method);
  }

  /** What to send instead of telling the user; undefined: tell it. */
  next(event: TransactionUserEvent & { key: ClientKey }, nowMs: number): OutgoingRequest | undefined {
    const key = originalKey(event.key);
    const attempt = this.#attempts.get(key);
    if (attempt === undefined || event.key !== clientKey(branchOf(attempt), attempt.request.method)) return undefined;
    if (event.kind === 'response' && event.message.status < 200) return undefined;
    this.#attempts.delete(key);
    if (!this.#failed(event, attempt.to, nowMs)) return undefined;
    const [to, ...rest] = this.#resting.inOrder(attempt.rest, nowMs);
    if (to === undefined) return undefined;
    const next = { request: attempt.request, to, number: attempt.number + 1, rest };
    this.#attempts.set(key, next);
    this.#everRetried = true;
    return this.#outgoing(next);
  }

  /** The event as its user knows it: by the first branch. */
  known<E extends TransactionUserEvent>(event: E): E {
    if (!this.#everRetried || (event.kind !== 'response' && event.kind !== 'clientFailed')) return event;
    const key = originalKey(event.key);
    return key === event.key ? event : { ...event, key };
  }

  #failed(event: TransactionUserEvent, to: Destination, nowMs: number): boolean {
    if (event.kind === 'response') {
      if (event.message.status !== 503) {
        this.#resting.works(to);
        return false;
      }
      const restMs = parseRetryAfter(event.message.first('retry-after'));
      if (restMs !== undefined) this.#resting.rest(to, restMs, nowMs);
      return true;
    }
    if (event.kind !== 'clientFailed' || event.reason === 'overload') return false;
    this.#resting.rest(to, FAILURE_REST_MS, nowMs);
    return true;
  }

  #outgoing(attempt: Attempt): OutgoingRequest {
    const { request, to } = attempt;
    const branch = branchOf(attempt);
    const sentBy = this.#sentBy(to);
    const wire = branch === request.branch ? request.wire : withBranch(request.wire, request.branch, branch);
    return {
      method: request.method,
      branch,
      to,
      wire: sentBy === undefined ? wire : withTopVia(wire, to.transport, sentBy),
    };
  }
}

function branchOf({ request, number }: Attempt): string {
  return number === 0 ? request.branch : `${request.branch}${ATTEMPT}${number}`;
}

/** The topmost Via is the first header that has it. */
function withBranch(wire: string, from: string, to: string): string {
  return wire.replace(`branch=${from}`, () => `branch=${to}`);
}

function originalKey(key: ClientKey): ClientKey {
  const at = key.indexOf(ATTEMPT);
  return at < 0 ? key : (`${key.slice(0, at)}${key.slice(key.indexOf(' ', at))}` as string as ClientKey);
}
