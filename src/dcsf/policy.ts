import { isIP } from 'node:net';
import { formatRouteToken, type RouteToken } from '../base/ids.ts';
import { ImsdcError } from '../errors.ts';
import { isLoopback } from '../sbi/tls.ts';
import type { Endpoint } from '../services/common-data.ts';
import { sealTicket } from '../services/mdc2.ts';
import type { PlacedDcsfConfig } from './config.ts';
import type { ApplicationServer, Policy } from './decide/types.ts';

/** The configuration as the decision reads it. Throws DCSF_MDC1_ADDRESS when the MF could not be told where to go. */
export function policyOf(config: PlacedDcsfConfig, token?: RouteToken): Policy {
  const { unauthorised, bootstrap, applications, networks, maxMediaPerSession } = config.policy;
  return {
    unauthorised,
    bootstrap,
    applications,
    networks,
    dcAs: Object.fromEntries(
      Object.entries(config.policy.dcAs).map(([id, entry]) => [id, applicationServer(id, entry)]),
    ),
    mdc1: { endpoint: mdc1Endpoint(config.mdc1), baseUrl: config.mdc1.baseUrl },
    tokenLifetimeMs: config.sessions.maxAgeMs,
    maxMediaPerSession,
    routePrefix: token ? `${formatRouteToken(token)}.` : '',
  };
}

/** DC1 carries addresses, not names (TS 29.571 Endpoint): a host name in the URL needs an address beside it. */
function mdc1Endpoint({ baseUrl, address, port }: PlacedDcsfConfig['mdc1']): Endpoint {
  const endpoint = endpointOf(new URL(baseUrl), address, port);
  if (typeof endpoint === 'string') throw new ImsdcError('DCSF_MDC1_ADDRESS', { host: endpoint });
  return endpoint;
}

/** Throws DCSF_DC_AS when the MF could not be told where to go, or would have to go there without TLS. */
function applicationServer(application: string, entry: PlacedDcsfConfig['policy']['dcAs'][string]): ApplicationServer {
  const { address, between, interworking, secret, tellIdentities } = entry;
  const refuse = (problem: string) => new ImsdcError('DCSF_DC_AS', { application, problem });
  if (!URL.canParse(entry.url)) throw refuse(`${entry.url} is not a URL`);
  const url = new URL(entry.url);
  const endpoint = endpointOf(url, address);
  if (typeof endpoint === 'string') throw refuse(`"${endpoint}" is a name, and DC1 carries addresses: set address`);
  const plain = url.protocol === 'ws:';
  if (plain && !isLoopback(address ?? url.hostname)) throw refuse('ws:// is for loopback only');
  return {
    url: url.href,
    endpoint,
    protocol: plain ? 'TCP' : 'TCP/TLS',
    tellIdentities,
    between,
    interworking,
    seal: (claims) => sealTicket(claims, secret),
  };
}

/** A string is the host that is no address. */
function endpointOf(url: URL, address?: string, port?: number): Endpoint | string {
  const host = address ?? url.hostname.replace(/^\[(.*)\]$/, '$1');
  const version = isIP(host);
  if (version === 0) return host;
  const standard = url.protocol === 'https:' || url.protocol === 'wss:' ? 443 : 80;
  return {
    ip: version === 4 ? { ipv4Addr: host } : { ipv6Addr: host },
    transport: 'TCP',
    portNumber: port ?? Number(url.port || standard),
  };
}
