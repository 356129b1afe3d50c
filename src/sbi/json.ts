import { problem } from './problem.ts';

/** Deeper than any message of ours by a factor of four; recursion below this needs no guard. */
const MAX_JSON_DEPTH = 32;

/**
 * Parses a body. Throws 400 INVALID_MSG_FORMAT for what is not JSON, nests too deeply (later recursive steps must not
 * meet 30,000 brackets), names a member `__proto__` (a later copy must not follow it), or has half a surrogate pair in a
 * string (RFC 7493 2.1; it cannot be part of a URL, a header or UTF-8, and encodeURIComponent throws).
 */
export function parseJson(text: string): unknown {
  if (depthExceeds(text, MAX_JSON_DEPTH)) throw problem(400, 'INVALID_MSG_FORMAT', 'the JSON nests too deeply');
  try {
    return JSON.parse(text, text.includes('__proto__') || text.includes('\\u') ? refuseTraps : undefined);
  } catch (error) {
    throw problem(400, 'INVALID_MSG_FORMAT', error instanceof SyntaxError ? error.message : 'not JSON');
  }
}

function refuseTraps(key: string, value: unknown): unknown {
  if (key === '__proto__') throw new SyntaxError('a member is named __proto__');
  if (!key.isWellFormed() || (typeof value === 'string' && !value.isWellFormed()))
    throw new SyntaxError('a string has half a surrogate pair');
  return value;
}

function depthExceeds(text: string, limit: number): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) {
      i = endOfString(text, i);
    } else if (c === 0x7b || c === 0x5b) {
      if (++depth > limit) return true;
    } else if (c === 0x7d || c === 0x5d) {
      depth--;
    }
  }
  return false;
}

/** Index of the quote that ends the string which starts at `start`. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end > 0 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end < 0 ? text.length : end;
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text.charCodeAt(at - 1 - backslashes) === 0x5c) backslashes++;
  return backslashes % 2 === 1;
}
