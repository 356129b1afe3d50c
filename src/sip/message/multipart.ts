import type { SipMessage } from '../types.ts';
import { MAX_BODY_NESTING, MAX_BODY_PARTS } from './limits.ts';
import { type ContentTypeValue, parseContentType } from './values.ts';

/** One part of a multipart body. Offsets are into the body that was split, so that a part can be edited in place. */
export interface BodyPart {
  readonly headersStart: number;
  /** Offset of the content; the header lines, if any, end two bytes before it. */
  readonly start: number;
  /** Offset after the content: the CRLF before the next delimiter belongs to the delimiter (RFC 2046 5.1.1). */
  readonly end: number;
  /** text/plain when the part has none (RFC 2046 5.2). */
  readonly contentType: ContentTypeValue;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
}

const PLAIN: ContentTypeValue = { type: 'text/plain', params: new Map() };

/** Splits start..end of `body`; undefined when the boundary is missing, the end is missing, or there are too many parts. */
export function splitMultipart(body: string, boundary: string, start = 0, end = body.length): BodyPart[] | undefined {
  if (boundary === '' || boundary.length > 70) return undefined;
  const parts: BodyPart[] = [];
  const delimiter = `--${boundary}`;
  let at = nextDelimiter(body, delimiter, start, end);
  while (at >= 0) {
    const after = at + delimiter.length;
    if (body.startsWith('--', after)) return parts;
    const lineEnd = body.indexOf('\r\n', after);
    if (lineEnd < 0 || lineEnd >= end || parts.length >= MAX_BODY_PARTS) return undefined;
    const next = nextDelimiter(body, delimiter, lineEnd, end);
    if (next < 0) return undefined;
    parts.push(readPart(body, lineEnd + 2, Math.max(next - 2, lineEnd + 2)));
    at = next;
  }
  return undefined;
}

/** Offset of the next "--boundary" that stands at the start of a line and is a whole delimiter. */
function nextDelimiter(body: string, delimiter: string, from: number, end: number): number {
  for (let at = body.indexOf(delimiter, from); at >= 0 && at < end; at = body.indexOf(delimiter, at + 1)) {
    const lineStart = at === from || body.startsWith('\r\n', at - 2);
    if (lineStart && /^(--)?[ \t]*(\r\n|$)/.test(body.slice(at + delimiter.length, at + delimiter.length + 80)))
      return at;
  }
  return -1;
}

function readPart(body: string, start: number, end: number): BodyPart {
  const headers = new Map<string, string>();
  let at = start;
  while (at < end && !body.startsWith('\r\n', at)) {
    let lineEnd = body.indexOf('\r\n', at);
    while (lineEnd >= 0 && (body[lineEnd + 2] === ' ' || body[lineEnd + 2] === '\t'))
      lineEnd = body.indexOf('\r\n', lineEnd + 2);
    if (lineEnd < 0 || lineEnd > end) lineEnd = end;
    const line = body.slice(at, lineEnd).replace(/\r\n[ \t]+/g, ' ');
    const colon = line.indexOf(':');
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
    at = lineEnd + 2;
  }
  const contentType = parseContentType(headers.get('content-type') ?? headers.get('c') ?? '') ?? PLAIN;
  return { headersStart: start, start: Math.min(at + 2, end), end, contentType, headers };
}

/** Where the session description of a message stands in its body. */
export interface SdpSpan {
  readonly start: number;
  readonly end: number;
  /** Offset of the Content-Length value inside a part that carries one, to be kept right; -1 otherwise. */
  readonly partLengthAt: number;
}

/**
 * Finds the SDP of a message, alone or inside multipart (R24). undefined: none, or none that we can read (encoded,
 * compressed, broken boundary); the body then passes on as it is.
 */
export function findSdp(message: SipMessage): SdpSpan | undefined {
  const { body } = message;
  if (body === '') return undefined;
  const encoding = message.first('content-encoding');
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') return undefined;
  const type = parseContentType(message.first('content-type') ?? '');
  if (type?.type === 'application/sdp') return { start: 0, end: body.length, partLengthAt: -1 };
  if (type === undefined || !type.type.startsWith('multipart/')) return undefined;
  return findInParts(body, type, 0, body.length, 1);
}

function findInParts(
  body: string,
  type: ContentTypeValue,
  start: number,
  end: number,
  depth: number,
): SdpSpan | undefined {
  if (depth > MAX_BODY_NESTING) return undefined;
  for (const part of splitMultipart(body, type.params.get('boundary') ?? '', start, end) ?? []) {
    const transfer = part.headers.get('content-transfer-encoding')?.toLowerCase() ?? 'binary';
    if (part.headers.has('content-encoding') || !['7bit', '8bit', 'binary'].includes(transfer)) continue;
    if (part.contentType.type === 'application/sdp') {
      return { start: part.start, end: part.end, partLengthAt: partLength(body, part) };
    }
    if (!part.contentType.type.startsWith('multipart/')) continue;
    const nested = findInParts(body, part.contentType, part.start, part.end, depth + 1);
    if (nested !== undefined) return nested;
  }
  return undefined;
}

function partLength(body: string, part: BodyPart): number {
  const header = /(?:^|\r\n)(?:content-length|l)[ \t]*:[ \t]*/i.exec(body.slice(part.headersStart, part.start));
  return header === null ? -1 : part.headersStart + header.index + header[0].length;
}

/** `body` with its SDP replaced; every other byte stays. */
export function replaceSdp(body: string, span: SdpSpan, sdp: string): string {
  if (span.partLengthAt < 0) return body.slice(0, span.start) + sdp + body.slice(span.end);
  let digitsEnd = span.partLengthAt;
  while (body[digitsEnd]! >= '0' && body[digitsEnd]! <= '9') digitsEnd++;
  return body.slice(0, span.partLengthAt) + sdp.length + body.slice(digitsEnd, span.start) + sdp + body.slice(span.end);
}
