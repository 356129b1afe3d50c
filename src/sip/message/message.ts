import type { SipMessage } from '../types.ts';
import { type Address, parseAddress, splitList } from './address.ts';
import { skipSpace, trimEnd } from './chars.ts';
import { HEADER_NAMES, headerId, UNKNOWN, VIA } from './names.ts';
import type { ParsedVia } from './via.ts';

/** Numbers per header line in the index: id, start of the line, end of its name, end of the line without CRLF. */
export const STRIDE = 4;

/** What the parser found; the index refers into `raw`. */
export interface MessageFields {
  readonly raw: string;
  readonly isRequest: boolean;
  readonly method: string;
  readonly requestUri: string;
  readonly status: number;
  readonly reason: string;
  readonly callId: string;
  readonly cseq: number;
  readonly fromTag: string;
  readonly toTag: string;
  readonly via: ParsedVia;
  readonly index: readonly number[];
  readonly bodyStart: number;
  readonly bodyEnd: number;
}

const OC_PARAMETERS = /;[ \t]*oc(?:-algo|-validity|-seq)?(?:[ \t]*=[ \t]*(?:"[^"]*"|[^\s;,"]*))?(?=[ \t]*(?:;|$))/gi;

const RPORT_FLAG = /;\s*rport(?=\s*(?:;|$))/i;

/** The message of the parser: header offsets are found once, values are cut out when asked for. */
export class ParsedMessage implements SipMessage {
  readonly raw: string;
  readonly isRequest: boolean;
  readonly method: string;
  readonly requestUri: string;
  readonly status: number;
  readonly reason: string;
  readonly callId: string;
  readonly cseq: number;
  readonly fromTag: string;
  readonly toTag: string;
  readonly via: ParsedVia;
  /** Offset of the first body byte in `raw`. */
  readonly bodyStart: number;
  /** Offset after the last byte that Content-Length gives to the body. */
  readonly bodyEnd: number;
  readonly #index: readonly number[];
  #topViaLine: string | undefined;
  /** null: not looked for yet. */
  #contact: Address | null | undefined = null;

  constructor(fields: MessageFields) {
    this.raw = fields.raw;
    this.isRequest = fields.isRequest;
    this.method = fields.method;
    this.requestUri = fields.requestUri;
    this.status = fields.status;
    this.reason = fields.reason;
    this.callId = fields.callId;
    this.cseq = fields.cseq;
    this.fromTag = fields.fromTag;
    this.toTag = fields.toTag;
    this.via = fields.via;
    this.bodyStart = fields.bodyStart;
    this.bodyEnd = fields.bodyEnd;
    this.#index = fields.index;
  }

  get body(): string {
    return this.raw.slice(this.bodyStart, this.bodyEnd);
  }

  get contact(): Address | undefined {
    if (this.#contact === null) {
      const value = this.first('contact');
      this.#contact = value === undefined ? undefined : parseAddress(value);
    }
    return this.#contact;
  }

  first(name: string): string | undefined {
    const i = this.#find(name, 0);
    return i < 0 ? undefined : this.#value(i);
  }

