import type { ParsedMessage } from '../../sip/message/index.ts';
import type { ClientKey } from '../../sip/types.ts';

/** What a response context asks of the proxy around it. */
export interface ResponseContextPort {
  /** Passes a response on towards the caller. */
  forward(response: ParsedMessage): void;
  /** Answers the caller ourselves: nothing better came. */
  answer(status: number, reason: string): void;
  /** CANCEL for a branch that is still pending. */
  cancel(branch: ClientKey): void;
  /** Every branch is done and the final response has gone. */
  finished(): void;
}

type Branch = { done: false; cancelled: boolean } | { done: true };

/**
 * One forked request (RFC 3261 16.7): collects the responses of its branches and decides what goes back. Provisional
 * responses and every 2xx pass at once; otherwise the best final response, once no branch is left.
 */
export class ResponseContext {
  readonly #port: ResponseContextPort;
  readonly #branches = new Map<ClientKey, Branch>();
  #best: { status: number; response: ParsedMessage | null; reason: string } | null = null;
  #answered = false;
  #cancelled = false;
  #sealed = false;
  #finished = false;

  constructor(port: ResponseContextPort) {
    this.#port = port;
  }

  addBranch(key: ClientKey): void {
    this.#branches.set(key, { done: false, cancelled: false });
  }

  /** No more branches will be added. */
  seal(): void {
    this.#sealed = true;
    this.#decide();
  }

  /** Anything but 100 has come back on any branch. */
  progressed = false;

  get answered(): boolean {
    return this.#answered;
  }

  response(key: ClientKey, response: ParsedMessage): void {
    const { status } = response;
    if (status === 100) return;
    this.progressed = true;
    if (status < 200) {
      // 16.7 step 5: provisional responses pass until the final one has gone.
      if (!this.#answered) this.#port.forward(response);
      return;
    }
    this.#branches.set(key, { done: true });
    if (status < 300) {
      this.#answered = true;
      this.#port.forward(response);
      this.#cancelPending();
    } else {
      this.#keep(status, response, response.reason);
      if (status >= 600) this.#cancelPending();
    }
    this.#decide();
  }

  /** 16.9: no answer counts as 408, a transport failure as 503. */
  failed(key: ClientKey, reason: 'timeout' | 'transport' | 'overload'): void {
    this.#branches.set(key, { done: true });
    if (reason === 'timeout') this.#keep(408, null, 'Request Timeout');
    else this.#keep(503, null, 'Service Unavailable');
    this.#decide();
  }

  /** The caller gave up: 16.10. Branches answer 487 themselves. */
  cancel(): void {
    this.#cancelled = true;
    this.#cancelPending();
  }

  get cancelled(): boolean {
    return this.#cancelled;
  }

  #cancelPending(): void {
    for (const [key, branch] of this.#branches) {
      if (branch.done || branch.cancelled) continue;
      branch.cancelled = true;
      this.#port.cancel(key);
    }
  }

  /** 16.7 step 6: 6xx first, then the lowest class; within a class the first that came. */
  #keep(status: number, response: ParsedMessage | null, reason: string): void {
    if (!this.#best || rank(status) < rank(this.#best.status)) this.#best = { status, response, reason };
  }

  #decide(): void {
    if (!this.#sealed || [...this.#branches.values()].some((branch) => !branch.done)) return;
    if (!this.#answered) {
      this.#answered = true;
      // 16.7 step 6: a 503 would tell the caller that we are overloaded, which is not what happened.
      if (!this.#best) this.#port.answer(480, 'Temporarily Unavailable');
      else if (this.#best.status === 503) this.#port.answer(500, 'Next Hop Unavailable');
      else if (this.#best.response) this.#port.forward(this.#best.response);
      else this.#port.answer(this.#best.status, this.#best.reason);
    }
    if (this.#finished) return;
    this.#finished = true;
    this.#port.finished();
  }
}

function rank(status: number): number {
  if (status >= 600) return 0;
  // Those that say how the request may be repeated are more useful than the rest of their class (16.7 step 6).
  const useful = [401, 407, 415, 420, 484].includes(status) ? 0 : 1;
  return Math.floor(status / 100) * 10 + useful;
}
