import { parseAddressParam } from './address.ts';
import { COLON, CR, decimal, isSpace, isToken, LF, SP, skipSpace, TAB, trimEnd } from './chars.ts';
import { MAX_CSEQ, MAX_HEADERS, MAX_LINE_BYTES, MAX_MESSAGE_BYTES, MAX_VIAS } from './limits.ts';
import { ParsedMessage, STRIDE } from './message.ts';
import {
  CALL_ID,
  CHECKED_HEADERS,
  CONTENT_LENGTH,
  CSEQ,
  FROM,
  MAX_FORWARDS,
  nameEnd,
  scanName,
  TO,
  VIA,
} from './names.ts';
import { type ParsedVia, parseVia } from './via.ts';

/** Why a message was refused. */
export interface MessageError {
  /** The status that a response would carry: 400, 413, 414, 505 or 513. */
  readonly status: number;
  /** The reason phrase: what is wrong, in a few words. */
  readonly reason: string;
  /**
   * The request as far as it could be read, when its topmost Via and its CSeq are good enough to send `status` back;
   * undefined for responses, for ACK (never answered) and for noise.
   */
  readonly replyable: ParsedMessage | undefined;
}

export type ParseResult = { readonly message: ParsedMessage } | { readonly error: MessageError };

interface Problem {
  readonly status: number;
  readonly reason: string;
}

const bad = (reason: string): Problem => ({ status: 400, reason });

// Scratch of one parse, kept between parses so that a message costs one array of its own.
const index: number[] = new Array<number>(MAX_HEADERS * STRIDE).fill(0);
let used = 0;
const firstOf = new Int32Array(CHECKED_HEADERS);
const countOf = new Int32Array(CHECKED_HEADERS);
let problem: Problem | undefined;
/** Whether the sizes of `limits.ts` hold for this message. */
let limited = true;

function complain(found: Problem): void {
  problem ??= found;
}

/** Bytes to a latin1 string: one character is one byte, so UTF-8 names and binary bodies survive. */
export function decodeLatin1(bytes: Uint8Array): string {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return buffer.toString('latin1');
}

/**
 * Reads one message: a datagram, or what the framer cut out of a stream. Never throws. Bytes after Content-Length are
 * ignored (RFC 3261 18.3). Refused are: a bad start line, a line that is not a header, a bare CR or LF (another element
 * may see a header there that we do not), missing, repeated or malformed Via/From/To/Call-ID/CSeq, a repeated or
 * malformed Content-Length or Max-Forwards, a body that is too short, and whatever is above `limits.ts`. `ours`: a message
 * that we have written and read again; it may be longer than the received one that it was made from, so it has no limits.
 */
export function parseMessage(input: Uint8Array | string, ours = false): ParseResult {
  const raw = typeof input === 'string' ? input : decodeLatin1(input);
  limited = !ours;
  problem = limited && raw.length > MAX_MESSAGE_BYTES ? { status: 513, reason: 'Message Too Large' } : undefined;
  let at = 0;
  // RFC 3261 7.5: ignore CRLF before the start line.
  while (raw.charCodeAt(at) === CR && raw.charCodeAt(at + 1) === LF) at += 2;
  let lineEnd = raw.indexOf('\r\n', at);
  if (lineEnd < 0) lineEnd = raw.length;
  const start = readStartLine(raw, at, lineEnd);
  const bodyStart = indexHeaders(raw, Math.min(lineEnd + 2, raw.length));
  const headers = readChecked(raw, start);
  const bodyEnd = readContentLength(raw, bodyStart);
  const { via } = headers;
  const found = problem;
  if (via === undefined) return { error: { ...(found ?? bad('Bad Via')), replyable: undefined } };
  const message = new ParsedMessage({
    raw,
    isRequest: start.status === 0,
    method: start.status === 0 && start.method !== '' ? start.method : headers.cseqMethod,
    requestUri: start.requestUri,
    status: start.status,
    reason: start.reason,
    callId: headers.callId,
    cseq: headers.cseq,
    fromTag: headers.fromTag,
    toTag: headers.toTag,
    via,
    index: index.slice(0, used),
    bodyStart,
    bodyEnd,
  });
  if (found === undefined) return { message };
  const replyable = start.status === 0 && countOf[CSEQ]! > 0 && message.method !== '' && message.method !== 'ACK';
  return { error: { ...found, replyable: replyable ? message : undefined } };
}

interface StartLine {
  method: string;
  requestUri: string;
  /** 0 for a request, -1 for a status line that cannot be read. */
  status: number;
  reason: string;
}

