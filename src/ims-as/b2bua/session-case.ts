import { parseAddress, parseUri, parseValue } from '../../sip/message/index.ts';
import type { SipMessage } from '../../sip/types.ts';
import type { SessionCase } from '../call/types.ts';
import { assertedIdentity } from './party.ts';

/** What an initial request on ISC says of its place in the core (R22). */
export interface IscContext {
  readonly sessionCase: SessionCase;
  /** The Route below us, verbatim with CRLF; '' when there is none. */
  readonly route: string;
  /** URI of the first route below us, else the Request-URI. */
  readonly nextHop: string;
  readonly calling: string;
  readonly called: string;
  /** icid-value of P-Charging-Vector; '' when absent. */
  readonly chargingId: string;
}

/**
 * Session case: P-Served-User `sescase` (RFC 5502), then `orig`/`term` on the Route entry that named us, then what the
 * listener is configured for.
 */
export function iscContext(message: SipMessage, isOurs: (uri: string) => boolean, fallback: SessionCase): IscContext {
  const routes = message.list('route');
  const top = routes[0] === undefined ? undefined : parseAddress(routes[0])?.uri;
  const ours = top !== undefined && isOurs(top);
  const below = ours ? routes.slice(1) : routes;
  const first = below[0] === undefined ? undefined : parseAddress(below[0])?.uri;
  const sessionCase = servedUserCase(message) ?? (ours ? routeCase(top) : undefined) ?? fallback;
  return {
    sessionCase,
    route: below.length === 0 ? '' : `Route: ${below.join(', ')}\r\n`,
    nextHop: first ?? message.requestUri,
    calling: assertedIdentity(message),
    called: message.requestUri,
    chargingId: chargingId(message),
  };
}

function servedUserCase(message: SipMessage): SessionCase | undefined {
  const value = message.first('p-served-user');
  if (value === undefined) return undefined;
  const sescase = parseAddress(value)?.params.get('sescase')?.toLowerCase();
  return sescase === 'orig' ? 'originating' : sescase === 'term' ? 'terminating' : undefined;
}

function routeCase(uri: string): SessionCase | undefined {
  const parsed = parseUri(uri);
  if (parsed?.kind !== 'sip') return undefined;
  if (parsed.params.has('orig')) return 'originating';
  return parsed.params.has('term') ? 'terminating' : undefined;
}

function chargingId(message: SipMessage): string {
  const vector = message.first('p-charging-vector');
  if (vector === undefined) return '';
  const icid = /(?:^|;)\s*icid-value\s*=\s*("?)([^";,\s]+)\1/i.exec(vector);
  return icid?.[2] ?? parseValue(vector)?.params.get('icid-value') ?? '';
}
