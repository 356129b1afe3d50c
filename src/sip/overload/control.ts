import { parseAddress } from '../message/address.ts';
import type { Refusal } from '../message/check.ts';
import { isPriorityRequest } from '../message/priority.ts';
import type { Flow, SipMessage } from '../types.ts';
import { lossFeedback, offersLossControl } from './feedback.ts';
import { TokenBuckets } from './token-bucket.ts';

export interface OverloadOptions {
  /** New dialogs and other requests outside dialogs that one peer may send; 0: any number. */
  readonly peerRequestsPerSecond: number;
  readonly peerBurst: number;
  /** The same for one user, wherever it comes from. */
  readonly userRequestsPerSecond: number;
  readonly userBurst: number;
  /** From this delay of the event loop on, requests outside dialogs are refused, all of them at twice that; 0: never. */
  readonly loopLagMs: number;
  readonly retryAfterSeconds: number;
}

/** A trunk sends from a handful of addresses; users are as many as call within a few seconds. */
const MAX_PEERS = 1000;
const MAX_USERS = 20_000;
/** Weight of the newest of the samples of `observeLag`: about the last ten count. */
const LAG_WEIGHT = 0.2;

/**
 * Who is let in while there is too much to do. Asked once per new server transaction outside dialogs, never for what
 * belongs to a call that is up: those must be able to end. Emergency and priority calls always pass (here; the bound on
 * transactions has the last word).
 */
export class OverloadControl {
  readonly refused = { peer: 0, user: 0, lag: 0 };
  /** Priority requests that passed while others would not have. */
  priorityPassed = 0;
  readonly #options: OverloadOptions;
  readonly #peers: TokenBuckets;
  readonly #users: TokenBuckets;
  #lagMs = 0;
  #owed = 0;

  constructor(options: OverloadOptions) {
    this.#options = options;
    this.#peers = new TokenBuckets({
      perSecond: options.peerRequestsPerSecond,
      burst: options.peerBurst,
      maxKeys: MAX_PEERS,
    });
    this.#users = new TokenBuckets({
      perSecond: options.userRequestsPerSecond,
      burst: options.userBurst,
      maxKeys: MAX_USERS,
    });
  }

  /** How late the event loop was, a few times per second. */
  observeLag(sampleMs: number): void {
    this.#lagMs += (sampleMs - this.#lagMs) * LAG_WEIGHT;
  }

  /** Share of new work that is refused, or asked to be kept away: 0 to 1. */
  get lossFraction(): number {
    const limit = this.#options.loopLagMs;
    return limit === 0 ? 0 : Math.min(1, Math.max(0, (this.#lagMs - limit) / limit));
  }

  /** A refusal, or undefined when the request may come in. */
  admit(message: SipMessage, flow: Flow, nowMs: number): Refusal | undefined {
    const { peerRequestsPerSecond, userRequestsPerSecond } = this.#options;
    const peer = peerRequestsPerSecond > 0 && !this.#peers.take(flow.remoteAddress, nowMs);
    const user = !peer && userRequestsPerSecond > 0 && !this.#users.take(callerOf(message), nowMs);
    const lag = !peer && !user && this.#sheds(message);
    if (!peer && !user && !lag) return undefined;
    if (isPriorityRequest(message)) {
      this.priorityPassed++;
      return undefined;
    }
    this.refused[peer ? 'peer' : user ? 'user' : 'lag']++;
    const headers = `Retry-After: ${this.#options.retryAfterSeconds}\r\n`;
    // RFC 3261 21.5.4: a 503 may turn the whole peer away from us, which one user's flood is no reason for.
    if (user) return { status: 500, reason: 'Too Many Requests From This User', headers };
    return { status: 503, reason: undefined, headers };
  }

  /** What a response to this request says of our load; '' when its sender did not ask (RFC 7339 5.2). */
  feedback(message: SipMessage, nowMs: number): string {
    return offersLossControl(message.via) ? lossFeedback(this.lossFraction, nowMs) : '';
  }

  #sheds(message: SipMessage): boolean {
    const fraction = this.lossFraction;
    if (fraction === 0) return false;
    // RFC 7339 5.4: a peer that obeys `oc` has left out that share already. At the end nobody is believed.
    if (fraction < 1 && offersLossControl(message.via)) return false;
    // Spread evenly instead of drawn: 0.25 refuses each fourth.
    this.#owed += fraction;
    if (this.#owed < 1) return false;
    this.#owed -= 1;
    return true;
  }
}

/** The user that the network vouches for, else whom the request names; without parameters, so that they are no way out. */
function callerOf(message: SipMessage): string {
  const value = message.list('p-asserted-identity')[0] ?? message.first('from') ?? '';
  const uri = parseAddress(value)?.uri ?? value;
  const end = uri.search(/[;?]/);
  return (end < 0 ? uri : uri.slice(0, end)).toLowerCase();
}
