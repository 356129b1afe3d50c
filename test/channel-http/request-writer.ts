import { formatHead } from '../../src/channel-http/head.ts';
import { type HttpHeader, header } from '../../src/channel-http/types.ts';

/** The client side's dialects (ue-side.md 6.2). */
export type ClientProfile = 'china-mobile' | 'china-telecom' | 'browser';

export interface ClientRequest {
  /** Default GET. */
  readonly method?: string;
  readonly target: string;
  readonly headers?: readonly HttpHeader[];
  readonly body?: Uint8Array;
}

/** The China Mobile library cuts its byte stream here, whatever was negotiated. */
const CHINA_MOBILE_MESSAGE_BYTES = 64_000;

/**
 * The messages of one request in the exact form of a handset family:
 * - china-mobile: `Name:value` without a blank, `If-None-Match:` always there (empty at first), no Host, messages of
 *   64,000 bytes;
 * - china-telecom: only the headers given (none on a list request), no Host, one message;
 * - browser: an empty Host (TS 26.114 6.2.10.1), one message.
 *
 * @throws ImsdcError CHANNEL_HTTP_BAD_HEAD
 */
export function requestMessages(request: ClientRequest, profile: ClientProfile): Uint8Array[] {
  const body = request.body ?? new Uint8Array(0);
  const headers = [...(request.headers ?? [])];
  if (profile === 'china-mobile' && header(headers, 'if-none-match') === undefined) headers.push(['If-None-Match', '']);
  if (profile === 'browser' && header(headers, 'host') === undefined) headers.unshift(['Host', '']);
  if (body.length > 0 && header(headers, 'content-length') === undefined) {
    headers.push(['Content-Length', String(body.length)]);
  }
  const start = `${request.method ?? 'GET'} ${request.target} HTTP/1.1`;
  const head = formatHead(start, headers, profile === 'china-mobile' ? ':' : ': ');
  const bytes = body.length === 0 ? head : Buffer.concat([head, body]);
  if (profile !== 'china-mobile') return [bytes];
  const messages: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += CHINA_MOBILE_MESSAGE_BYTES) {
    messages.push(bytes.subarray(at, at + CHINA_MOBILE_MESSAGE_BYTES));
  }
  return messages;
}
