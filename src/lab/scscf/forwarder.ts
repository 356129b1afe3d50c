import type { Logger } from '../../base/log.ts';
import { buildResponse, type ParsedMessage, parseMaxForwards } from '../../sip/message/index.ts';
import type { SipEndpoint } from '../../sip/transport/index.ts';
import type { ClientKey, Destination, ServerKey } from '../../sip/types.ts';
import { ResponseContext } from './response-context.ts';
import { forwardedRequest, forwardedResponse, INITIAL_MAX_FORWARDS } from './rewrite.ts';

/** One copy of a request on its way to one next hop. */
export interface Target {
  readonly requestUri: string;
  /** Route values below us; the first one is the next hop, else the Request-URI is. */
  readonly routes: readonly string[];
  readonly set?: ReadonlyMap<string, string>;
  readonly remove?: readonly string[];
}

export interface ForwardOptions {
  readonly recordRoute: boolean;
  /** Called instead of answering upstream when the next hop failed before it said anything but 100. True: handled. */
  readonly onSilentFailure?: (status: number) => boolean;
  /** Nothing but 100 (which every stack sends by itself) and no sign of life for this long counts as such a failure. */
  readonly silenceLimitMs?: number;
  /** The final response has gone upstream, or nobody waits for one any more. */
  readonly onFinished?: () => void;
}

/** A request that is being answered: its server transaction and what a CANCEL must reach. */
export interface Inbound {
  readonly key: ServerKey;
  readonly message: ParsedMessage;
  /** The context that currently works for it: changes when the chain goes on. */
  context: ResponseContext | null;
  cancelled: boolean;
  /** The final response has been sent. */
  answered: boolean;
}

interface Outbound {
  readonly context: ResponseContext;
  readonly inbound: Inbound;
  timerC: NodeJS.Timeout | null;
  silence: NodeJS.Timeout | null;
}

/** RFC 6026 timer M plus a margin: how long repeated 2xx of a branch are still passed on. */
const LINGER_MS = 35_000;

/** The stateful proxy core of RFC 3261 16: forks, waits, passes responses back. Knows nothing of services. */
export class Forwarder {
  readonly #endpoint: SipEndpoint;
  readonly #log: Logger;
  readonly #timerCMs: number;
  readonly #outbound = new Map<ClientKey, Outbound>();
  readonly #inbound = new Map<ServerKey, Inbound>();

  constructor(options: { endpoint: SipEndpoint; log: Logger; timerCMs: number }) {
    this.#endpoint = options.endpoint;
    this.#log = options.log;
    this.#timerCMs = options.timerCMs;
  }

  get pending(): number {
    return this.#inbound.size;
  }

  accept(key: ServerKey, message: ParsedMessage): Inbound {
    const inbound: Inbound = { key, message, context: null, cancelled: false, answered: false };
    this.#inbound.set(key, inbound);
    return inbound;
  }

