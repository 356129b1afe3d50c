import { isIP } from 'node:net';
import type { Logger } from '../base/log.ts';
import { own, ownJoined } from '../base/owned.ts';
import {
  bareHost,
  clientKey,
  defaultPort,
  LOSS_CONTROL_OFFER,
  parseUri,
  TRUST_DOMAIN_HEADERS,
  withoutHeaders,
  withTopVia,
} from '../sip/index.ts';
import { hostPort, type SipEndpoint, type TrustedPeers } from '../sip/transport/index.ts';
import type { ClientKey, Destination, ServerKey, Transport } from '../sip/types.ts';
import type { LocalAddress } from './call/types.ts';
import type { SipPort } from './ports.ts';

/** Next hops remembered: ISC has a handful. */
const MAX_HOPS = 4096;

interface Hop {
  /** Undefined: a name, to be resolved each time by the resolver's own cache. */
  readonly destination: Destination | undefined;
  readonly isTrusted: boolean;
  readonly local: LocalAddress;
}

/** The dispatcher's SIP over a `SipEndpoint`: next hops that are IP addresses, which is the rule on ISC, cost one look-up. */
export class EndpointPort implements SipPort {
  readonly #endpoint: SipEndpoint;
  readonly #trusted: TrustedPeers;
  readonly #log: Logger;
  /** By URI, and by place: the URI of a next hop may name the call (`odi`), and is another one each time. */
  readonly #hops = new Map<string, Hop>();
  readonly #places = new Map<string, Hop>();
  /** Requests that wait for the DNS, with the headers of the CANCEL that came meanwhile. */
  readonly #resolving = new Map<ClientKey, string | undefined>();
  readonly #ours: ReadonlySet<string>;
  readonly #failed: (key: ClientKey) => void;

  /** `failed`: a request could not be sent anywhere. */
  constructor(
    options: { endpoint: SipEndpoint; trustedPeers: TrustedPeers; names: readonly string[]; log: Logger },
    failed: (key: ClientKey) => void,
  ) {
    const { endpoint, names } = options;
    this.#endpoint = endpoint;
    this.#trusted = options.trustedPeers;
    this.#log = options.log;
    this.#failed = failed;
    const ours = new Set(names.map((name) => name.toLowerCase()));
    for (const { host, port } of endpoint.addresses()) {
      ours.add(hostPort(host.toLowerCase(), port));
      if (port === 5060) ours.add(host.toLowerCase());
    }
    this.#ours = ours;
  }

  isOurs(uri: string): boolean {
    const parsed = parseUri(uri);
    if (parsed?.kind !== 'sip') return false;
    const host = parsed.host.toLowerCase();
    return (
      this.#ours.has(parsed.port === 0 ? host : `${host}:${parsed.port}`) ||
      (parsed.port === 0 && this.#ours.has(`${host}:5060`))
    );
  }

  local(nextHop: string): LocalAddress {
    return this.#hop(nextHop).local;
  }

  respond(key: ServerKey, status: number, wire: string) {
    this.#endpoint.respond(key, status, wire);
  }

  request({ wire, method, branch, nextHop }: { wire: string; method: string; branch: string; nextHop: string }) {
    const hop = this.#hop(nextHop);
    if (hop.destination !== undefined) {
      this.#endpoint.request({ wire: withinTrust(wire, hop.isTrusted), method, branch, to: hop.destination });
      return;
    }
    const key = clientKey(branch, method);
    this.#resolving.set(key, undefined);
    this.#endpoint.resolve(nextHop).then(
      ([to, ...otherwise]) => {
        const cancel = this.#resolving.get(key);
        this.#resolving.delete(key);
        if (to === undefined) return this.#unroutable(nextHop, 'nothing found', key);
        this.#endpoint.request({ wire: this.#within(wire, to, ...otherwise), method, branch, to, otherwise });
        if (cancel !== undefined) this.#endpoint.cancel(key, cancel);
      },
      (error: Error) => {
        this.#resolving.delete(key);
        this.#unroutable(nextHop, error.message, key);
      },
    );
  }

