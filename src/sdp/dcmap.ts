import type { DataChannelStream } from './types.ts';

export const MAX_STREAM_ID = 65534;
const DEFAULT_PRIORITY = 256;
const OPTION = /\s*([A-Za-z][A-Za-z-]*)\s*=\s*(?:"([^"]*)"|([^";\s]*))\s*(;|$)/y;

/** An a=dcmap value that was read, or why it cannot be used. `streamId` is there when at least that could be read. */
export type DcmapResult =
  | { readonly stream: DataChannelStream; readonly streamId: number }
  | { readonly problem: string; readonly streamId?: number };

/**
 * Reads an a=dcmap value (RFC 8864 5.1): `stream-id [SP opt *(";" opt)]`. Unknown options pass, known ones must be
 * well formed and occur once. dcsa lines are added by the caller.
 */
export function parseDcmap(value: string): DcmapResult {
  const id = /^(\d{1,5})(?=\s|$)/.exec(value)?.[1];
  if (id === undefined) return { problem: `dcmap '${value.slice(0, 40)}' has no stream id of 1 to 5 digits` };
  const streamId = Number(id);
  if (streamId > MAX_STREAM_ID) return { problem: `dcmap ${id}: stream id exceeds ${MAX_STREAM_ID}` };

  const options = readOptions(value, id.length);
  if (typeof options === 'string') return { streamId, problem: `dcmap ${id}: ${options}` };
  const fail = (problem: string) => ({ streamId, problem: `dcmap ${id}: ${problem}` });

  const ordered = options.get('ordered') ?? 'true';
  if (ordered !== 'true' && ordered !== 'false') return fail('ordered is neither true nor false');
  // Deployed SDKs write 0 for "not set" into both (miniapp-runtime.md 4.1); one 0 alone is a limit like any other.
  const isUnset = options.get('max-retr') === '0' && options.get('max-time') === '0';
  const maxRetransmissions = isUnset ? undefined : readNumber(options.get('max-retr'), 2 ** 32 - 1);
  const maxTimeMs = isUnset ? undefined : readNumber(options.get('max-time'), 2 ** 32 - 1);
  const priority = readNumber(options.get('priority'), 65535);
  if (Number.isNaN(maxRetransmissions)) return fail('max-retr is not a number');
  if (Number.isNaN(maxTimeMs)) return fail('max-time is not a number');
  if (Number.isNaN(priority)) return fail('priority is not 0..65535');
  if (maxRetransmissions !== undefined && maxTimeMs !== undefined)
    return fail('max-retr and max-time exclude each other');
  const label = unescapeQuoted(options.get('label') ?? '');
  const subprotocol = unescapeQuoted(options.get('subprotocol') ?? '');
  if (label === undefined || subprotocol === undefined) return fail('bad %HH quoting');

  const stream: DataChannelStream = {
    streamId,
    label,
    subprotocol,
    ordered: ordered === 'true',
    ...(maxRetransmissions === undefined ? {} : { maxRetransmissions }),
    ...(maxTimeMs === undefined ? {} : { maxTimeMs }),
    priority: priority ?? DEFAULT_PRIORITY,
    dcsa: [],
    verbatim: value,
  };
  return { streamId, stream };
}

/** The a=dcmap value of a stream: as it came if it came in SDP, else options in the order of TS 26.114 A.17. */
export function formatDcmap(stream: DataChannelStream): string {
  if (stream.verbatim !== undefined) return stream.verbatim;
  const options: string[] = [];
  if (stream.subprotocol !== '') options.push(`subprotocol="${escapeQuoted(stream.subprotocol)}"`);
  if (stream.label !== '') options.push(`label="${escapeQuoted(stream.label)}"`);
  if (!stream.ordered) options.push('ordered=false');
  if (stream.maxRetransmissions !== undefined) options.push(`max-retr=${stream.maxRetransmissions}`);
  if (stream.maxTimeMs !== undefined) options.push(`max-time=${stream.maxTimeMs}`);
  if (stream.priority !== DEFAULT_PRIORITY) options.push(`priority=${stream.priority}`);
  return options.length === 0 ? String(stream.streamId) : `${stream.streamId} ${options.join(';')}`;
}

/** Ordered and reliable: neither limit is set. */
export function isReliable(stream: DataChannelStream): boolean {
  return stream.maxRetransmissions === undefined && stream.maxTimeMs === undefined;
}

const QUOTED_OPTIONS = new Set(['label', 'subprotocol']);

/** Option name to raw value; a reason when the text is not a list of options. */
function readOptions(value: string, start: number): Map<string, string> | string {
  const options = new Map<string, string>();
  let at = start;
  while (value.slice(at).trim() !== '') {
    OPTION.lastIndex = at;
    const match = OPTION.exec(value);
    if (!match) return `cannot read '${value.slice(at).trim().slice(0, 40)}'`;
    const [, name = '', quoted, token] = match;
    if (options.has(name)) return `${name} is given twice`;
    if (QUOTED_OPTIONS.has(name) !== (quoted !== undefined) && isKnown(name)) return `${name} is quoted wrongly`;
    options.set(name, quoted ?? token ?? '');
    at = OPTION.lastIndex;
  }
  return options;
}

function isKnown(name: string): boolean {
  return QUOTED_OPTIONS.has(name) || /^(?:ordered|max-retr|max-time|priority)$/.test(name);
}

/** Undefined stays undefined; NaN when it is not a number in range. */
function readNumber(text: string | undefined, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^(?:0|[1-9]\d{0,9})$/.test(text) ? Number(text) : Number.NaN;
  return value <= max ? value : Number.NaN;
}

/**
 * RFC 8864 5.1.4: %HH escapes stand for the bytes of UTF-8 text. Raw bytes above 127 (the SIP room decodes latin1)
 * are read as UTF-8 too. Undefined: a bad escape or bytes that are not UTF-8.
 */
function unescapeQuoted(text: string): string | undefined {
  if (!/[%\x80-\uffff]/.test(text)) return text;
  if (/%(?![0-9a-fA-F]{2})/.test(text) || /[^\x00-\xff]/.test(text)) return undefined;
  try {
    return decodeURIComponent(text.replace(/[\x80-\xff]/g, (c) => `%${c.charCodeAt(0).toString(16)}`));
  } catch {
    return undefined; // URIError: not UTF-8
  }
}

/** Escapes what a quoted string must not hold: controls, '"', '%' and everything beyond ASCII. */
function escapeQuoted(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\x20\x21\x23\x24\x26-\x7e]/gu, (c) =>
      Array.from(Buffer.from(c, 'utf8'), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
    );
}
