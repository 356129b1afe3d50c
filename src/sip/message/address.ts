import { COMMA, DQUOTE, GREATER, isSpace, LESS, QUESTION, SEMICOLON, skipQuoted, skipSpace, trimEnd } from './chars.ts';
import { paramsEnd, parseParam, parseParams, type ReadonlyParams } from './params.ts';

/** name-addr or addr-spec with its header parameters: From, To, Contact, Route, P-Asserted-Identity, P-Served-User... */
export interface Address {
  /** As it stands, quotes included; '' when absent. */
  readonly display: string;
  /** The URI text without angle brackets. Not validated beyond its scheme: see `parseUri`. */
  readonly uri: string;
  /** Header parameters (`tag`, `sescase`, `expires`, `+sip.app-subtype` ...), lower-case names, values verbatim. */
  readonly params: ReadonlyParams;
}

/** What `scanAddress` has found. */
let displayStart = 0;
let displayEnd = 0;
let uriStart = 0;
let uriEnd = 0;
/** Where the value ends, white space left out. */
let addressEnd = 0;

/**
 * Reads one value. undefined when malformed: unbalanced quotes or brackets, white space inside the brackets, no scheme,
 * or a bare URI with `?` (RFC 3261 20.10: it must stand in brackets). A display name may hold any character.
 */
export function parseAddress(text: string, start = 0, end = text.length): Address | undefined {
  const at = scanAddress(text, start, end);
  if (at < 0) return undefined;
  const params = parseParams(text, at, addressEnd);
  if (!paramsEnd.wellFormed || paramsEnd.at < addressEnd) return undefined;
  return { display: text.slice(displayStart, displayEnd), uri: text.slice(uriStart, uriEnd), params };
}

/** Of the same value only one header parameter, '' when it is absent; undefined when the value is malformed. */
export function parseAddressParam(text: string, start: number, end: number, name: string): string | undefined {
  const at = scanAddress(text, start, end);
  if (at < 0) return undefined;
  const value = parseParam(text, at, addressEnd, name);
  return paramsEnd.wellFormed && paramsEnd.at >= addressEnd ? value : undefined;
}

/** Whether `parseAddress` could read it. */
export function isAddress(text: string): boolean {
  return parseAddressParam(text, 0, text.length, '') !== undefined;
}

/** Where the header parameters begin; -1: malformed. */
function scanAddress(text: string, start: number, end: number): number {
  let at = skipSpace(text, start, end);
  end = trimEnd(text, at, end);
  addressEnd = end;
  displayStart = at;
  displayEnd = at;
  if (text.charCodeAt(at) === DQUOTE) {
    at = skipQuoted(text, at, end);
    if (at < 0) return -1;
    displayEnd = at;
    at = skipSpace(text, at, end);
    if (text.charCodeAt(at) !== LESS || at >= end) return -1;
  }
  const open = text.charCodeAt(at) === LESS ? at : findBracket(text, at, end);
  if (open === -2) return -1;
  if (open < 0) return scanBareAddress(text, at, end);
  if (displayEnd === displayStart) displayEnd = trimEnd(text, displayStart, open);
  uriStart = open + 1;
  uriEnd = text.indexOf('>', open);
  return uriEnd < 0 || uriEnd >= end || !isAbsoluteUri(text, uriStart, uriEnd) ? -1 : uriEnd + 1;
}

/** `<` before any parameter; -1 for an addr-spec; -2 for a quote in the middle of it. */
function findBracket(text: string, at: number, end: number): number {
  for (let i = at; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code === LESS) return i;
    if (code === SEMICOLON) return -1;
    if (code === DQUOTE) return -2;
  }
  return -1;
}

function scanBareAddress(text: string, start: number, end: number): number {
  let at = start;
  for (; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code === SEMICOLON || isSpace(code)) break;
    if (code === QUESTION || code === COMMA) return -1;
  }
  uriStart = start;
  uriEnd = at;
  return isAbsoluteUri(text, start, at) ? at : -1;
}

/** scheme ":" and something after it, without white space, quotes outside escapes or brackets. */
function isAbsoluteUri(text: string, start: number, end: number): boolean {
  const colon = text.indexOf(':', start);
  if (colon <= start || colon >= end - 1) return false;
  for (let i = start; i < colon; i++) {
    const code = text.charCodeAt(i);
    const letter = (code | 0x20) >= 97 && (code | 0x20) <= 122;
    if (!letter && (i === start || !((code >= 48 && code <= 57) || code === 43 || code === 45 || code === 46)))
      return false;
  }
  for (let i = colon; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code <= 32 || code === LESS || code === GREATER || code === DQUOTE) return false;
  }
  return true;
}

/** Splits a header line's value at its top-level commas: outside quotes and angle brackets. Empty elements vanish. */
export function splitList(text: string): string[] {
  if (!text.includes(',')) {
    const only = text.trim();
    return only === '' ? [] : [only];
  }
  const values: string[] = [];
  let start = 0;
  let inBrackets = false;
  for (let i = 0; i <= text.length; i++) {
    const code = i === text.length ? COMMA : text.charCodeAt(i);
    if (code === DQUOTE && !inBrackets) {
      const close = skipQuoted(text, i, text.length);
      i = (close < 0 ? text.length : close) - 1;
    } else if (code === LESS) inBrackets = true;
    else if (code === GREATER) inBrackets = false;
    else if (code === COMMA && (!inBrackets || i === text.length)) {
      const value = text.slice(start, i).trim();
      if (value !== '') values.push(value);
      start = i + 1;
    }
  }
  return values;
}
