import type { SipMessage } from '../types.ts';
import { isAddress } from './address.ts';
import { MAX_ADDRESS_VALUES } from './limits.ts';
import { parseUri, schemeOf } from './uri.ts';
import { parseMaxForwards } from './values.ts';

/** What a server accepts. */
export interface RequestPolicy {
  /** Methods it implements, upper case: the Allow list of a 405. undefined: every method (a proxy). */
  readonly methods?: ReadonlySet<string>;
  /** URI schemes of the Request-URI, lower case. */
  readonly schemes: ReadonlySet<string>;
  /** Option tags it understands in Require, lower case. undefined: Require is not ours to judge (a proxy). */
  readonly supported?: ReadonlySet<string>;
  /** Option tags for Proxy-Require; a B2BUA leaves it out. */
  readonly proxySupported?: ReadonlySet<string>;
  /** The request will be sent on, so Max-Forwards 0 ends here with 483. */
  readonly forwards: boolean;
}

/** A refusal by `checkRequest`; `headers` are whole lines for the response (Allow, Unsupported). */
export interface Refusal {
  readonly status: number;
  readonly reason: string | undefined;
  readonly headers: string;
}

const refuse = (status: number, reason?: string, headers = ''): Refusal => ({ status, reason, headers });

/**
 * What a well-formed request may still be refused for, in the order of RFC 3261 8.2 and 16.3; undefined when it may be
 * processed. ACK and CANCEL carry no Require that counts (8.2.2.3), and an ACK is never answered by the caller.
 */
export function checkRequest(message: SipMessage, policy: RequestPolicy): Refusal | undefined {
  if (policy.methods !== undefined && !policy.methods.has(message.method)) {
    return refuse(405, undefined, `Allow: ${[...policy.methods].join(', ')}\r\n`);
  }
  const scheme = schemeOf(message.requestUri);
  if (scheme === '') return refuse(400, 'Bad Request-URI');
  if (!policy.schemes.has(scheme)) return refuse(416);
  const target = parseUri(message.requestUri);
  // RFC 3261 19.1.1: headers are not allowed in a Request-URI.
  if (target === undefined || (target.kind === 'sip' && target.headers.length > 0))
    return refuse(400, 'Bad Request-URI');
  if (policy.forwards && parseMaxForwards(message.first('max-forwards') ?? '70') === 0) return refuse(483);
  if (message.method !== 'ACK' && message.method !== 'CANCEL') {
    const extension =
      missingTags(message, 'require', policy.supported) ?? missingTags(message, 'proxy-require', policy.proxySupported);
    if (extension !== undefined) return refuse(420, undefined, `Unsupported: ${extension}\r\n`);
  }
  for (const name of ADDRESS_HEADERS) {
    const values = message.list(name);
    if (values.length > MAX_ADDRESS_VALUES) return refuse(400, 'Too Many Addresses');
    for (const value of values) {
      const star = name === 'contact' && value === '*';
      if (!star && !isAddress(value)) return refuse(400, `Bad ${name === 'contact' ? 'Contact' : 'Route'}`);
    }
  }
  return undefined;
}

const ADDRESS_HEADERS = ['contact', 'route', 'record-route'];

function missingTags(
  message: SipMessage,
  name: string,
  supported: ReadonlySet<string> | undefined,
): string | undefined {
  if (supported === undefined) return undefined;
  const missing = message.list(name).filter((tag) => !supported.has(tag.toLowerCase()));
  return missing.length === 0 ? undefined : missing.join(', ');
}
