import { COMMA, DQUOTE, EQUAL, isSpace, LBRACKET, SEMICOLON, skipQuoted, skipSpace, TOKEN } from './chars.ts';

/** Parameters by lower-case name, in order; a flag has the value undefined; quoted values keep their quotes. */
export type Params = Map<string, string | undefined>;

export const NO_PARAMS: ReadonlyMap<string, string | undefined> = new Map();

/** Where `parseParams` stopped, and whether what it read was well formed. One object is reused: read it at once. */
export const paramsEnd = { at: 0, wellFormed: true };

/**
 * Reads `;name[=value]...` from `at` until `end` or a top-level comma. A repeated name keeps its first value.
 * Where it stopped is left in `paramsEnd`.
 */
export function parseParams(text: string, at: number, end: number): ReadonlyMap<string, string | undefined> {
  let params: Params | undefined;
  paramsEnd.wellFormed = true;
  for (;;) {
    at = skipSpace(text, at, end);
    if (at >= end || text.charCodeAt(at) === COMMA) break;
    if (text.charCodeAt(at) !== SEMICOLON) return malformed(at, params);
    at = skipSpace(text, at + 1, end);
    const nameStart = at;
    let upper = false;
    for (; at < end; at++) {
      const code = text.charCodeAt(at);
      if (TOKEN[code] !== 1) break;
      if (code <= 90 && code >= 65) upper = true;
    }
    if (at === nameStart) return malformed(at, params);
    const name = upper ? text.slice(nameStart, at).toLowerCase() : text.slice(nameStart, at);
    let value: string | undefined;
    let next = skipSpace(text, at, end);
    if (next < end && text.charCodeAt(next) === EQUAL) {
      next = skipSpace(text, next + 1, end);
      const valueStart = next;
      at = text.charCodeAt(next) === DQUOTE ? skipQuoted(text, next, end) : skipValue(text, next, end);
      if (at <= valueStart) return malformed(valueStart, params);
      value = text.slice(valueStart, at);
    }
    params ??= new Map();
    if (!params.has(name)) params.set(name, value);
  }
  paramsEnd.at = at;
  return params ?? NO_PARAMS;
}

function malformed(at: number, params: Params | undefined): ReadonlyMap<string, string | undefined> {
  paramsEnd.at = at;
  paramsEnd.wellFormed = false;
  return params ?? NO_PARAMS;
}

/** token, host or IPv6 reference: anything up to white space, `;` or `,` (deployed values are wider than the ABNF). */
function skipValue(text: string, at: number, end: number): number {
  if (text.charCodeAt(at) === LBRACKET) {
    const close = text.indexOf(']', at);
    if (close > 0 && close < end) at = close + 1;
  }
  for (; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code === SEMICOLON || code === COMMA || code === DQUOTE || isSpace(code)) break;
  }
  return at;
}

/** The text of a quoted string without quotes and escapes; anything else as it is. */
export function unquote(value: string): string {
  if (value.length < 2 || value.charCodeAt(0) !== DQUOTE) return value;
  const inner = value.slice(1, -1);
  return inner.includes('\\') ? inner.replace(/\\([\s\S])/g, '$1') : inner;
}
