import type { IdMint } from '../../base/ids.ts';
import type { Logger } from '../../base/log.ts';
import { checkRequest, type ParsedMessage, parseAddress } from '../../sip/message/index.ts';
import { hostPort, type SipEndpoint } from '../../sip/transport/index.ts';
import type { Flow, ServerKey, TransactionUserEvent } from '../../sip/types.ts';
import type { ScscfConfig } from './config.ts';
import { Forwarder, type Inbound, type Target } from './forwarder.ts';
import { SubscriberDirectory } from './identity.ts';
import { Registration } from './registration.ts';
import { entryOf, type RouteSet, takeOwnRoute } from './route.ts';
import { odiUser, ServiceChain, type ServicePass } from './service-chain.ts';

const POLICY = { schemes: new Set(['sip', 'sips', 'tel']), forwards: true, proxySupported: new Set<string>() };

/**
 * The lab's S-CSCF: registrar and stateful proxy. Each initial INVITE passes the application server twice, once for
 * its caller and once for its callee (TS 24.229 5.4.3.2, 5.4.3.3), then goes to every contact of the callee.
 */
export class Scscf {
  readonly #config: ScscfConfig;
  /** `address:port` as Route and Record-Route name us. */
  readonly #hostPort: string;
  readonly #log: Logger;
  readonly #directory: SubscriberDirectory;
  readonly #registration: Registration;
  readonly #chain: ServiceChain;
  readonly #forwarder: Forwarder;
  readonly #mint: IdMint;
  /** Requests that the AS failed once: for it the other pass would be the same request again (482). */
  readonly #unserved = new WeakSet<Inbound>();

