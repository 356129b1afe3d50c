import type { ViaValue } from '../types.ts';
import { COLON, decimal, HOST, isToken, LBRACKET, SLASH, skipSpace } from './chars.ts';
import { paramsEnd, parseParams } from './params.ts';

/** One Via value. `wellFormed` is false when host and transport could be read but the rest could not. */
export interface ParsedVia extends ViaValue {
  readonly wellFormed: boolean;
}

/**
 * The Via value at start..end of `text` (the first one, when several stand in a list). undefined when not even the
 * sent-by can be read: then no response can be addressed. `transport` is upper case; an IPv6 host keeps its brackets.
 */
export function parseVia(text: string, start = 0, end = text.length): ParsedVia | undefined {
  let at = skipSpace(text, start, end);
  let wellFormed = true;
  // sent-protocol: "SIP/2.0/UDP", and the ABNF allows white space around each slash.
  if (text.startsWith('SIP/2.0/', at)) at = skipSpace(text, at + 8, end);
  else {
    const name = scanWord(text, at, end);
    if (text.slice(at, name).toUpperCase() !== 'SIP') return undefined;
    at = skipSpace(text, name, end);
    if (text.charCodeAt(at) !== SLASH) return undefined;
    at = skipSpace(text, at + 1, end);
    const version = scanWord(text, at, end);
    // Another version is answered with 505, so its sent-by must be read all the same.
    wellFormed = text.slice(at, version) === '2.0';
    at = skipSpace(text, version, end);
    if (text.charCodeAt(at) !== SLASH) return undefined;
    at = skipSpace(text, at + 1, end);
  }
  const transportEnd = scanWord(text, at, end);
  if (!isToken(text, at, transportEnd)) return undefined;
  const transport = text.slice(at, transportEnd).toUpperCase();
  const hostStart = skipSpace(text, transportEnd, end);
  if (hostStart === transportEnd) return undefined;
  const hostEnd = scanHost(text, hostStart, end);
  if (hostEnd <= hostStart) return undefined;
  const host = text.slice(hostStart, hostEnd);

  let port = 0;
  at = skipSpace(text, hostEnd, end);
  if (at < end && text.charCodeAt(at) === COLON) {
    at = skipSpace(text, at + 1, end);
    const digits = at;
    while (at < end && text.charCodeAt(at) >= 48 && text.charCodeAt(at) <= 57) at++;
    port = decimal(text, digits, at, 65535);
    if (port < 0) {
      port = 0;
      wellFormed = false;
    }
  }
  const params = parseParams(text, at, end);
  return {
    transport,
    host,
    port,
    params,
    branch: params.get('branch') ?? '',
    wellFormed: wellFormed && paramsEnd.wellFormed,
  };
}

function scanWord(text: string, at: number, end: number): number {
  while (at < end) {
    const code = text.charCodeAt(at);
    if (code <= 32 || code === SLASH) break;
    at++;
  }
  return at;
}

/** End of a host name, IPv4 address or bracketed IPv6 address. */
export function scanHost(text: string, at: number, end: number): number {
  if (text.charCodeAt(at) === LBRACKET) {
    const close = text.indexOf(']', at);
    if (close < 0 || close >= end) return -1;
    for (let i = at + 1; i < close; i++) {
      const code = text.charCodeAt(i);
      const hex =
        (code >= 48 && code <= 58) || (code >= 65 && code <= 70) || (code >= 97 && code <= 102) || code === 46;
      if (!hex) return -1;
    }
    return close + 1;
  }
  while (at < end && HOST[text.charCodeAt(at)] === 1) at++;
  return at;
}

/** host[:port] of the sent-by, lower case: part of the server transaction key (RFC 3261 17.2.3). */
export function sentBy(via: ViaValue): string {
  return via.port === 0 ? via.host.toLowerCase() : `${via.host.toLowerCase()}:${via.port}`;
}
