import { ALPHANUM, classOf, decimal, EQUAL, isHexDigit, LBRACKET, PERCENT, SEMICOLON } from './chars.ts';
import { NO_PARAMS, Params, type ReadonlyParams } from './params.ts';
import { scanHost } from './via.ts';

/** sip: and sips: (RFC 3261 19.1). Parts are verbatim, escapes included. */
export interface SipUri {
  readonly kind: 'sip';
  readonly scheme: 'sip' | 'sips';
  /** undefined when the URI names a host only. */
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** IPv6 addresses keep their brackets. */
  readonly host: string;
  /** 0 when absent. */
  readonly port: number;
  /** Lower-case names. */
  readonly params: ReadonlyParams;
  /** `name=value` pairs after `?`, verbatim. */
  readonly headers: readonly string[];
}

/** tel: (RFC 3966). */
export interface TelUri {
  readonly kind: 'tel';
  readonly scheme: 'tel';
  /** Verbatim, visual separators included. */
  readonly number: string;
  readonly params: ReadonlyParams;
}

/** Any other scheme, such as urn:service:sos: carried, never taken apart. */
export interface OpaqueUri {
  readonly kind: 'opaque';
  readonly scheme: string;
  readonly rest: string;
}

export type Uri = SipUri | TelUri | OpaqueUri;