  constructor(options: { config: ScscfConfig; endpoint: SipEndpoint; mint: IdMint; log: Logger }) {
    const { config, endpoint, mint, log } = options;
    this.#config = config;
    const [first] = endpoint.addresses();
    this.#hostPort = hostPort(first!.host, first!.port);
    this.#log = log;
    this.#mint = mint;
    this.#directory = new SubscriberDirectory(
      config.homeDomain,
      config.subscriptions.map((identities) => ({ identities })),
    );
    this.#registration = new Registration({
      config,
      endpoint,
      hostPort: this.#hostPort,
      mint,
      log,
      directory: this.#directory,
    });
    this.#chain = new ServiceChain(() => mint.next());
    this.#forwarder = new Forwarder({ endpoint, log, timerCMs: config.timerCMs });
    endpoint.on('sip', (event) => this.#handle(event));
  }

  status(): { registered: number; pendingRequests: number; servicePasses: number } {
    return {
      registered: this.#registration.size,
      pendingRequests: this.#forwarder.pending,
      servicePasses: this.#chain.size,
    };
  }

  close(): void {
    this.#forwarder.close();
  }

  /** Everything the transaction layer has to say. */
  #handle(event: TransactionUserEvent): void {
    switch (event.kind) {
      case 'request':
        this.#request(event.key, event.message as ParsedMessage, event.flow);
        break;
      case 'cancel':
        this.#forwarder.cancel(event.key);
        break;
      case 'ack':
        this.#acknowledge(event.message as ParsedMessage);
        break;
      case 'response':
        if (!this.#registration.response(event.key, event.message)) {
          this.#forwarder.response(event.key, event.message as ParsedMessage);
        }
        break;
      case 'clientFailed':
        if (!this.#registration.failed(event.key, event.reason)) this.#forwarder.failed(event.key, event.reason);
        break;
      case 'serverFailed':
      case 'strayResponse':
        this.#log.debug({ kind: event.kind }, 'dropped');
        break;
      default:
        event satisfies never;
    }
  }

  #request(key: ServerKey, message: ParsedMessage, flow: Flow): void {
    const inbound = this.#forwarder.accept(key, message);
    const refusal = checkRequest(message, POLICY);
    if (refusal) {
      this.#forwarder.reply(inbound, refusal.status, refusal.reason, refusal.headers);
      return;
    }
    if (message.method === 'REGISTER') {
      const { status, reason, headers } = this.#registration.register(message, flow);
      this.#forwarder.reply(inbound, status, reason, headers);
      return;
    }
    const route = takeOwnRoute(message, this.#isUs);
    switch (entryOf(message, route.own)) {
      case 'inDialog':
        // Every leg record-routes already, so nothing is added here.
        this.#run(inbound, [{ requestUri: message.requestUri, routes: route.rest }], { recordRoute: false });
        break;
      case 'fromServedUser':
        this.#originate(inbound, route);
        break;
      case 'backFromApplicationServer':
        this.#back(inbound, route);
        break;
      case 'fromElsewhere':
        // A script without Service-Route: our own users call, everybody else is called from outside.
        if (message.first('p-asserted-identity') === undefined && this.#directory.isHome(fromUri(message))) {
          this.#originate(inbound, route);
        } else this.#terminate(inbound, route.rest);
        break;
    }
  }

  readonly #isUs = (host: string, port: number): boolean =>
    `${host}:${port === 0 ? 5060 : port}` === this.#hostPort || host.toLowerCase() === this.#directory.homeDomain;

  #originate(inbound: Inbound, route: RouteSet): void {
    const preferred = parseAddress(inbound.message.first('p-preferred-identity') ?? '')?.uri;
    const identities = this.#directory.identitiesOf(preferred ?? fromUri(inbound.message));
    if (!identities) {
      this.#forwarder.reply(inbound, 403, 'Unknown Originating User');
      return;
    }
    const set = new Map([
      ['p-asserted-identity', identities.map((identity) => `<${identity}>`).join(', ')],
      ['p-charging-vector', `icid-value="${this.#mint.next()}";orig-ioi=${this.#directory.homeDomain}`],
    ]);
    this.#pass(inbound, { sessionCase: 'orig', servedUser: identities[0]! }, route.rest, set);
  }

  #terminate(inbound: Inbound, routes: readonly string[]): void {
    const { requestUri } = inbound.message;
    const servedUser = this.#directory.subscriber(requestUri);
    if (servedUser !== undefined) this.#pass(inbound, { sessionCase: 'term', servedUser }, routes, new Map());
    else if (requestUri.startsWith('tel:')) this.#forwarder.reply(inbound, 404, 'Unknown Number');
    else this.#run(inbound, [{ requestUri, routes }], { recordRoute: true });
  }

  #back(inbound: Inbound, route: RouteSet): void {
    const pass = this.#chain.returned(route.own?.user);
    // The call it belonged to has ended: without its pass we would serve the request a second time.
    if (!pass) this.#forwarder.reply(inbound, 481, 'Original Dialog Identifier Is Not Known');
    else {
      pass.onReturn?.();
      this.#after(inbound, pass, route.rest);
    }
  }

  /** Sends a request to the AS for one pass, or goes on at once where no AS serves it. */
  #pass(inbound: Inbound, pass: ServicePass, routes: readonly string[], set: ReadonlyMap<string, string>): void {
    const { applicationServer } = this.#config;
    const isServed = applicationServer !== '' && inbound.message.method === 'INVITE' && !this.#unserved.has(inbound);
    const onReturn = () => this.#forwarder.alive(inbound);
    const odi = isServed ? this.#chain.enter({ ...pass, onReturn }) : undefined;
    if (odi === undefined) {
      this.#after(inbound, pass, routes, set);
      return;
    }
    const registered = this.#registration.bindings(pass.servedUser).length > 0 ? 'reg' : 'unreg';
    const served = `<${pass.servedUser}>;sescase=${pass.sessionCase};regstate=${registered}`;
    const target: Target = {
      requestUri: inbound.message.requestUri,
      routes: [`<${looseRoute(applicationServer)}>`, `<sip:${odiUser(odi)}@${this.#hostPort};lr>`, ...routes],
      set: new Map([...set, ['p-served-user', served]]),
      remove: ['p-preferred-identity'],
    };
    this.#run(inbound, [target], {
      recordRoute: true,
      silenceLimitMs: this.#config.applicationServerTimeoutMs,
      onFinished: () => this.#chain.leave(odi),
      // TS 24.229 5.4.3.2: default handling SESSION_CONTINUED. Voice does not depend on the AS.
      onSilentFailure: (status) => {
        this.#log.warn({ status, sessionCase: pass.sessionCase }, 'application server skipped');
        this.#unserved.add(inbound);
        this.#after(inbound, pass, routes, set);
        return true;
      },
    });
  }

  /** The AS is done with this pass, or was skipped. */
  #after(inbound: Inbound, pass: ServicePass, routes: readonly string[], set?: ReadonlyMap<string, string>): void {
    if (pass.sessionCase === 'orig') {
      this.#terminateAfter(inbound, routes, set);
      return;
    }
    const { requestUri } = inbound.message;
    const callee = this.#directory.subscriber(requestUri);
    const bindings = callee === undefined ? [] : this.#registration.bindings(callee);
    if (callee === undefined) {
      this.#run(inbound, [{ requestUri, routes }], { recordRoute: true });
      return;
    }
    if (bindings.length === 0) {
      this.#forwarder.reply(inbound, 480, 'Not Registered');
      return;
    }
    const called = new Map([...(set ?? []), ['p-called-party-id', `<${requestUri}>`]]);
    const targets = bindings.map((binding) => ({
      requestUri: binding.contactUri,
      routes: [],
      set: called,
      remove: ['p-served-user'],
    }));
    this.#run(inbound, targets, { recordRoute: true });
  }

  /** Like `#terminate`, with header values a skipped AS would have carried on. */
  #terminateAfter(inbound: Inbound, routes: readonly string[], set?: ReadonlyMap<string, string>): void {
    const servedUser = this.#directory.subscriber(inbound.message.requestUri);
    if (servedUser === undefined || !set) {
      this.#terminate(inbound, routes);
      return;
    }
    this.#pass(inbound, { sessionCase: 'term', servedUser }, routes, set);
  }

  #run(inbound: Inbound, targets: readonly Target[], options: Parameters<Forwarder['forward']>[2]): void {
    this.#forwarder.forward(inbound, targets, options).catch((error: unknown) => {
      this.#log.error({ err: error }, 'request could not be forwarded');
      this.#forwarder.reply(inbound, 500);
    });
  }

  #acknowledge(message: ParsedMessage): void {
    const { rest } = takeOwnRoute(message, this.#isUs);
    this.#forwarder.acknowledge(message, { requestUri: message.requestUri, routes: rest }).catch((error: unknown) => {
      this.#log.warn({ err: error }, 'ACK could not be forwarded');
    });
  }
}

function fromUri(message: ParsedMessage): string {
  return parseAddress(message.first('from') ?? '')?.uri ?? '';
}

function looseRoute(uri: string): string {
  return /;lr(?=[;=>]|$)/i.test(uri) ? uri : `${uri};lr`;
}
