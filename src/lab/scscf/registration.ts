import type { IdMint } from '../../base/ids.ts';
import type { Logger } from '../../base/log.ts';
import { MessageWriter, type ParsedMessage, parseAddress } from '../../sip/message/index.ts';
import type { SipEndpoint } from '../../sip/transport/index.ts';
import type { ClientKey, Flow, SipMessage } from '../../sip/types.ts';
import type { ScscfConfig } from './config.ts';
import type { SubscriberDirectory } from './identity.ts';
import { type Binding, Registrar } from './registrar.ts';
import { ORIG_USER } from './route.ts';

/** Network support of IMS data channels, told to the UE (TS 23.228 AC.7.0, ue-side 1.3). */
const FEATURE_CAPS = '*;+sip.app-subtype="webrtc-datachannel"';

export interface RegisterAnswer {
  readonly status: number;
  readonly reason?: string;
  /** Whole header lines. */
  readonly headers?: string;
}

/** REGISTER as the S-CSCF serves it: bindings, Service-Route, and the third-party REGISTER to the AS. */
export class Registration {
  readonly #config: ScscfConfig;
  readonly #endpoint: SipEndpoint;
  readonly #hostPort: string;
  readonly #mint: IdMint;
  readonly #log: Logger;
  readonly #directory: SubscriberDirectory;
  readonly #registrar: Registrar;
  /** Third-party REGISTER requests on their way. */
  readonly #pending = new Map<ClientKey, string>();
  #cseq = 0;

  constructor(options: {
    config: ScscfConfig;
    endpoint: SipEndpoint;
    hostPort: string;
    mint: IdMint;
    log: Logger;
    directory: SubscriberDirectory;
  }) {
    this.#config = options.config;
    this.#endpoint = options.endpoint;
    this.#hostPort = options.hostPort;
    this.#mint = options.mint;
    this.#log = options.log;
    this.#directory = options.directory;
    this.#registrar = new Registrar(options.config);
  }

  get size(): number {
    return this.#registrar.size;
  }

  bindings(subscriber: string): readonly Binding[] {
    return this.#registrar.bindings(subscriber, Date.now());
  }

  register(message: ParsedMessage, flow: Flow): RegisterAnswer {
    const identities = this.#directory.identitiesOf(parseAddress(message.first('to') ?? '')?.uri ?? '');
    const subscriber = identities?.[0];
    if (!identities || subscriber === undefined) return { status: 404, reason: 'Not Our Subscriber' };
    const nowMs = Date.now();
    const outcome = this.#registrar.register(subscriber, message, flow, nowMs);
    if (outcome.status !== 200) {
      const headers = outcome.status === 423 ? `Min-Expires: ${this.#config.minExpiresS}\r\n` : '';
      return { status: outcome.status, reason: outcome.reason, headers };
    }
    this.#tellApplicationServer(subscriber, message, outcome.bindings, nowMs);
    return { status: 200, headers: this.#answerHeaders(identities, outcome.bindings, nowMs) };
  }

  /** True when `key` was one of ours. */
  response(key: ClientKey, response: SipMessage): boolean {
    const subscriber = this.#pending.get(key);
    if (subscriber === undefined) return false;
    if (response.status >= 200) this.#pending.delete(key);
    if (response.status >= 300)
      this.#log.warn({ status: response.status, subscriber }, 'AS refused a third-party REGISTER');
    return true;
  }

  failed(key: ClientKey, reason: 'timeout' | 'transport' | 'overload'): boolean {
    const subscriber = this.#pending.get(key);
    if (subscriber === undefined) return false;
    this.#pending.delete(key);
    this.#log.warn({ reason, subscriber }, 'AS did not answer a third-party REGISTER');
    return true;
  }

  #answerHeaders(identities: readonly string[], bindings: readonly Binding[], nowMs: number): string {
    const contacts = bindings.map(
      (binding) =>
        `Contact: ${binding.contact};expires=${Math.max(1, Math.round((binding.expiresAtMs - nowMs) / 1000))}`,
    );
    const lines = [
      ...contacts,
      `P-Associated-URI: ${identities.map((identity) => `<${identity}>`).join(', ')}`,
      `Service-Route: <sip:${ORIG_USER}@${this.#hostPort};lr>`,
      `Feature-Caps: ${FEATURE_CAPS}`,
    ];
    return `${lines.join('\r\n')}\r\n`;
  }

  /** TS 24.229 5.4.1.7: the AS learns who is registered, and from the UE's own REGISTER with what (R23). */
  #tellApplicationServer(
    subscriber: string,
    message: ParsedMessage,
    bindings: readonly Binding[],
    nowMs: number,
  ): void {
    const { applicationServer } = this.#config;
    if (applicationServer === '') return;
    const latest = Math.max(0, ...bindings.map((binding) => binding.expiresAtMs - nowMs));
    const body = message.raw;
    this.#endpoint
      .resolve(applicationServer)
      .then(([to]) => {
        const branch = this.#endpoint.newBranch();
        const wire = MessageWriter.request('REGISTER', applicationServer)
          .header('Via', this.#endpoint.viaFor(to!, branch))
          .header('Max-Forwards', 70)
          .header('From', `<sip:${this.#hostPort}>;tag=${this.#mint.next()}`)
          .header('To', `<${subscriber}>`)
          .header('Call-ID', this.#mint.next())
          .header('CSeq', `${++this.#cseq} REGISTER`)
          .header('Contact', `<sip:${this.#hostPort}>`)
          .header('Expires', Math.ceil(latest / 1000))
          .header('P-Charging-Vector', `icid-value="${this.#mint.next()}"`)
          .finish(body, 'message/sip');
        this.#pending.set(this.#endpoint.request({ wire, method: 'REGISTER', branch, to: to! }), subscriber);
      })
      .catch((error: unknown) => this.#log.warn({ err: error, applicationServer }, 'AS cannot be found'));
  }
}
