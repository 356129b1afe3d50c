import type { IncomingMessage } from 'node:http';
import type { HttpHeader, HttpResponse, HttpResponseHead } from '../../channel-http/types.ts';
import { ImsdcError } from '../../errors.ts';

/** A response of MDC1 as a UE gets it. */
export interface UeResponse {
  readonly head: HttpResponseHead;
  readonly lengthBytes: number;
  readonly body: AsyncIterable<Uint8Array>;
}

export interface ResponseLimits {
  readonly maxResponseBytes: number;
  /** Longest wait for the next piece of a body, ms. */
  readonly idleMs: number;
}

/** Without a Content-Length the whole body is read first: handsets know no other end (ue-side.md 6.2). */
const MAX_BUFFERED_BYTES = 4 << 20;

/** What a UE needs; names keep the case in which they came, because handsets compare as they please. */
const PASSED: ReadonlySet<string> = new Set([
  'accept-ranges',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-range',
  'content-security-policy',
  'content-type',
  'etag',
  'expires',
  'last-modified',
  'retry-after',
  'x-content-type-options',
]);

/** @throws ImsdcError MDC1_BAD_RESPONSE, MDC1_TIMEOUT */
export async function toUe(
  message: IncomingMessage,
  where: string,
  replaceHttpUrl: string,
  limits: ResponseLimits,
): Promise<UeResponse> {
  const bad = (problem: string) => new ImsdcError('MDC1_BAD_RESPONSE', { where, problem });
  const head = { status: message.statusCode!, headers: readHeaders(message, replaceHttpUrl) };
  const body = pieces(message, where, limits.idleMs);
  const announced = message.headers['content-length'];
  if (announced !== undefined) {
    const lengthBytes = Number(announced);
    if (lengthBytes > limits.maxResponseBytes) throw bad(`a body of ${announced} bytes`);
    return { head, lengthBytes, body };
  }
  const buffered: Uint8Array[] = [];
  let lengthBytes = 0;
  for await (const piece of body) {
    lengthBytes += piece.length;
    if (lengthBytes > Math.min(MAX_BUFFERED_BYTES, limits.maxResponseBytes)) throw bad('a long body without a length');
    buffered.push(piece);
  }
  return { head, lengthBytes, body: iterate(buffered) };
}

/** What the MF answers itself. */
export function ownResponse(status: number, text: string, headers: readonly HttpHeader[] = []): HttpResponse {
  const body = Buffer.from(`${text}\n`);
  return { status, headers: [['Content-Type', 'text/plain; charset=utf-8'], ...headers], body };
}

function readHeaders(message: IncomingMessage, replaceHttpUrl: string): HttpHeader[] {
  const headers: HttpHeader[] = [];
  for (let i = 0; i < message.rawHeaders.length; i += 2) {
    const [name = '', value = ''] = message.rawHeaders.slice(i, i + 2);
    if (PASSED.has(name.toLowerCase())) headers.push([name, value]);
    else if (name.toLowerCase() === 'location') {
      const location = relocate(value, replaceHttpUrl);
      if (location !== undefined) headers.push([name, location]);
    }
  }
  return headers;
}

/** R27: a UE never sees the replacement URL. What leads elsewhere leads nowhere. */
function relocate(location: string, replaceHttpUrl: string): string | undefined {
  if (!URL.canParse(location, replaceHttpUrl)) return undefined;
  const { href } = new URL(location, replaceHttpUrl);
  return href.startsWith(replaceHttpUrl) ? `/${href.slice(replaceHttpUrl.length)}` : undefined;
}

/** The body; while we wait for a piece, and only then, the source is on the clock. */
async function* pieces(message: IncomingMessage, where: string, idleMs: number): AsyncGenerator<Uint8Array, void> {
  const iterator = message[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  try {
    for (;;) {
      const timer = setTimeout(() => message.destroy(new ImsdcError('MDC1_TIMEOUT', { where })), idleMs);
      const { done, value } = await iterator.next().finally(() => clearTimeout(timer));
      if (done) return;
      yield value;
    }
  } finally {
    // Also when the reader stops early: the connection is in the middle of a body.
    if (!message.complete) message.destroy();
  }
}

async function* iterate(buffered: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void> {
  yield* buffered;
}