  transmit(wire: string, nextHop: string) {
    const { destination, isTrusted } = this.#hop(nextHop);
    if (destination !== undefined) return this.#endpoint.sendStateless(withinTrust(wire, isTrusted), destination);
    this.#endpoint.resolve(nextHop).then(
      ([to]) => {
        const addressed = to === undefined ? undefined : this.#addressed(wire, to);
        if (to === undefined || addressed === undefined) this.#unroutable(nextHop, 'no listener of ours reaches it');
        else this.#endpoint.sendStateless(addressed, to);
      },
      (error: Error) => this.#unroutable(nextHop, error.message),
    );
  }

  cancel(branch: string, headers: string) {
    const key = clientKey(branch, 'INVITE');
    if (this.#resolving.has(key)) this.#resolving.set(key, headers);
    else this.#endpoint.cancel(key, headers);
  }

  #within(wire: string, ...places: readonly Destination[]): string {
    return withinTrust(
      wire,
      places.every((to) => this.#trusted.trustsDestination(to)),
    );
  }

  /** The transport of a name is known only once it is resolved, and the Via must say it. Undefined: there is no way. */
  #addressed(wire: string, to: Destination): string | undefined {
    const host = this.#endpoint.nameFor(to);
    return host === undefined ? undefined : withTopVia(this.#within(wire, to), to.transport, host);
  }

  #unroutable(nextHop: string, reason: string, key?: ClientKey) {
    this.#log.warn({ nextHop, reason }, 'no way to the next hop');
    if (key !== undefined) this.#failed(key);
  }

  #hop(nextHop: string): Hop {
    let hop = this.#hops.get(nextHop);
    if (hop !== undefined) return hop;
    hop = this.#place(nextHop);
    if (this.#hops.size >= MAX_HOPS) this.#hops.clear();
    this.#hops.set(nextHop, hop);
    return hop;
  }

  #place(nextHop: string): Hop {
    const uri = parseUri(nextHop);
    const literal = uri?.kind === 'sip' ? bareHost(uri.host) : '';
    const named = uri?.kind === 'sip' ? uri.params.get('transport')?.toLowerCase() : undefined;
    const transport: Transport =
      uri?.scheme === 'sips'
        ? 'tls'
        : named === 'tcp' || named === 'tls' || named === 'ws' || named === 'wss'
          ? named
          : 'udp';
    const isPlain = uri?.kind === 'sip' && isIP(literal) !== 0 && !uri.params.has('maddr');
    if (!isPlain) return { destination: undefined, isTrusted: false, local: this.#localFor(transport, undefined) };
    const port = uri.port || defaultPort(transport);
    const transportFixed = named !== undefined;
    const key = ownJoined([transport, literal, port, transportFixed ? 'fixed' : 'free'], ' ');
    const known = this.#places.get(key);
    if (known !== undefined) return known;
    const destination: Destination = { transport, address: own(literal), port, transportFixed };
    const isTrusted = this.#trusted.trustsDestination(destination);
    const hop: Hop = { destination, isTrusted, local: this.#localFor(transport, destination) };
    if (this.#places.size >= MAX_HOPS) this.#places.clear();
    this.#places.set(key, hop);
    return hop;
  }

  #localFor(transport: Transport, destination: Destination | undefined): LocalAddress {
    const addresses = this.#endpoint.addresses();
    // A client over WSS says transport=ws in its Contact as well (RFC 7118 5.2.1).
    const same = (other: Transport) => other === transport || (transport === 'ws' && other === 'wss');
    const found = addresses.find((address) => same(address.transport)) ?? addresses[0]!;
    // A place that no listener reaches fails when something is sent there, and only that.
    const named = destination === undefined ? undefined : this.#endpoint.nameFor(destination);
    const host = named ?? hostPort(found.host, found.port);
    const reuse = found.transport === 'tcp' || found.transport === 'tls' ? ';alias' : '';
    return {
      via: `SIP/2.0/${found.transport.toUpperCase()} ${host}${reuse}${LOSS_CONTROL_OFFER}`,
      contact: found.transport === 'udp' ? host : `${host};transport=${found.transport}`,
    };
  }
}

/** RFC 3325 5, TS 24.229 4.4: what the network knows of the caller stays inside the trust domain. */
function withinTrust(wire: string, isTrusted: boolean): string {
  return isTrusted ? wire : withoutHeaders(wire, TRUST_DOMAIN_HEADERS);
}
