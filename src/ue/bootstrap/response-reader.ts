import { ImsdcError } from '../../errors.ts';
import type { ResponseRules } from '../profile.ts';

export interface BootstrapResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  /** User messages it came in: shows how the network cut it. */
  readonly messages: number;
  readonly largestMessageBytes: number;
}

/** The China Mobile library keeps a package in memory; anything beyond this is a broken Content-Length. */
const MAX_RESPONSE_BYTES = 256 * 1024 * 1024;
const MAX_HEADER_BYTES = 65_536;
const HEADER_END = '\r\n\r\n';

/**
 * Reads one response the way a deployed handset does, deliberately no better: it is the independent reader of what
 * our own HTTP code writes. Throws UE_BOOTSTRAP_RESPONSE where that handset would fail.
 */
export class ResponseReader {
  readonly #rules: ResponseRules;
  readonly #parts: Buffer[] = [];
  #bytes = 0;
  #messages = 0;
  #largest = 0;
  #head: { status: number; headers: Map<string, string>; bodyAt: number } | null = null;

  constructor(rules: ResponseRules) {
    this.#rules = rules;
  }

  /** Feeds one data channel message. Returns the response once the handset would call it complete. */
  push(message: Uint8Array): BootstrapResponse | null {
    this.#messages++;
    this.#bytes += message.length;
    this.#largest = Math.max(this.#largest, message.length);
    if (this.#bytes > MAX_RESPONSE_BYTES) throw broken(`more than ${MAX_RESPONSE_BYTES} bytes`);
    this.#parts.push(Buffer.from(message));
    this.#head ??= this.#readHead();
    if (!this.#head) return null;
    const { status, headers, bodyAt } = this.#head;
    const have = this.#bytes - bodyAt;
    const wanted = this.#bodyBytes(headers) ?? have;
    if (have < wanted) return null;
    const body = Buffer.concat(this.#parts).subarray(bodyAt, bodyAt + wanted);
    return { status, headers, body, messages: this.#messages, largestMessageBytes: this.#largest };
  }

  #readHead(): { status: number; headers: Map<string, string>; bodyAt: number } | null {
    const text = Buffer.concat(this.#parts).toString('latin1');
    const end = text.indexOf(HEADER_END);
    if (end < 0) {
      if (this.#rules.headersInFirstMessage) throw broken('the header block does not end inside the first message');
      if (text.length > MAX_HEADER_BYTES) throw broken(`${text.length} bytes without an end of headers`);
      return null;
    }
    const [statusLine = '', ...lines] = text.slice(0, end).split('\r\n');
    const status = /^HTTP\/1\.1 (\d{3})(?: |$)/.exec(statusLine)?.[1];
    if (!status) throw broken(`not a status line: '${statusLine.slice(0, 60)}'`);
    const headers = new Map<string, string>();
    for (const line of lines) {
      const colon = line.indexOf(':');
      if (colon < 1) throw broken(`not a header field: '${line.slice(0, 60)}'`);
      headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    // Both libraries would take chunk sizes for content.
    if (headers.has('transfer-encoding')) throw broken('Transfer-Encoding, which handsets do not undo');
    return { status: Number(status), headers, bodyAt: end + HEADER_END.length };
  }

  /** Null: whatever the first message brought. */
  #bodyBytes(headers: ReadonlyMap<string, string>): number | null {
    const length = headers.get('content-length');
    if (length === undefined)
      return this.#rules.withoutContentLength === 'firstMessage' ? null : Number.POSITIVE_INFINITY;
    if (!/^\d{1,10}$/.test(length)) throw broken(`Content-Length '${length}'`);
    return Number(length);
  }
}

function broken(problem: string): ImsdcError {
  return new ImsdcError('UE_BOOTSTRAP_RESPONSE', { problem });
}
