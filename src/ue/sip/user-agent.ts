import type { IdMint } from '../../base/ids.ts';
import type { Logger } from '../../base/log.ts';
import { ImsdcError } from '../../errors.ts';
import { buildResponse, type DialogId, dialogIdOf, type ParsedMessage } from '../../sip/index.ts';
import type { SipEndpoint } from '../../sip/transport/index.ts';
import type { ClientKey, Destination, ServerKey, TransactionUserEvent } from '../../sip/types.ts';

/** A request that is on its way. */
export interface PendingRequest {
  /** The final response, whatever its status; rejects UE_CALL_FAILED when none comes. */
  readonly final: Promise<ParsedMessage>;
  cancel(): void;
}

/** What takes the requests of one dialog. */
export interface DialogUser {
  request(key: ServerKey, message: ParsedMessage): void;
  ack(message: ParsedMessage): void;
}

/** What takes the requests outside dialogs. */
export interface UserAgentOwner {
  invite(key: ServerKey, message: ParsedMessage): void;
}

interface Pending {
  onResponse(response: ParsedMessage): void;
  failed(reason: string): void;
}

/** RFC 6026 timer M and some: repeated 2xx of an INVITE are answered with ACK for this long. */
const REPEATED_2XX_MS = 35_000;

/** What our answers say we understand. */
export const ALLOW = 'INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, OPTIONS, INFO, MESSAGE';

/** The transaction user of a UE: gives requests their transactions and finds the dialog of what comes in. */
export class UserAgent {
  readonly endpoint: SipEndpoint;
  readonly mint: IdMint;
  readonly log: Logger;
  owner: UserAgentOwner | null = null;
  readonly #pending = new Map<ClientKey, Pending>();
  readonly #dialogs = new Map<DialogId, DialogUser>();
  readonly #servers = new Map<ServerKey, () => void>();

  constructor(options: { endpoint: SipEndpoint; mint: IdMint; log: Logger }) {
    this.endpoint = options.endpoint;
    this.endpoint.on('sip', (event) => this.#handle(event));
    this.mint = options.mint;
    this.log = options.log;
  }

  get dialogs(): number {
    return this.#dialogs.size;
  }

  /**
   * Sends a request. `build` gets our Via value and writes the message; `onResponse` sees every response, repeated
   * 2xx included.
   */
  request(options: {
    readonly method: string;
    readonly nextHop: string;
    build(via: string): string;
    onResponse?(response: ParsedMessage): void;
  }): PendingRequest {
    const { promise, resolve, reject } = Promise.withResolvers<ParsedMessage>();
    let key: ClientKey | null = null;
    let cancelled = false;
    const pending: Pending = {
      onResponse: (response) => {
        options.onResponse?.(response);
        if (response.status < 200) return;
        if (key !== null) this.#retire(key, options.method);
        resolve(response);
      },
      failed: (reason) => {
        if (key !== null) this.#pending.delete(key);
        reject(new ImsdcError('UE_CALL_FAILED', { status: 408, reason }));
      },
    };
    this.#resolve(options.nextHop).then((to) => {
      if (cancelled) return pending.failed('cancelled before it was sent');
      const branch = this.endpoint.newBranch();
      const wire = options.build(this.endpoint.viaFor(to, branch));
      key = this.endpoint.request({ wire, method: options.method, branch, to });
      this.#pending.set(key, pending);
    }, reject);
    const cancel = () => {
      cancelled = true;
      if (key !== null) this.endpoint.cancel(key);
    };
    return { final: promise, cancel };
  }

  /** The ACK of a 2xx: outside any transaction. */
  acknowledge(nextHop: string, build: (via: string) => string): void {
    this.#resolve(nextHop).then(
      (to) => this.endpoint.sendStateless(build(this.endpoint.viaFor(to, this.endpoint.newBranch())), to),
      (error: unknown) => this.log.warn({ err: error, nextHop }, 'ACK could not be sent'),
    );
  }

  /** A UE speaks one transport: where a URI leaves the choice, it is taken (Record-Route of a proxy on both, say). */
  async #resolve(nextHop: string): Promise<Destination> {
    const [to] = await this.endpoint.resolve(nextHop);
    const own = this.endpoint.addresses()[0]!.transport;
    return to!.transport === own ? to! : { ...to!, transport: own };
  }

  bind(id: DialogId, user: DialogUser): void {
    this.#dialogs.set(id, user);
  }

  unbind(id: DialogId): void {
    this.#dialogs.delete(id);
  }

  /** `cancelled` runs when the caller gives up the INVITE `key`. */
  onCancel(key: ServerKey, cancelled: () => void): void {
    this.#servers.set(key, cancelled);
  }

  respond(key: ServerKey, status: number, wire: string): void {
    if (status >= 200) this.#servers.delete(key);
    this.endpoint.respond(key, status, wire);
  }

  /** Everything the transaction layer has to say. */
  #handle(event: TransactionUserEvent): void {
    switch (event.kind) {
      case 'request':
        this.#request(event.key, event.message as ParsedMessage);
        break;
      case 'cancel':
        this.#servers.get(event.key)?.();
        break;
      case 'ack':
        this.#dialogs.get(dialogIdOf(event.message))?.ack(event.message as ParsedMessage);
        break;
      case 'response':
        this.#pending.get(event.key)?.onResponse(event.message as ParsedMessage);
        break;
      case 'clientFailed':
        this.#pending.get(event.key)?.failed(event.reason);
        break;
      case 'serverFailed':
        this.#servers.get(event.key)?.();
        break;
      case 'strayResponse':
        this.log.debug({ status: event.message.status }, 'a response nobody waits for');
        break;
      default:
        event satisfies never;
    }
  }

  #request(key: ServerKey, message: ParsedMessage): void {
    if (message.toTag !== '') {
      const user = this.#dialogs.get(dialogIdOf(message));
      if (user) user.request(key, message);
      else this.refuse(key, message, 481);
      return;
    }
    switch (message.method) {
      case 'INVITE':
        if (this.owner) this.owner.invite(key, message);
        else this.refuse(key, message, 480);
        break;
      case 'OPTIONS':
      case 'MESSAGE':
        this.refuse(key, message, 200, `Allow: ${ALLOW}\r\n`);
        break;
      default:
        this.refuse(key, message, 405, `Allow: ${ALLOW}\r\n`);
    }
  }

  /** A final answer without body. */
  refuse(key: ServerKey, message: ParsedMessage, status: number, headers = ''): void {
    this.respond(key, status, buildResponse(message, status, { toTag: this.mint.next(), headers }));
  }

  #retire(key: ClientKey, method: string): void {
    if (method !== 'INVITE') this.#pending.delete(key);
    else setTimeout(() => this.#pending.delete(key), REPEATED_2XX_MS).unref();
  }
}