  *each(name: string): Iterable<string> {
    for (let i = this.#find(name, 0); i >= 0; i = this.#find(name, i + STRIDE)) yield this.#value(i);
  }

  list(name: string): string[] {
    let values: string[] | undefined;
    for (let i = this.#find(name, 0); i >= 0; i = this.#find(name, i + STRIDE)) {
      const more = splitList(this.#value(i));
      if (values === undefined) values = more;
      else for (const value of more) values.push(value);
    }
    return values ?? [];
  }

  *headerLines(): Iterable<{ readonly name: string; readonly line: string }> {
    for (let i = 0; i < this.#index.length; i += STRIDE) yield { name: this.#name(i), line: this.#line(i) };
  }

  span(name: string): string {
    const index = this.#index;
    let text = '';
    for (let i = this.#find(name, 0); i >= 0; ) {
      // Neighbouring lines of one name are one cut.
      let last = i;
      let next = this.#find(name, i + STRIDE);
      while (next === last + STRIDE && index[next + 1] === index[last + 3]! + 2) {
        last = next;
        next = this.#find(name, next + STRIDE);
      }
      if (index[i] === VIA && this.#topViaLine !== undefined && text === '') {
        text = `${this.#topViaLine}\r\n`;
        if (last !== i) text += this.raw.slice(index[i + STRIDE + 1]!, index[last + 3]! + 2);
      } else text += this.raw.slice(index[i + 1]!, index[last + 3]! + 2);
      i = next;
    }
    return text;
  }

  spanExcept(except: ReadonlySet<string>): string {
    const index = this.#index;
    let text = '';
    let from = -1;
    for (let i = 0; i < index.length; i += STRIDE) {
      const start = index[i + 1]!;
      if (except.has(this.#name(i))) {
        if (from >= 0) text += this.raw.slice(from, start);
        from = -1;
      } else if (from < 0) from = start;
    }
    if (from >= 0) text += this.raw.slice(from, index[index.length - 1]! + 2);
    return text;
  }

  /**
   * RFC 3261 18.2.1 and RFC 3581 4: the server transport notes where a request really came from in its topmost Via.
   * From here on every copy of that Via carries `received` and `rport`. `overload` takes the place of the `oc` that was
   * offered (RFC 7339 4.3).
   */
  stampReceived(address: string, port: number, overload = ''): void {
    const at = this.#find('via', 0);
    const wantsPort = this.via.params.has('rport') && this.via.params.get('rport') === undefined;
    const literal = address.includes(':') ? `[${address}]` : address;
    const known = this.via.host.toLowerCase() === literal;
    if (!wantsPort && known && overload === '') return;
    const line = this.raw.slice(this.#index[at + 1]!, this.#index[at + 3]!);
    const comma = line.includes(',') ? topLevelComma(line) : -1;
    let value = comma < 0 ? line : line.slice(0, comma);
    const flag = wantsPort ? RPORT_FLAG.exec(value) : null;
    if (flag !== null) {
      const end = flag.index + flag[0].length;
      value = `${value.slice(0, end)}=${port}${value.slice(end)}`;
    }
    if (overload !== '') value = value.replace(OC_PARAMETERS, '') + overload;
    // RFC 3261 25.1: an IPv6 address there has no brackets (RFC 5118 4.5), and no zone.
    const zone = address.indexOf('%');
    if (!known || wantsPort) value += `;received=${zone < 0 ? address : address.slice(0, zone)}`;
    this.#topViaLine = comma < 0 ? value : value + line.slice(comma);
  }

  /** Index of the first line named `name` at or after `from`; -1 when there is none. */
  #find(name: string, from: number): number {
    const index = this.#index;
    const id = headerId(name);
    if (id !== UNKNOWN) {
      for (let i = from; i < index.length; i += STRIDE) if (index[i] === id) return i;
      return -1;
    }
    for (let i = from; i < index.length; i += STRIDE) {
      if (index[i] === UNKNOWN && index[i + 2]! - index[i + 1]! === name.length && this.#name(i) === name) return i;
    }
    return -1;
  }

  #name(i: number): string {
    const id = this.#index[i]!;
    return id === UNKNOWN ? this.raw.slice(this.#index[i + 1]!, this.#index[i + 2]!).toLowerCase() : HEADER_NAMES[id]!;
  }

  #line(i: number): string {
    if (this.#topViaLine !== undefined && i === this.#find('via', 0)) return this.#topViaLine;
    return this.raw.slice(this.#index[i + 1]!, this.#index[i + 3]!);
  }

  #value(i: number): string {
    if (this.#topViaLine !== undefined && this.#index[i] === VIA && i === this.#find('via', 0)) {
      return unfold(this.#topViaLine.slice(this.#topViaLine.indexOf(':') + 1)).trim();
    }
    const raw = this.raw;
    const end = this.#index[i + 3]!;
    const colon = raw.indexOf(':', this.#index[i + 2]!);
    const start = skipSpace(raw, colon + 1, end);
    return unfold(raw.slice(start, trimEnd(raw, start, end)));
  }
}

/** RFC 3261 7.3.1: a fold and the white space around it mean one space. */
function unfold(value: string): string {
  if (!value.includes('\n')) return value;
  const lines = value.split('\r\n').map((line) => line.trim());
  return lines.join(' ').trim();
}

function topLevelComma(line: string): number {
  let quoted = false;
  for (let i = 0; i < line.length; i++) {
    const character = line[i];
    if (character === '\\' && quoted) i++;
    else if (character === '"') quoted = !quoted;
    else if (character === ',' && !quoted) return i;
  }
  return -1;
}
