import { formatRouteToken, type RouteToken } from '../base/ids.ts';
import { ImsdcError } from '../errors.ts';
import type { Endpoint } from '../services/common-data.ts';
import { applicationServer } from './application-server.ts';
import type { PlacedDcsfConfig } from './config.ts';
import type { Policy } from './decide/types.ts';
import { endpointOf } from './endpoint.ts';

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
