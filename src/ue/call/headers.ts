import { findSdp, type MessageWriter, type ParsedMessage, parseSessionExpires } from '../../sip/index.ts';
import { ALLOW } from '../sip/user-agent.ts';
import type { CallOptions } from './types.ts';

/** Boundary of our multipart bodies. It occurs in no SDP. */
const BOUNDARY = 'imsdc-ue-part';

/** The SDP of a message, alone or inside multipart; undefined when it has none. */
export function sdpOf(message: ParsedMessage): string | undefined {
  const span = findSdp(message);
  return span && message.body.slice(span.start, span.end);
}

/** Contact, Allow and what else each INVITE and its answers carry. */
export function writeCapabilities(writer: MessageWriter, contact: string, userAgentName: string): MessageWriter {
  return writer
    .header('Contact', contact)
    .header('Allow', ALLOW)
    .header('Supported', '100rel, timer')
    .header('User-Agent', userAgentName);
}

/** The same as whole header lines, for `buildResponse`. */
export function capabilityLines(contact: string, userAgentName: string): string {
  return `Contact: ${contact}\r\nAllow: ${ALLOW}\r\nSupported: 100rel, timer\r\nUser-Agent: ${userAgentName}\r\n`;
}

/** The body of an INVITE: the SDP alone, or beside a part nobody in the network knows (R24). */
export function inviteBody(sdp: string, extra: CallOptions['extraBody']): { body: string; contentType: string } {
  if (!extra) return { body: sdp, contentType: 'application/sdp' };
  const parts = [
    `--${BOUNDARY}\r\nContent-Type: application/sdp\r\n\r\n${sdp}`,
    `--${BOUNDARY}\r\nContent-Type: ${extra.contentType}\r\nContent-Disposition: render;handling=optional\r\n\r\n${extra.content}`,
  ];
  return {
    body: `${parts.join('\r\n')}\r\n--${BOUNDARY}--\r\n`,
    contentType: `multipart/mixed;boundary=${BOUNDARY}`,
  };
}

/** Our answer to a session timer: the peer refreshes, we only listen (RFC 4028 9). */
export function sessionTimerLines(request: ParsedMessage): string {
  const asked = parseSessionExpires(request.first('session-expires') ?? '');
  if (!asked || !request.list('supported').some((tag) => tag.toLowerCase() === 'timer')) return '';
  return `Session-Expires: ${asked.seconds};refresher=uac\r\nRequire: timer\r\n`;
}

export function supports(message: ParsedMessage, tag: string): boolean {
  const tags = [...message.list('supported'), ...message.list('require')];
  return tags.some((known) => known.toLowerCase() === tag);
}
