import { decimal, isToken, skipSpace } from './chars.ts';
import { MAX_CSEQ } from './limits.ts';
import { paramsEnd, parseParams, type ReadonlyParams, unquote } from './params.ts';

const WORDS = /\s+/;

/** `1 INVITE`. */
export interface CSeqValue {
  readonly number: number;
  readonly method: string;
}

export function parseCSeq(text: string): CSeqValue | undefined {
  const [number, method, ...rest] = text.trim().split(WORDS);
  const value = decimal(number ?? '', 0, number?.length ?? 0, MAX_CSEQ);
  if (value < 0 || method === undefined || rest.length > 0 || !isToken(method)) return undefined;
  return { number: value, method };
}

/** RAck: `<RSeq> <CSeq number> <method>` (RFC 3262 7.2). */
export interface RAckValue {
  readonly rseq: number;
  readonly cseq: number;
  readonly method: string;
}

export function parseRAck(text: string): RAckValue | undefined {
  const [rseq, ...cseq] = text.trim().split(WORDS);
  const number = parseRSeq(rseq ?? '');
  const rest = parseCSeq(cseq.join(' '));
  return number === undefined || rest === undefined
    ? undefined
    : { rseq: number, cseq: rest.number, method: rest.method };
}

/** RSeq: 1 .. 2^32-1 (RFC 3262 7.1). */
export function parseRSeq(text: string): number | undefined {
  const value = decimal(text, 0, text.length, 2 ** 32 - 1);
  return value < 1 ? undefined : value;
}

/** Seconds (Min-SE, Expires, Retry-After without its comment): whole, below 2^32; parameters are ignored. */
export function parseDeltaSeconds(text: string): number | undefined {
  const end = text.search(/[;\s(]/);
  const value = decimal(text, 0, end < 0 ? text.length : end, 2 ** 32 - 1);
  return value < 0 ? undefined : value;
}

/** Max-Forwards: 0..255. */
export function parseMaxForwards(text: string): number | undefined {
  const value = decimal(text, 0, text.length, 255);
  return value < 0 ? undefined : value;
}

/** Session-Expires (RFC 4028 4). */
export interface SessionExpiresValue {
  readonly seconds: number;
  readonly refresher: 'uac' | 'uas' | undefined;
}

export function parseSessionExpires(text: string): SessionExpiresValue | undefined {
  const valued = parseValue(text);
  const seconds = valued && parseDeltaSeconds(valued.value);
  if (valued === undefined || seconds === undefined) return undefined;
  const refresher = valued.params.get('refresher')?.toLowerCase();
  if (refresher !== undefined && refresher !== 'uac' && refresher !== 'uas') return undefined;
  return { seconds, refresher };
}

/** Replaces (RFC 3891), Join (RFC 3911), Target-Dialog (RFC 4538: `local-tag`/`remote-tag` there). */
export interface DialogReference {
  readonly callId: string;
  readonly toTag: string;
  readonly fromTag: string;
  readonly earlyOnly: boolean;
}

export function parseReplaces(text: string): DialogReference | undefined {
  const valued = parseValue(text);
  const toTag = valued?.params.get('to-tag') ?? valued?.params.get('remote-tag');
  const fromTag = valued?.params.get('from-tag') ?? valued?.params.get('local-tag');
  if (valued === undefined || toTag === undefined || fromTag === undefined) return undefined;
  return { callId: valued.value, toTag, fromTag, earlyOnly: valued.params.has('early-only') };
}

/** Content-Type: `type` is lower case without parameters; parameter values are unquoted. */
export interface ContentTypeValue {
  readonly type: string;
  readonly params: ReadonlyMap<string, string>;
}

export function parseContentType(text: string): ContentTypeValue | undefined {
  const valued = parseValue(text);
  if (valued === undefined) return undefined;
  const type = valued.value.replace(/\s+/g, '').toLowerCase();
  const slash = type.indexOf('/');
  if (!isToken(type, 0, slash) || !isToken(type, slash + 1)) return undefined;
  const params = new Map<string, string>();
  for (const [name, value] of valued.params) params.set(name, unquote(value ?? ''));
  return { type, params };
}

/** `value;name=value...`: Event, Content-Disposition, Reason, Session-Expires, ... */
export interface ParameterisedValue {
  readonly value: string;
  readonly params: ReadonlyParams;
}

export function parseValue(text: string): ParameterisedValue | undefined {
  const semicolon = text.indexOf(';');
  const value = text.slice(0, semicolon < 0 ? text.length : semicolon).trim();
  const params = parseParams(text, semicolon < 0 ? text.length : semicolon, text.length);
  if (value === '' || !paramsEnd.wellFormed || skipSpace(text, paramsEnd.at, text.length) < text.length)
    return undefined;
  return { value, params };
}
