import { ownJoined } from '../../base/owned.ts';
import { sentBy } from '../message/index.ts';
import type { ClientKey, ServerKey, SipMessage } from '../types.ts';

/** Every branch of RFC 3261 starts with it. */
export const MAGIC_COOKIE = 'z9hG4bK';

/**
 * RFC 3261 17.2.3: branch, sent-by and method; `method` overrides the message's own to look for the INVITE that an ACK
 * or CANCEL belongs to. A Via without a usable branch comes from an RFC 2543 client: then Call-ID, CSeq number, From tag
 * and the whole Via stand for it. The To tag of 17.2.3 is left out: those already tell two transactions apart, and an
 * ACK's To tag is ours, which its INVITE did not have.
 */
export function serverKey(message: SipMessage, method: string = message.method): ServerKey {
  const { via } = message;
  const hop = sentBy(via);
  if (via.branch.length > MAGIC_COOKIE.length && via.branch.startsWith(MAGIC_COOKIE)) {
    return ownJoined([via.branch, hop, method], ' ') as string as ServerKey;
  }
  const { callId, cseq, fromTag } = message;
  return ownJoined([callId, cseq, fromTag, via.branch, hop, method], ' ') as string as ServerKey;
}

/** RFC 3261 17.1.3. */
export function clientKey(branch: string, method: string): ClientKey {
  return ownJoined([branch, method], ' ') as string as ClientKey;
}

/**
 * RFC 3261 8.2.2.2: the same request that came here over two paths has the same From tag, Call-ID and CSeq but another
 * branch. A request that comes back to us for another target or service (a spiral, R22) differs in Request-URI or top
 * Route and is none. '' for requests inside a dialog.
 */
export function mergeKey(message: SipMessage): string {
  if (message.toTag !== '') return '';
  const route = message.first('route') ?? '';
  const { callId, cseq, method, fromTag, requestUri } = message;
  return ownJoined([callId, cseq, method, fromTag, requestUri, route], ' ');
}
