import { ByteBuffer } from '../../src/channel-http/byte-buffer.ts';
import { badHead, contentLength, printable } from '../../src/channel-http/head.ts';
import { takeHead } from '../../src/channel-http/request-reader.ts';
import type { HttpResponse, HttpResponseHead } from '../../src/channel-http/types.ts';
import { ImsdcError } from '../../src/errors.ts';
import type { ClientProfile } from './request-writer.ts';

export interface ResponseReaderOptions {
  readonly profile: ClientProfile;
  /** Default 64 MiB. */
  readonly maxBodyBytes?: number;
}

const DEFAULT_MAX_BODY_BYTES = 64 * 1024 * 1024;
const STATUS_LINE = /^HTTP\/1\.[01] ([1-5]\d\d)(?: ([\x20-\x7e\x80-\xff]*))?$/;

/**
 * The client side's reader, as forgiving or not as the handset family it plays (ue-side.md 6.2): push every message,
 * get the responses complete with it. A response without Content-Length is complete with its first message
 * (china-mobile), never (china-telecom), or an error (browser). After an error every further push throws it again.
 */
export class ResponseReader {
  readonly #buffer = new ByteBuffer();
  readonly #profile: ClientProfile;
  readonly #maxBodyBytes: number;
  /** `length` Infinity: this body never ends. */
  #open: { readonly head: HttpResponseHead; readonly length: number } | undefined;
  #error: ImsdcError | undefined;

  constructor(options: ResponseReaderOptions) {
    this.#profile = options.profile;
    this.#maxBodyBytes = options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES;
  }

  /** Bytes of the body under way that have come, for a progress display. */
  get receivedBodyBytes(): number {
    return this.#open ? this.#buffer.length : 0;
  }

  /**
   * @throws ImsdcError CHANNEL_HTTP_BAD_HEAD, CHANNEL_HTTP_HEAD_TOO_LARGE, CHANNEL_HTTP_BODY_TOO_LARGE,
   * CHANNEL_HTTP_UNSUPPORTED
   */
  push(message: Uint8Array): HttpResponse[] {
    if (this.#error) throw this.#error;
    this.#buffer.append(message);
    const responses: HttpResponse[] = [];
    try {
      while (this.#open ? this.#readBody(responses) : this.#readHead());
    } catch (error) {
      if (error instanceof ImsdcError) this.#error = error;
      throw error;
    }
    return responses;
  }

  #readHead(): boolean {
    const head = takeHead(this.#buffer);
    if (!head) {
      if (this.#profile === 'china-mobile' && this.#buffer.length > 0) throw badHead('not inside the first message');
      return false;
    }
    const [, status, reason = ''] = STATUS_LINE.exec(head.start) ?? [];
    if (status === undefined) throw badHead(`'${printable(head.start)}' is not a status line`);
    const response = { status: Number(status), reason, headers: head.headers };
    const length = contentLength(head.headers, this.#maxBodyBytes) ?? this.#lengthWithoutHeader();
    const isBodyless = response.status < 200 || response.status === 204 || response.status === 304;
    this.#open = { head: response, length: isBodyless ? 0 : length };
    return true;
  }

  #lengthWithoutHeader(): number {
    switch (this.#profile) {
      case 'china-mobile':
        return this.#buffer.length;
      case 'china-telecom':
        return Number.POSITIVE_INFINITY;
      case 'browser':
        throw new ImsdcError('CHANNEL_HTTP_UNSUPPORTED', { what: 'a response without Content-Length' });
    }
  }

  #readBody(responses: HttpResponse[]): boolean {
    const { head, length } = this.#open!;
    if (this.#buffer.length < length) {
      if (this.#buffer.length > this.#maxBodyBytes) {
        throw new ImsdcError('CHANNEL_HTTP_BODY_TOO_LARGE', { limit: this.#maxBodyBytes });
      }
      return false;
    }
    this.#open = undefined;
    responses.push({ ...head, body: this.#buffer.take(length) });
    return true;
  }
}
