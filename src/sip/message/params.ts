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

/** Where `scanParam` has found name and value; `valueStart` is -1 for a flag. */
let nameStart = 0;
let nameEnd = 0;
let valueStart = 0;
let valueEnd = 0;
/** The name has upper-case letters. */
let upper = false;

/** Goes over one `;name[=value]` and the space before it. -1: there is none, `paramsEnd` says why. */
function scanParam(text: string, from: number, end: number): number {
  let at = skipSpace(text, from, end);
  paramsEnd.at = at;
  paramsEnd.wellFormed = at >= end || text.charCodeAt(at) === COMMA;
  if (paramsEnd.wellFormed || text.charCodeAt(at) !== SEMICOLON) return -1;
  at = skipSpace(text, at + 1, end);
  nameStart = at;
  upper = false;
  for (; at < end; at++) {
    const code = text.charCodeAt(at);
    if (TOKEN[code] !== 1) break;
    if (code <= 90 && code >= 65) upper = true;
  }
  nameEnd = at;
  paramsEnd.at = at;
  if (at === nameStart) return -1;
  valueStart = -1;
  const equal = skipSpace(text, at, end);
  if (equal >= end || text.charCodeAt(equal) !== EQUAL) return at;
  valueStart = skipSpace(text, equal + 1, end);
  const quoted = text.charCodeAt(valueStart) === DQUOTE;
  valueEnd = quoted ? skipQuoted(text, valueStart, end) : skipValue(text, valueStart, end);
  paramsEnd.at = valueStart;
  return valueEnd <= valueStart ? -1 : valueEnd;
}

/**
 * Reads `;name[=value]...` from `at` until `end` or a top-level comma. A repeated name keeps its first value.
 * Where it stopped is left in `paramsEnd`.
 */
export function parseParams(text: string, at: number, end: number): ReadonlyParams {
  let params: Params | undefined;
  for (let next = scanParam(text, at, end); next >= 0; next = scanParam(text, next, end)) {
    const name = text.slice(nameStart, nameEnd);
    params ??= new Params();
    params.add(upper ? name.toLowerCase() : name, valueStart < 0 ? undefined : text.slice(valueStart, valueEnd));
  }
  return params ?? NO_PARAMS;
}

/** Reads the same for the value of one of them: '' when it is not there, or a flag. */
export function parseParam(text: string, at: number, end: number, wanted: string): string {
  let value: string | undefined;
  for (let next = scanParam(text, at, end); next >= 0; next = scanParam(text, next, end)) {
    if (value !== undefined || nameEnd - nameStart !== wanted.length || !isName(text, wanted)) continue;
    value = valueStart < 0 ? '' : text.slice(valueStart, valueEnd);
  }
  return value ?? '';
}

/** Whether the name that was scanned is `wanted`, which is lower case and of that length. */
function isName(text: string, wanted: string): boolean {
  for (let i = 0; i < wanted.length; i++) {
    if ((text.charCodeAt(nameStart + i) | 0x20) !== wanted.charCodeAt(i)) return false;
  }
  return true;
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
