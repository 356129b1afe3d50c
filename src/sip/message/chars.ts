/** Character codes and classes of RFC 3261 25.1 used by the scanners. */
export const TAB = 9;
export const LF = 10;
export const CR = 13;
export const SP = 32;
export const DQUOTE = 34;
export const PERCENT = 37;
export const COMMA = 44;
export const SLASH = 47;
export const COLON = 58;
export const SEMICOLON = 59;
export const LESS = 60;
export const EQUAL = 61;
export const GREATER = 62;
export const QUESTION = 63;
export const LBRACKET = 91;
export const BACKSLASH = 92;

/** A table of those characters; index by character code. */
export function classOf(members: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const character of members) table[character.charCodeAt(0)] = 1;
  return table;
}

export const ALPHANUM = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
/** `token` characters; index by character code. */
export const TOKEN = classOf(`${ALPHANUM}-.!%*_+\`'~`);
/** Host names, IPv4 addresses; `_` because deployed networks use it. */
export const HOST = classOf(`${ALPHANUM}-._`);

/** True for a non-empty run of token characters. */
export function isToken(text: string, start = 0, end = text.length): boolean {
  if (start >= end) return false;
  for (let i = start; i < end; i++) if (TOKEN[text.charCodeAt(i)] !== 1) return false;
  return true;
}

/** White space inside a header value: SP, HT and the CRLF of a fold. */
export function isSpace(code: number): boolean {
  return code === SP || code === TAB || code === CR || code === LF;
}

export function isHexDigit(code: number): boolean {
  return (code >= 48 && code <= 57) || ((code | 0x20) >= 97 && (code | 0x20) <= 102);
}

export function skipSpace(text: string, at: number, end: number): number {
  while (at < end && isSpace(text.charCodeAt(at))) at++;
  return at;
}

export function trimEnd(text: string, start: number, end: number): number {
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return end;
}

/** The decimal number that fills start..end, or -1 when it is not digits only or above `max`. */
export function decimal(text: string, start: number, end: number, max: number): number {
  if (start >= end) return -1;
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
    if (value > max) return -1;
  }
  return value;
}

/** The index just after the quoted string that opens at `at`, or -1 when it never closes. */
export function skipQuoted(text: string, at: number, end: number): number {
  for (let i = at + 1; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code === BACKSLASH) i++;
    else if (code === DQUOTE) return i + 1;
  }
  return -1;
}
