import { type ParsedMessage, parseAddress, parseUri } from '../../sip/message/index.ts';
import { isOdiUser } from './service-chain.ts';

/** User part of the Service-Route: a request that carries it comes from a served, registered user. */
export const ORIG_USER = 'orig';

/** What the topmost Route, when it names us, says about a request. */
export interface TopRoute {
  /** `orig`, `odi-...`, or undefined for our Record-Route. */
  readonly user: string | undefined;
}

export interface RouteSet {
  /** Present when the topmost Route was ours; it is then not in `rest` any more. */
  readonly own: TopRoute | undefined;
  readonly rest: readonly string[];
}

/** Takes our Route off the top (RFC 3261 16.4). `isUs` knows our addresses. */
export function takeOwnRoute(message: ParsedMessage, isUs: (host: string, port: number) => boolean): RouteSet {
  const routes = message.list('route');
  const uri = parseUri(parseAddress(routes[0] ?? '')?.uri ?? '');
  if (uri?.kind !== 'sip' || !isUs(uri.host, uri.port)) return { own: undefined, rest: routes };
  return { own: { user: uri.user }, rest: routes.slice(1) };
}

/** Where a request enters the S-CSCF's work. */
export type Entry = 'inDialog' | 'fromServedUser' | 'backFromApplicationServer' | 'fromElsewhere';

export function entryOf(message: ParsedMessage, own: TopRoute | undefined): Entry {
  // An ODI can come back with a To tag only when the AS repeats a request, which is then a new one for us.
  if (isOdiUser(own?.user)) return 'backFromApplicationServer';
  if (message.toTag !== '') return 'inDialog';
  return own?.user === ORIG_USER ? 'fromServedUser' : 'fromElsewhere';
}