function readStartLine(raw: string, start: number, end: number): StartLine {
  const line: StartLine = { method: '', requestUri: '', status: 0, reason: '' };
  if (limited && end - start > MAX_LINE_BYTES) {
    complain({ status: 414, reason: 'Request-URI Too Long' });
    return line;
  }
  const firstSpace = raw.indexOf(' ', start);
  if (firstSpace < 0 || firstSpace >= end) {
    complain(bad('Bad Start Line'));
    return line;
  }
  const slash = raw.indexOf('/', start);
  if (slash > 0 && slash < firstSpace) {
    readStatusLine(raw, start, firstSpace, end, line);
    return line;
  }
  if (!isToken(raw, start, firstSpace)) {
    complain(bad('Bad Method'));
    return line;
  }
  line.method = raw.slice(start, firstSpace);
  const lastSpace = raw.lastIndexOf(' ', end - 1);
  for (let i = firstSpace + 1; i < lastSpace; i++) {
    const code = raw.charCodeAt(i);
    if (code <= SP || code === 60 || code === 62 || code === 34) {
      complain(bad('Bad Request-URI'));
      break;
    }
  }
  if (lastSpace <= firstSpace + 1) complain(bad('Bad Start Line'));
  else line.requestUri = raw.slice(firstSpace + 1, lastSpace);
  if (!isVersion(raw, lastSpace + 1, end)) {
    const other = /^SIP\/\d+\.\d+$/i.test(raw.slice(lastSpace + 1, end));
    complain(other ? { status: 505, reason: 'Version Not Supported' } : bad('Bad SIP Version'));
  }
  return line;
}

function readStatusLine(raw: string, start: number, firstSpace: number, end: number, line: StartLine): void {
  line.status = -1;
  if (!isVersion(raw, start, firstSpace)) {
    complain({ status: 505, reason: 'Version Not Supported' });
    return;
  }
  const code = decimal(raw, firstSpace + 1, firstSpace + 4, 699);
  const after = raw.charCodeAt(firstSpace + 4);
  if (code < 100 || firstSpace + 4 > end || (firstSpace + 4 < end && after !== SP)) {
    complain(bad('Bad Status Code'));
    return;
  }
  line.status = code;
  line.reason = raw.slice(Math.min(firstSpace + 5, end), end);
}

function isVersion(raw: string, start: number, end: number): boolean {
  if (end - start !== 7) return false;
  return raw.startsWith('SIP/2.0', start) || raw.slice(start, end).toUpperCase() === 'SIP/2.0';
}

/** Fills the index and returns the offset of the body. Goes on after a bad line, so that the 400 can be addressed. */
function indexHeaders(raw: string, at: number): number {
  used = 0;
  countOf.fill(0);
  for (;;) {
    const start = at;
    if (raw.charCodeAt(at) === CR && raw.charCodeAt(at + 1) === LF) return at + 2;
    let end = lineEnd(raw, at);
    while (end >= 0 && isFold(raw.charCodeAt(end + 2))) end = lineEnd(raw, end + 2);
    if (end < 0) {
      complain(bad('Missing End Of Headers'));
      return raw.length;
    }
    at = end + 2;
    if (limited && end - start > MAX_LINE_BYTES) {
      complain(bad('Header Line Too Long'));
      continue;
    }
    const id = scanName(raw, start, end);
    const colon = raw.charCodeAt(nameEnd) === COLON ? nameEnd : skipSpace(raw, nameEnd, end);
    if (nameEnd === start || colon >= end || raw.charCodeAt(colon) !== COLON) {
      complain(bad('Bad Header Line'));
      continue;
    }
    if (limited && used >= MAX_HEADERS * STRIDE) {
      complain(bad('Too Many Headers'));
      return raw.length;
    }
    if (id >= 0 && id < CHECKED_HEADERS && countOf[id]!++ === 0) firstOf[id] = used;
    index[used] = id;
    index[used + 1] = start;
    index[used + 2] = nameEnd;
    index[used + 3] = end;
    used += STRIDE;
  }
}

const isFold = (code: number): boolean => code === SP || code === TAB;

/** Offset of the CRLF that ends the line at `at`; -1 at the end of the message. A lone CR or LF is a problem. */
function lineEnd(raw: string, at: number): number {
  const lf = raw.indexOf('\n', at);
  let cr = raw.indexOf('\r', at);
  if (lf >= 0 && cr === lf - 1) return cr;
  while (cr >= 0 && raw.charCodeAt(cr + 1) !== LF) cr = raw.indexOf('\r', cr + 1);
  if (cr >= 0) complain(bad('Bare CR Or LF'));
  return cr;
}

interface CheckedHeaders {
  via: ParsedVia | undefined;
  callId: string;
  cseq: number;
  cseqMethod: string;
  fromTag: string;
  toTag: string;
}

