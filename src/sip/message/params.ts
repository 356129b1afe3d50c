import { COMMA, DQUOTE, EQUAL, isSpace, LBRACKET, SEMICOLON, skipQuoted, skipSpace, TOKEN } from './chars.ts';

interface Param {
  readonly name: string;
  readonly value: string | undefined;
  next: Param | undefined;
}

/** Up to so many a chain is searched as fast as a table. */
const FEW = 8;

/**
 * Parameters by lower-case name, in order; a flag has the value undefined; quoted values keep their quotes. A repeated
 * name keeps its first value. A chain: a value has a handful of them, and a table takes three times the room.
 */
export class Params implements Iterable<[name: string, value: string | undefined]> {
  #first: Param | undefined;
  #last: Param | undefined;
  #added = 0;

  add(name: string, value: string | undefined): void {
    const param: Param = { name, value, next: undefined };
    if (this.#last === undefined) this.#first = param;
    else this.#last.next = param;
    this.#last = param;
    this.#added++;
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined;
  }

  get(name: string): string | undefined {
    return this.#find(name)?.value;
  }

  /** How many names there are. */
  get size(): number {
    return this.#added < 2 ? this.#added : this.#byName().size;
  }

  /** Whether a name was added twice. */
  get repeats(): boolean {
    if (this.#added > FEW) return this.size < this.#added;
    for (let param = this.#first; param !== undefined; param = param.next) {
      if (this.#find(param.name) !== param) return true;
    }
    return false;
  }

  [Symbol.iterator](): Iterator<[name: string, value: string | undefined]> {
    return this.#byName().entries();
  }

  #find(name: string): Param | undefined {
    let param = this.#first;
    while (param !== undefined && param.name !== name) param = param.next;
    return param;
  }

  /** Each name once; thousands of them cost no more than they must. */
  #byName(): Map<string, string | undefined> {
    const table = new Map<string, string | undefined>();
    for (let param = this.#first; param !== undefined; param = param.next) {
      if (!table.has(param.name)) table.set(param.name, param.value);
    }
    return table;
  }
}

export type ReadonlyParams = Omit<Params, 'add'>;

export const NO_PARAMS: ReadonlyParams = new Params();

/** Where `parseParams` stopped, and whether what it read was well formed. One object is reused: read it at once. */
export const paramsEnd = { at: 0, wellFormed: true };

/**
 * Reads `;name[=value]...` from `at` until `end` or a top-level comma. A repeated name keeps its first value.
 * Where it stopped is left in `paramsEnd`.
 */
export function parseParams(text: string, at: number, end: number): ReadonlyParams {
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
    params ??= new Params();
    params.add(name, value);
  }
  paramsEnd.at = at;
  return params ?? NO_PARAMS;
}

function malformed(at: number, params: Params | undefined): ReadonlyParams {
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
