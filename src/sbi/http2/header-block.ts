import { huffmanDecode } from './huffman.ts';

/**
 * HPACK without its dynamic table (RFC 7541): we announce a table of size 0 and add nothing to the peer's, so each
 * block stands for itself. Values go out as they are: Huffman coding would save bytes that nobody here is short of.
 */

/** RFC 7541 appendix A: names of the static table, with the values of the entries that have one. Index 1 is first. */
const STATIC: readonly (readonly [name: string, value: string])[] = [
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  [':status', '200'],
  [':status', '204'],
  [':status', '206'],
  [':status', '304'],
  [':status', '400'],
  [':status', '404'],
  [':status', '500'],
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ...(
    'accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control ' +
    'content-disposition content-encoding content-language content-length content-location content-range ' +
    'content-type cookie date etag expect expires from host if-match if-modified-since if-none-match if-range ' +
    'if-unmodified-since last-modified link location max-forwards proxy-authenticate proxy-authorization range ' +
    'referer refresh retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary via ' +
    'www-authenticate'
  )
    .split(' ')
    .map((name): [string, string] => [name, '']),
];
const NAME_INDEX = new Map(STATIC.map(([name], i) => [name, i + 1] as const).reverse());
const FIELD_INDEX = new Map(STATIC.flatMap(([name, value], i) => (value === '' ? [] : [[`${name} ${value}`, i + 1]])));

const FIELD_OCTETS = /^[\x20-\x7e\x80-\xff]*$/;

/** One header field as latin1 text of its encoding: cheap to join, written once. Throws for octets no field may have. */
export function encodeField(name: string, value: string): string {
  const whole = FIELD_INDEX.get(`${name} ${value}`);
  // RFC 7541 6.1: indexed field.
  return whole === undefined ? fieldEncoder(name)(value) : integer(0x80, 7, whole);
}

/** Encodes a field whose value changes from block to block, as `encodeField` does: the name is looked up and coded once. */
export function fieldEncoder(name: string): (value: string) => string {
  const index = NAME_INDEX.get(name);
  // RFC 7541 6.2.2: literal without indexing.
  const coded = index === undefined ? `\x00${integer(0, 7, name.length)}${name}` : integer(0, 4, index);
  return (value) => {
    if (!FIELD_OCTETS.test(value)) throw new TypeError(`header ${name} has octets that no header may have`);
    return `${coded}${integer(0, 7, value.length)}${value}`;
  };
}

/** RFC 7541 5.1. */
function integer(flags: number, prefixBits: number, value: number): string {
  const limit = 2 ** prefixBits - 1;
  if (value < limit) return String.fromCharCode(flags | value);
  let out = String.fromCharCode(flags | limit);
  let rest = value - limit;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out += String.fromCharCode(128 | (rest % 128));
  return out + String.fromCharCode(rest);
}

/** Thrown for a block that breaks RFC 7541: a connection error (RFC 9113 4.3). */
export class HeaderBlockError extends Error {}

/** Fields of the block from `start` to `end`; a repeated one is joined with ', ' (RFC 9110 5.3). @throws HeaderBlockError */
export function decodeBlock(bytes: Buffer, start = 0, end = bytes.length): Map<string, string> {
  const reader = new BlockReader(bytes, start, end);
  const fields = new Map<string, string>();
  while (!reader.done) {
    const field = reader.field();
    if (!field) continue;
    const [name, value] = field;
    const before = fields.get(name);
    fields.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return fields;
}

class BlockReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  get done(): boolean {
    return this.#at >= this.#end;
  }

  /** Undefined for an instruction that is no field. */
  field(): readonly [string, string] | undefined {
    const first = this.#bytes[this.#at]!;
    if (first & 0x80) return this.#entry(this.#integer(7));
    if (first & 0x40) return this.#literal(6);
    if (first & 0x20) {
      // RFC 7541 6.3: the peer acknowledges that there is no table.
      if (this.#integer(5) !== 0) throw new HeaderBlockError('a dynamic table where none is allowed');
      return undefined;
    }
    return this.#literal(4);
  }

  #literal(prefixBits: number): readonly [string, string] {
    const index = this.#integer(prefixBits);
    const name = index === 0 ? this.#string() : this.#entry(index)[0];
    return [name, this.#string()];
  }

  #entry(index: number): readonly [string, string] {
    const entry = STATIC[index - 1];
    if (!entry) throw new HeaderBlockError(`entry ${index} of a table that is empty`);
    return entry;
  }

  #integer(prefixBits: number): number {
    const limit = 2 ** prefixBits - 1;
    let value = this.#octet() & limit;
    if (value < limit) return value;
    for (let shift = 0; ; shift += 7) {
      const octet = this.#octet();
      value += (octet & 0x7f) * 2 ** shift;
      if (shift > 21) throw new HeaderBlockError('an integer without end');
      if (octet < 0x80) return value;
    }
  }

  #string(): string {
    const isHuffman = (this.#bytes[this.#at] ?? 0) & 0x80;
    const length = this.#integer(7);
    const start = this.#at;
    this.#at += length;
    if (this.#at > this.#end) throw new HeaderBlockError('a string beyond the block');
    if (!isHuffman) return this.#bytes.toString('latin1', start, this.#at);
    const text = huffmanDecode(this.#bytes, start, this.#at);
    if (text === undefined) throw new HeaderBlockError('a string that is not Huffman coded');
    return text;
  }

  #octet(): number {
    if (this.#at >= this.#end) throw new HeaderBlockError('the block ends inside a field');
    return this.#bytes[this.#at++]!;
  }
}
