import type { SipMessage } from '../types.ts';
import { reasonPhrase } from './reasons.ts';

/**
 * Writes a message line by line. Headers of a received message are copied as spans, not rebuilt, so that what we do
 * not understand leaves as it came. The result is latin1 text: one character is one byte.
 *
 * ```ts
 * MessageWriter.request('INVITE', uri).header('Via', via).copy(received, 'p-asserted-identity').finish(sdp, 'application/sdp')
 * ```
 */
export class MessageWriter {
  #text: string;

  private constructor(startLine: string) {
    this.#text = startLine;
  }

  static request(method: string, requestUri: string): MessageWriter {
    return new MessageWriter(`${method} ${safe(requestUri)} SIP/2.0\r\n`);
  }

  static response(status: number, reason: string = reasonPhrase(status)): MessageWriter {
    return new MessageWriter(`SIP/2.0 ${status} ${safe(reason)}\r\n`);
  }

  /** One header line. A line end inside `value` becomes a space: a value never starts a header of its own. */
  header(name: string, value: string | number): this {
    this.#text += `${name}: ${typeof value === 'number' ? value : safe(value)}\r\n`;
    return this;
  }

  /** One header line per value. */
  headers(name: string, values: Iterable<string>): this {
    for (const value of values) this.header(name, value);
    return this;
  }

  /** Every header line of that long lower-case name, verbatim and in order; nothing when there is none. */
  copy(message: SipMessage, name: string): this {
    this.#text += message.span(name);
    return this;
  }

  /** Every header line whose long lower-case name is not in `except`, verbatim and in order. */
  copyExcept(message: SipMessage, except: ReadonlySet<string>): this {
    this.#text += message.spanExcept(except);
    return this;
  }

  /** Whole header lines that were written or copied before, each with its CRLF; '' adds nothing. */
  lines(text: string): this {
    this.#text += text;
    return this;
  }

  /** Adds Content-Type (when given), Content-Length and the body. */
  finish(body = '', contentType?: string): string {
    const type = contentType === undefined || body === '' ? '' : `Content-Type: ${safe(contentType)}\r\n`;
    return `${this.#text}${type}Content-Length: ${body.length}\r\n\r\n${body}`;
  }
}

function safe(text: string): string {
  return text.includes('\n') || text.includes('\r') ? text.replace(/[\r\n]+/g, ' ') : text;
}

export interface ResponseOptions {
  reason?: string;
  /** Added to To when it has no tag yet; required for every status above 100 but those (RFC 3261 8.2.6.2). */
  toTag?: string;
  /** Whole header lines, each with its CRLF: Contact, Allow, Unsupported, ... */
  headers?: string;
  /** Copy Record-Route: for 101..299 that create a dialog (RFC 3261 12.1.1). */
  recordRoute?: boolean;
  body?: string;
  contentType?: string;
}

/** A response to `request`: Via, From, To, Call-ID, CSeq (and Timestamp for 100) as RFC 3261 8.2.6 says. */
export function buildResponse(request: SipMessage, status: number, options: ResponseOptions = {}): string {
  const writer = MessageWriter.response(status, options.reason).copy(request, 'via').copy(request, 'from');
  if (options.toTag !== undefined && request.toTag === '') {
    writer.header('To', `${request.first('to') ?? ''};tag=${options.toTag}`);
  } else writer.copy(request, 'to');
  writer.copy(request, 'call-id').copy(request, 'cseq');
  if (status === 100) writer.copy(request, 'timestamp');
  if (options.recordRoute === true) writer.copy(request, 'record-route');
  if (options.headers !== undefined) writer.lines(options.headers);
  return writer.finish(options.body, options.contentType);
}
