import type { SipMessage } from '../types.ts';

const SERVICE_SOS = 'urn:service:sos';

/**
 * Emergency calls (RFC 5031: `urn:service:sos` and what is below it, as Request-URI or as the To that a Request-URI was
 * made from) and requests with Resource-Priority (RFC 4412): the last to be turned away.
 */
export function isPriorityRequest(message: SipMessage): boolean {
  if (isSos(message.requestUri)) return true;
  const to = message.first('to') ?? '';
  return isSos(to.slice(to.indexOf('<') + 1)) || message.first('resource-priority') !== undefined;
}

function isSos(uri: string): boolean {
  if (uri.slice(0, SERVICE_SOS.length).toLowerCase() !== SERVICE_SOS) return false;
  const next = uri[SERVICE_SOS.length];
  return next === undefined || next === '.' || next === '>' || next === ';' || next === ' ';
}
