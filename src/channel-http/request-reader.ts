import { ImsdcError } from '../errors.ts';
import { ByteBuffer } from './byte-buffer.ts';
import { badHead, contentLength, type Head, parseHead, printable } from './head.ts';
import { type HttpRequest, MAX_HEAD_BYTES } from './types.ts';

export interface RequestReaderOptions {
  /** Default 1 MiB: bootstrap requests carry little. */
  readonly maxBodyBytes?: number;
}

/** Handsets have one request open at a time; more than this in one message is an attack, not pipelining. */
export const MAX_REQUESTS_PER_MESSAGE = 32;
const DEFAULT_MAX_BODY_BYTES = 1024 * 1024;
const REQUEST_LINE = /^([A-Za-z][A-Za-z-]{0,31}) ([\x21-\x7e\x80-\xff]+) HTTP\/1\.[01]$/;

/**
 * The server side's reader of one bootstrap stream: push every message, get the requests that are complete with it,
 * in order. Message boundaries mean nothing. After an error the stream is unusable (reset it): every further push
 * throws the same error.
 */
export class RequestReader {
  /** Responses that came from the UE and were ignored (TS 26.114 6.2.10.1: the network is always the server). */
  ignoredResponses = 0;

  readonly #buffer = new ByteBuffer();
  readonly #maxBodyBytes: number;
  #open: { readonly method: string; readonly target: string; readonly head: Head; readonly length: number } | undefined;
  /** Bytes of an ignored response's body that are still to come. */
  #discard = 0;
  #error: ImsdcError | undefined;

  constructor(options: RequestReaderOptions = {}) {
    this.#maxBodyBytes = options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES;
  }

  /**
   * @throws ImsdcError CHANNEL_HTTP_BAD_HEAD, CHANNEL_HTTP_HEAD_TOO_LARGE (16 KiB), CHANNEL_HTTP_BODY_TOO_LARGE,
   * CHANNEL_HTTP_UNSUPPORTED (transfer coding), CHANNEL_HTTP_TOO_MANY_REQUESTS
   */
  push(message: Uint8Array): HttpRequest[] {
    if (this.#error) throw this.#error;
    this.#buffer.append(message);
    const requests: HttpRequest[] = [];
    try {
      while (this.#advance(requests)) {
        if (requests.length > MAX_REQUESTS_PER_MESSAGE) {
          throw new ImsdcError('CHANNEL_HTTP_TOO_MANY_REQUESTS', { limit: MAX_REQUESTS_PER_MESSAGE });
        }
      }
    } catch (error) {
      if (error instanceof ImsdcError) this.#error = error;
      throw error;
    }
    return requests;
  }

  /** One step; false when more bytes are needed. */
  #advance(requests: HttpRequest[]): boolean {
    if (this.#discard > 0) {
      const count = Math.min(this.#discard, this.#buffer.length);
      this.#buffer.skip(count);
      this.#discard -= count;
      if (this.#discard > 0) return false;
    }
    if (!this.#open) return this.#readHead();
    if (this.#buffer.length < this.#open.length) return false;
    const { method, target, head, length } = this.#open;
    this.#open = undefined;
    requests.push({ method, target, headers: head.headers, body: this.#buffer.take(length) });
    return true;
  }

  #readHead(): boolean {
    const head = takeHead(this.#buffer);
    if (!head) return false;
    if (head.start.startsWith('HTTP/')) {
      this.ignoredResponses++;
      this.#discard = contentLength(head.headers, this.#maxBodyBytes) ?? 0;
      return true;
    }
    const [, method, target] = REQUEST_LINE.exec(head.start) ?? [];
    if (method === undefined || target === undefined) throw badHead(`'${printable(head.start)}' is not a request line`);
    this.#open = { method, target, head, length: contentLength(head.headers, this.#maxBodyBytes) ?? 0 };
    return true;
  }
}

/**
 * The next head, once it is complete.
 *
 * @throws ImsdcError CHANNEL_HTTP_HEAD_TOO_LARGE, CHANNEL_HTTP_BAD_HEAD
 */
export function takeHead(buffer: ByteBuffer): Head | undefined {
  buffer.skipLineEnds();
  const length = buffer.headLength();
  if (length > MAX_HEAD_BYTES || (length === 0 && buffer.length > MAX_HEAD_BYTES)) {
    throw new ImsdcError('CHANNEL_HTTP_HEAD_TOO_LARGE', { limit: MAX_HEAD_BYTES });
  }
  return length === 0 ? undefined : parseHead(buffer.take(length));
}