const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*$/;
/** RFC 3966 3: at least one digit, and visual separators. Two plain classes, so that no input makes them backtrack. */
const TEL_GLOBAL = /^\+[0-9\-.()]+$/;
const TEL_LOCAL = /^[0-9A-Fa-f*#\-.()]+$/;
const TEL_DIGIT = /[0-9A-Fa-f*#]/;
const BAD_ESCAPE = /%(?![0-9A-Fa-f]{2})/;
const LATIN1 = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code));
/** What may stand in a user, a password and a parameter; index by character code. */
const USER = classOf(`${ALPHANUM}-_.!~*'()%&=+$,;?/#${LATIN1.slice(0x80).join('')}`);
const PASSWORD = classOf(`${ALPHANUM}-_.!~*'()%&=+$,`);
const PARAM = classOf(LATIN1.filter((character) => !/[\s<>"@?;]/.test(character)).join(''));

/** Reads a URI; undefined when it is none, or a sip/sips/tel URI that breaks its grammar. `#` in a user is let pass. */
export function parseUri(text: string): Uri | undefined {
  const colon = text.indexOf(':');
  if (colon < 1) return undefined;
  const scheme = text.slice(0, colon).toLowerCase();
  if (scheme === 'sip' || scheme === 'sips') return parseSipUri(text, colon + 1, scheme);
  if (scheme === 'tel') return parseTelUri(text, colon + 1);
  if (!SCHEME.test(scheme) || colon + 1 >= text.length) return undefined;
  return { kind: 'opaque', scheme, rest: text.slice(colon + 1) };
}

/** Lower-case scheme without parsing the rest; '' when there is none. */
export function schemeOf(text: string): string {
  const colon = text.indexOf(':');
  return colon < 1 ? '' : text.slice(0, colon).toLowerCase();
}

function parseSipUri(text: string, start: number, scheme: 'sip' | 'sips'): SipUri | undefined {
  // "@" must be escaped everywhere but after the user, so the first one ends it, and ";" or "?" may come before it.
  const atSign = text.indexOf('@', start);
  let user: string | undefined;
  let password: string | undefined;
  let hostStart = start;
  if (atSign >= 0) {
    const colon = text.indexOf(':', start);
    const hasPassword = colon >= 0 && colon < atSign;
    const userEnd = hasPassword ? colon : atSign;
    if (userEnd === start || !consistsOf(USER, text, start, userEnd)) return undefined;
    user = text.slice(start, userEnd);
    if (hasPassword) {
      if (!consistsOf(PASSWORD, text, colon + 1, atSign)) return undefined;
      password = text.slice(colon + 1, atSign);
    }
    hostStart = atSign + 1;
  }
  const hostEnd = scanHost(text, hostStart, text.length);
  if (hostEnd <= hostStart) return undefined;
  let at = hostEnd;
  let port = 0;
  if (text[at] === ':') {
    let end = at + 1;
    while (end < text.length && text[end] !== ';' && text[end] !== '?') end++;
    port = decimal(text, at + 1, end, 65535);
    if (port < 0) return undefined;
    at = end;
  }
  let params = NO_PARAMS;
  let headers: readonly string[] = [];
  if (text[at] === ';') {
    const query = text.indexOf('?', at);
    const end = query < 0 ? text.length : query;
    const read = parseUriParams(text, at + 1, end);
    if (read === undefined) return undefined;
    params = read;
    at = end;
  }
  if (text[at] === '?') {
    headers = text.slice(at + 1).split('&');
    if (headers.some((header) => !header.includes('=') || BAD_ESCAPE.test(header))) return undefined;
    at = text.length;
  }
  if (at !== text.length) return undefined;
  return { kind: 'sip', scheme, user, password, host: text.slice(hostStart, hostEnd), port, params, headers };
}

function parseTelUri(text: string, start: number): TelUri | undefined {
  const semicolon = text.indexOf(';', start);
  const number = text.slice(start, semicolon < 0 ? text.length : semicolon);
  if (!(TEL_GLOBAL.test(number) || TEL_LOCAL.test(number)) || !TEL_DIGIT.test(number)) return undefined;
  const params = semicolon < 0 ? NO_PARAMS : parseUriParams(text, semicolon + 1, text.length);
  return params === undefined ? undefined : { kind: 'tel', scheme: 'tel', number, params };
}

/** `name[=value]` with semicolons between them, from `at` to `end`; undefined when one is malformed or repeated. */
function parseUriParams(text: string, at: number, end: number): ReadonlyParams | undefined {
  const params = new Params();
  for (; ; at++) {
    const start = at;
    let equal = -1;
    for (; at < end && text.charCodeAt(at) !== SEMICOLON; at++) {
      if (equal < 0 && text.charCodeAt(at) === EQUAL) equal = at;
    }
    const nameEnd = equal < 0 ? at : equal;
    if (nameEnd === start || !consistsOf(PARAM, text, start, at)) return undefined;
    params.add(text.slice(start, nameEnd).toLowerCase(), equal < 0 ? undefined : text.slice(equal + 1, at));
    if (at >= end) break;
  }
  // RFC 3261 19.1.1: "any given parameter-name MUST NOT appear more than once".
  return params.repeats ? undefined : params;
}

/** Whether start..end holds nothing else, and each "%" begins an escape (RFC 3261 25.1). */
function consistsOf(allowed: Uint8Array, text: string, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i);
    if (allowed[code] !== 1) return false;
    if (code !== PERCENT) continue;
    if (i + 2 >= end || !isHexDigit(text.charCodeAt(i + 1)) || !isHexDigit(text.charCodeAt(i + 2))) return false;
  }
  return true;
}

export function formatUri(uri: Uri): string {
  if (uri.kind === 'opaque') return `${uri.scheme}:${uri.rest}`;
  let text = `${uri.scheme}:`;
  if (uri.kind === 'tel') text += uri.number;
  else {
    if (uri.user !== undefined) text += `${uri.user}${uri.password === undefined ? '' : `:${uri.password}`}@`;
    text += uri.port === 0 ? uri.host : `${uri.host}:${uri.port}`;
  }
  for (const [name, value] of uri.params) text += value === undefined ? `;${name}` : `;${name}=${value}`;
  if (uri.kind === 'sip' && uri.headers.length > 0) text += `?${uri.headers.join('&')}`;
  return text;
}

const RESERVED = ';/?:@&=+$,';

/** Escapes of characters that need none are undone; the others become upper case, so that equal texts compare equal. */
export function normaliseEscapes(text: string): string {
  if (!text.includes('%')) return text;
  return text.replace(/%([0-9A-Fa-f]{2})/g, (escaped: string, hex: string) => {
    const character = String.fromCharCode(Number.parseInt(hex, 16));
    const plain = character > ' ' && character < '\u007f' && !`${RESERVED}"<>%#`.includes(character);
    return plain ? character : escaped.toUpperCase();
  });
}

/** Parameters that must be in both URIs or in neither (RFC 3261 19.1.4, with its examples for transport). */
const SIGNIFICANT = ['user', 'ttl', 'method', 'maddr', 'transport'];

/** RFC 3261 19.1.4 for sip and sips; RFC 3966 4 for tel; other schemes byte by byte after the scheme. */
export function uriEquals(a: Uri, b: Uri): boolean {
  if (a.scheme !== b.scheme) return false;
  if (a.kind === 'opaque' || b.kind === 'opaque')
    return a.kind === b.kind && (a as OpaqueUri).rest === (b as OpaqueUri).rest;
  if (a.kind === 'tel' || b.kind === 'tel') return a.kind === 'tel' && b.kind === 'tel' && telEquals(a, b);
  if ((a.user === undefined) !== (b.user === undefined) || (a.password === undefined) !== (b.password === undefined))
    return false;
  if (normaliseEscapes(a.user ?? '') !== normaliseEscapes(b.user ?? '')) return false;
  if (normaliseEscapes(a.password ?? '') !== normaliseEscapes(b.password ?? '')) return false;
  if (a.port !== b.port || a.host.toLowerCase() !== b.host.toLowerCase()) return false;
  for (const name of SIGNIFICANT) if (a.params.has(name) !== b.params.has(name)) return false;
  for (const [name, value] of a.params) if (b.params.has(name) && !sameValue(value, b.params.get(name))) return false;
  return headerKey(a) === headerKey(b);
}

function telEquals(a: TelUri, b: TelUri): boolean {
  const digits = (uri: TelUri): string => uri.number.replace(/[-.()]/g, '').toLowerCase();
  if (digits(a) !== digits(b) || a.params.size !== b.params.size) return false;
  for (const [name, value] of a.params) if (!b.params.has(name) || !sameValue(value, b.params.get(name))) return false;
  return true;
}

function sameValue(a: string | undefined, b: string | undefined): boolean {
  return normaliseEscapes(a ?? '').toLowerCase() === normaliseEscapes(b ?? '').toLowerCase();
}

function headerKey(uri: SipUri): string {
  return uri.headers
    .map((header) => {
      const equal = header.indexOf('=');
      return header.slice(0, equal).toLowerCase() + normaliseEscapes(header.slice(equal));
    })
    .sort()
    .join('&');
}

/** The host without the brackets of an IPv6 reference. */
export function bareHost(host: string): string {
  return host.charCodeAt(0) === LBRACKET ? host.slice(1, -1) : host;
}