/** Start and end of the value of the first line with that id; left in two variables, since this is the hot path. */
let valueStart = 0;
let valueEnd = 0;
function locate(raw: string, id: number): void {
  const i = firstOf[id]!;
  valueEnd = index[i + 3]!;
  valueStart = skipSpace(raw, raw.indexOf(':', index[i + 2]!) + 1, valueEnd);
  valueEnd = trimEnd(raw, valueStart, valueEnd);
}

function readChecked(raw: string, start: StartLine): CheckedHeaders {
  const found: CheckedHeaders = { via: undefined, callId: '', cseq: 0, cseqMethod: '', fromTag: '', toTag: '' };
  if (countOf[VIA] === 0) complain(bad('Missing Via'));
  else {
    if (countOf[VIA]! > MAX_VIAS) complain(bad('Too Many Via Headers'));
    locate(raw, VIA);
    found.via = parseVia(raw, valueStart, valueEnd);
    if (found.via?.wellFormed !== true) complain(bad('Bad Via'));
    else if (!viaListFits(raw)) complain(bad('Too Many Via Headers'));
  }
  found.fromTag = readTag(raw, FROM, 'From');
  found.toTag = readTag(raw, TO, 'To');
  if (single(CALL_ID, 'Call-ID')) {
    locate(raw, CALL_ID);
    found.callId = raw.slice(valueStart, valueEnd);
    if (found.callId === '' || /\s/.test(found.callId)) complain(bad('Bad Call-ID'));
  }
  if (single(CSEQ, 'CSeq')) readCSeq(raw, start, found);
  if (countOf[MAX_FORWARDS]! > 0 && single(MAX_FORWARDS, 'Max-Forwards')) {
    locate(raw, MAX_FORWARDS);
    if (decimal(raw, valueStart, valueEnd, 255) < 0) complain(bad('Bad Max-Forwards'));
  }
  return found;
}

/** One line may carry many Via values: the commas count too. */
function viaListFits(raw: string): boolean {
  let vias = countOf[VIA]!;
  if (vias * 2 > MAX_VIAS) return vias <= MAX_VIAS;
  for (let i = firstOf[VIA]!; i < used && vias <= MAX_VIAS; i += STRIDE) {
    if (index[i] !== VIA) continue;
    const end = index[i + 3]!;
    for (let comma = raw.indexOf(',', index[i + 2]!); comma >= 0 && comma < end; comma = raw.indexOf(',', comma + 1)) {
      if (++vias > MAX_VIAS) break;
    }
  }
  return vias <= MAX_VIAS;
}

function single(id: number, name: string): boolean {
  if (countOf[id] === 0) complain(bad(`Missing ${name}`));
  else if (countOf[id]! > 1) complain(bad(`Repeated ${name}`));
  return countOf[id]! > 0;
}

function readTag(raw: string, id: number, name: string): string {
  if (!single(id, name)) return '';
  locate(raw, id);
  const tag = parseAddressParam(raw, valueStart, valueEnd, 'tag');
  if (tag === undefined) complain(bad(`Bad ${name}`));
  return tag ?? '';
}

function readCSeq(raw: string, start: StartLine, found: CheckedHeaders): void {
  locate(raw, CSEQ);
  let end = valueStart;
  while (end < valueEnd && !isSpace(raw.charCodeAt(end))) end++;
  const methodStart = skipSpace(raw, end, valueEnd);
  found.cseq = decimal(raw, valueStart, end, MAX_CSEQ);
  if (isToken(raw, methodStart, valueEnd)) found.cseqMethod = raw.slice(methodStart, valueEnd);
  if (found.cseq < 0 || found.cseqMethod === '') {
    found.cseq = Math.max(found.cseq, 0);
    complain(bad('Bad CSeq'));
  } else if (start.status === 0 && start.method !== '' && start.method !== found.cseqMethod) {
    complain(bad('CSeq Method Mismatch'));
  }
}

function readContentLength(raw: string, bodyStart: number): number {
  if (countOf[CONTENT_LENGTH] === 0) return raw.length;
  if (countOf[CONTENT_LENGTH]! > 1) complain(bad('Repeated Content-Length'));
  locate(raw, CONTENT_LENGTH);
  const length = decimal(raw, valueStart, valueEnd, Number.MAX_SAFE_INTEGER);
  if (length < 0) complain(bad('Bad Content-Length'));
  else if (length > MAX_MESSAGE_BYTES) complain({ status: 413, reason: 'Request Entity Too Large' });
  else if (bodyStart + length > raw.length) complain(bad('Content-Length Above Body'));
  else return bodyStart + length;
  return raw.length;
}