  /** Answers `inbound` ourselves. */
  reply(inbound: Inbound, status: number, reason?: string, headers?: string): void {
    if (inbound.answered) return;
    const wire = buildResponse(inbound.message, status, { reason, toTag: this.#endpoint.newTag(), headers });
    this.#endpoint.respond(inbound.key, status, wire);
    this.#close(inbound);
  }

  /** Sends `inbound` to every target (RFC 3261 16.6) and brings back the best answer. */
  async forward(inbound: Inbound, targets: readonly Target[], options: ForwardOptions): Promise<void> {
    let provisional = false;
    const silent = (status: number) => !provisional && status >= 400 && (options.onSilentFailure?.(status) ?? false);
    const context: ResponseContext = new ResponseContext({
      forward: (response) => {
        if (response.status < 200) provisional = true;
        else if (
          (response.status === 408 || response.status >= 500) &&
          response.status < 600 &&
          silent(response.status)
        )
          return;
        this.#passBack(inbound, response);
      },
      answer: (status, reason) => {
        if (!silent(status)) this.reply(inbound, status, reason);
      },
      cancel: (key) => this.#endpoint.cancel(key),
      finished: () => options.onFinished?.(),
    });
    inbound.context = context;
    const hops = await Promise.allSettled(targets.map((target) => this.#resolve(target)));
    if (inbound.cancelled) {
      this.reply(inbound, 487);
      options.onFinished?.();
      return;
    }
    for (const [index, target] of targets.entries()) {
      const hop = hops[index]!;
      if (hop.status === 'fulfilled') this.#send(inbound, context, target, hop.value, options);
      else this.#log.warn({ err: hop.reason, target: target.routes[0] ?? target.requestUri }, 'next hop not found');
    }
    context.seal();
  }

  response(key: ClientKey, response: ParsedMessage): void {
    const outbound = this.#outbound.get(key);
    if (!outbound) return;
    if (response.status > 100) this.#heard(outbound);
    // 16.7 step 2: every provisional response but 100 starts timer C anew.
    if (response.status > 100 && response.status < 200) outbound.timerC?.refresh();
    if (response.status >= 200) this.#linger(key, outbound);
    outbound.context.response(key, response);
  }

  /** The next hop of `inbound` has shown in another way that it is at work. */
  alive(inbound: Inbound): void {
    for (const outbound of this.#outbound.values()) if (outbound.inbound === inbound) this.#heard(outbound);
  }

  #heard(outbound: Outbound): void {
    if (outbound.silence) clearTimeout(outbound.silence);
    outbound.silence = null;
  }

  failed(key: ClientKey, reason: 'timeout' | 'transport' | 'overload'): void {
    const outbound = this.#outbound.get(key);
    if (!outbound) return;
    this.#drop(key, outbound);
    outbound.context.failed(key, reason);
  }

  /** The layer has answered the CANCEL itself; here the INVITE behind it ends. */
  cancel(key: ServerKey): void {
    const inbound = this.#inbound.get(key);
    if (!inbound) return;
    inbound.cancelled = true;
    inbound.context?.cancel();
  }

  /** ACK of a 2xx: passes without a transaction (RFC 3261 16.11). */
  async acknowledge(message: ParsedMessage, target: Target): Promise<void> {
    const to = await this.#resolve(target);
    this.#endpoint.sendStateless(this.#wire(message, target, this.#endpoint.newBranch(), to, false), to);
  }

  close(): void {
    for (const [key, outbound] of this.#outbound) this.#drop(key, outbound);
    this.#inbound.clear();
  }

  #send(inbound: Inbound, context: ResponseContext, target: Target, to: Destination, options: ForwardOptions): void {
    const { method } = inbound.message;
    const branch = this.#endpoint.newBranch();
    const wire = this.#wire(inbound.message, target, branch, to, options.recordRoute);
    const key = this.#endpoint.request({ wire, method, branch, to });
    context.addBranch(key);
    const outbound: Outbound = { context, inbound, timerC: null, silence: null };
    this.#outbound.set(key, outbound);
    if (method === 'INVITE') outbound.timerC = setTimeout(() => this.#giveUp(key, outbound), this.#timerCMs);
    if (options.silenceLimitMs !== undefined) {
      outbound.silence = setTimeout(() => {
        this.#endpoint.cancel(key);
        this.failed(key, 'timeout');
      }, options.silenceLimitMs);
    }
  }

  #wire(message: ParsedMessage, target: Target, branch: string, to: Destination, recordRoute: boolean): string {
    return forwardedRequest(message, {
      requestUri: target.requestUri,
      via: this.#endpoint.viaFor(to, branch),
      routes: target.routes,
      maxForwards: (parseMaxForwards(message.first('max-forwards') ?? '') ?? INITIAL_MAX_FORWARDS + 1) - 1,
      ...(recordRoute ? { recordRoute: `<sip:${this.#endpoint.hostFor(to)};lr>` } : {}),
      ...(target.set ? { set: target.set } : {}),
      ...(target.remove ? { remove: target.remove } : {}),
    });
  }

  /** The first destination: a lab's hosts are addresses. */
  async #resolve(target: Target): Promise<Destination> {
    const [to] = await this.#endpoint.resolve(target.routes[0] ?? target.requestUri);
    return to!;
  }

  #passBack(inbound: Inbound, response: ParsedMessage): void {
    this.#endpoint.respond(inbound.key, response.status, forwardedResponse(response));
    if (response.status >= 200) this.#close(inbound);
  }

  #close(inbound: Inbound): void {
    inbound.answered = true;
    this.#inbound.delete(inbound.key);
  }

  /** Timer C (16.8): a branch that rings is cancelled, one that never said anything is taken as 408. */
  #giveUp(key: ClientKey, outbound: Outbound): void {
    if (outbound.context.progressed) this.#endpoint.cancel(key);
    else this.failed(key, 'timeout');
  }

  #linger(key: ClientKey, outbound: Outbound): void {
    if (outbound.timerC) clearTimeout(outbound.timerC);
    outbound.timerC = setTimeout(() => this.#drop(key, outbound), LINGER_MS);
    outbound.timerC.unref();
  }

  #drop(key: ClientKey, outbound: Outbound): void {
    if (outbound.timerC) clearTimeout(outbound.timerC);
    if (outbound.silence) clearTimeout(outbound.silence);
    this.#outbound.delete(key);
  }
}
