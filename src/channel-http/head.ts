import { ImsdcError } from '../errors.ts';
import { type HttpHeader, MAX_HEADERS } from './types.ts';

export interface Head {
  /** Request line or status line. */
  readonly start: string;
  readonly headers: readonly HttpHeader[];
}

const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
/** Beyond latin1 too: cut to a byte, U+010A would become a line feed. */
const ILLEGAL_IN_VALUE = /[\x00-\x08\x0a-\x1f\x7f\u0100-\uffff]/;

/**
 * Reads a head, the empty line included. `Header:value` without a blank and empty values are legal and common here;
 * Host may be missing or empty, it has no meaning (TS 26.114 6.2.10.1). Folded lines and blanks before the colon are
 * refused: two readers would understand them differently (RFC 9112 5.1, 5.2).
 *
 * @throws ImsdcError CHANNEL_HTTP_BAD_HEAD
 */
export function parseHead(bytes: Uint8Array): Head {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  const [start = '', ...lines] = text.split(/\r?\n/);
  const headers: HttpHeader[] = [];
  for (const line of lines) {
    if (line === '') break;
    if (headers.length === MAX_HEADERS) throw badHead(`more than ${MAX_HEADERS} headers`);
    const colon = line.indexOf(':');
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).trim();
    if (colon === -1 || !TOKEN.test(name)) throw badHead(`'${printable(line)}' is not a header`);
    if (ILLEGAL_IN_VALUE.test(value)) throw badHead(`control character in ${name}`);
    headers.push([name, value]);
  }
  return { start, headers };
}

/**
 * Bytes of the body by Content-Length; undefined without one.
 *
 * @throws ImsdcError CHANNEL_HTTP_BAD_HEAD, CHANNEL_HTTP_UNSUPPORTED for a transfer coding (handsets know none),
 * CHANNEL_HTTP_BODY_TOO_LARGE
 */
export function contentLength(headers: readonly HttpHeader[], maxBodyBytes: number): number | undefined {
  const lengths = new Set<string>();
  for (const [name, value] of headers) {
    const lower = name.toLowerCase();
    if (lower === 'transfer-encoding') throw new ImsdcError('CHANNEL_HTTP_UNSUPPORTED', { what: 'Transfer-Encoding' });
    if (lower === 'content-length') for (const length of value.split(/\s*,\s*/)) lengths.add(length);
  }
  if (lengths.size === 0) return undefined;
  const [text = ''] = lengths;
  if (lengths.size > 1 || !/^\d{1,15}$/.test(text)) {
    throw badHead(`Content-Length '${printable([...lengths].join(', '))}'`);
  }
  if (Number(text) > maxBodyBytes) throw new ImsdcError('CHANNEL_HTTP_BODY_TOO_LARGE', { limit: maxBodyBytes });
  return Number(text);
}

/** Latin1 bytes of a head. @throws ImsdcError CHANNEL_HTTP_BAD_HEAD for what would not be read back as it was given */
export function formatHead(start: string, headers: readonly HttpHeader[], separator = ': '): Uint8Array {
  if (ILLEGAL_IN_VALUE.test(start)) throw badHead('control character in the start line');
  let text = `${start}\r\n`;
  for (const [name, value] of headers) {
    if (!TOKEN.test(name)) throw badHead(`'${printable(name)}' is not a header name`);
    if (ILLEGAL_IN_VALUE.test(value)) throw badHead(`control character in ${name}`);
    text += `${name}${value === '' ? ':' : separator}${value}\r\n`;
  }
  return Buffer.from(`${text}\r\n`, 'latin1');
}

export function badHead(problem: string): ImsdcError {
  return new ImsdcError('CHANNEL_HTTP_BAD_HEAD', { problem });
}

/** For messages: short, and nothing a terminal would act on. */
export function printable(text: string): string {
  return text.slice(0, 40).replace(/[^\x20-\x7e]/g, '?');
}
