import { ImsdcError } from '../errors.ts';
import { formatHead } from './head.ts';
import { type HttpHeader, type HttpResponse, type HttpResponseHead, MAX_SENT_MESSAGE_BYTES } from './types.ts';

export interface SendLimits {
  /** The peer's a=max-message-size in bytes; 0 = unlimited. */
  readonly peerMaxMessageSizeBytes: number;
  /** Answer to a HEAD request: Content-Length speaks of a body that is not sent. */
  readonly head?: boolean;
}

/** Largest message to this peer, in bytes. */
export function sentMessageLimit(limits: SendLimits): number {
  return limits.peerMaxMessageSizeBytes === 0
    ? MAX_SENT_MESSAGE_BYTES
    : Math.min(limits.peerMaxMessageSizeBytes, MAX_SENT_MESSAGE_BYTES);
}

/**
 * The messages of one response, made one by one as they are pulled: take the next when the channel can take it. The
 * whole head is inside the first message and there is always a Content-Length, because handsets read the head from
 * the first message only and know no other end of a body (not even for 204 and 304, where it is 0).
 *
 * @throws ImsdcError CHANNEL_HTTP_HEAD_TOO_LARGE when the head does not fit the peer's message size,
 * CHANNEL_HTTP_UNSUPPORTED for 1xx, CHANNEL_HTTP_BAD_HEAD
 */
export function* responseMessages(response: HttpResponse, limits: SendLimits): Generator<Uint8Array, void> {
  const limit = sentMessageLimit(limits);
  const head = responseHead(response, response.body.length, limit);
  const body = isBodyless(response.status) || limits.head ? new Uint8Array(0) : response.body;
  const inFirst = Math.min(limit - head.length, body.length);
  yield inFirst === 0 ? head : Buffer.concat([head, body.subarray(0, inFirst)]);
  yield* slices(body.subarray(inFirst), limit);
}

/**
 * Likewise for a body that comes in pieces, such as one fetched over MDC1. A piece is asked for only when the pieces
 * before it were taken, so a slow UE slows the source and nothing piles up here.
 *
 * @throws ImsdcError as `responseMessages`, and CHANNEL_HTTP_LENGTH_MISMATCH when the body is not
 * `contentLengthBytes` long: the stream must then be reset, since the UE waits for the rest
 */
export async function* streamedResponseMessages(
  responseHeadOnly: HttpResponseHead,
  contentLengthBytes: number,
  body: AsyncIterable<Uint8Array>,
  limits: SendLimits,
): AsyncGenerator<Uint8Array, void> {
  const limit = sentMessageLimit(limits);
  let head: Uint8Array | undefined = responseHead(responseHeadOnly, contentLengthBytes, limit);
  if (isBodyless(responseHeadOnly.status) || limits.head || contentLengthBytes === 0) {
    yield head;
    return;
  }
  let left = contentLengthBytes;
  const mismatch = (got: number) =>
    new ImsdcError('CHANNEL_HTTP_LENGTH_MISMATCH', { announced: contentLengthBytes, got });
  for await (let piece of body) {
    if (piece.length > left) throw mismatch(contentLengthBytes - left + piece.length);
    left -= piece.length;
    if (head) {
      const inFirst = Math.min(limit - head.length, piece.length);
      yield Buffer.concat([head, piece.subarray(0, inFirst)]);
      head = undefined;
      piece = piece.subarray(inFirst);
    }
    yield* slices(piece, limit);
  }
  if (left > 0) throw mismatch(contentLengthBytes - left);
}

function* slices(body: Uint8Array, limit: number): Generator<Uint8Array, void> {
  for (let at = 0; at < body.length; at += limit) yield body.subarray(at, at + limit);
}

function isBodyless(status: number): boolean {
  return status === 204 || status === 304;
}

/** What belongs to one hop or is said anew here. There is no connection to keep or close: closing is a stream reset. */
const NOT_FORWARDED = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Kept when a small message size leaves no room for all; Content-Length is always there. */
const ESSENTIAL = new Set(['content-type', 'content-encoding', 'content-security-policy', 'etag', 'location']);

function responseHead(response: HttpResponseHead, bodyBytes: number, limit: number): Uint8Array {
  const { status } = response;
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    throw new ImsdcError('CHANNEL_HTTP_UNSUPPORTED', { what: `status ${status}` });
  }
  const start = `HTTP/1.1 ${status} ${response.reason ?? REASONS.get(status) ?? 'Status'}`;
  const headers: HttpHeader[] = response.headers.filter(([name]) => !NOT_FORWARDED.has(name.toLowerCase()));
  const length: HttpHeader = ['Content-Length', String(isBodyless(status) ? 0 : bodyBytes)];
  for (;;) {
    const head = formatHead(start, [...headers, length]);
    if (head.length <= limit) return head;
    const last = headers.findLastIndex(([name]) => !ESSENTIAL.has(name.toLowerCase()));
    if (last === -1) throw new ImsdcError('CHANNEL_HTTP_HEAD_TOO_LARGE', { limit });
    headers.splice(last, 1);
  }
}

const REASONS: ReadonlyMap<number, string> = new Map([
  [200, 'OK'],
  [201, 'Created'],
  [202, 'Accepted'],
  [204, 'No Content'],
  [206, 'Partial Content'],
  [301, 'Moved Permanently'],
  [302, 'Found'],
  [304, 'Not Modified'],
  [400, 'Bad Request'],
  [401, 'Unauthorized'],
  [403, 'Forbidden'],
  [404, 'Not Found'],
  [405, 'Method Not Allowed'],
  [408, 'Request Timeout'],
  [410, 'Gone'],
  [411, 'Length Required'],
  [413, 'Content Too Large'],
  [414, 'URI Too Long'],
  [416, 'Range Not Satisfiable'],
  [429, 'Too Many Requests'],
  [431, 'Request Header Fields Too Large'],
  [500, 'Internal Server Error'],
  [501, 'Not Implemented'],
  [502, 'Bad Gateway'],
  [503, 'Service Unavailable'],
  [504, 'Gateway Timeout'],
]);
