import type { Owned } from '../base/owned.ts';
import { ImsdcError } from '../errors.ts';
import { words } from './lines.ts';
import type { MediaSection, SdpLines, SessionDescription } from './types.ts';

/** Bytes: SIP bodies are decoded as latin1, so one character is one byte. */
export const MAX_SDP_BYTES = 64 * 1024;
export const MAX_SDP_LINE_BYTES = 16 * 1024;
export const MAX_MEDIA_SECTIONS = 256;

const CR = 13;
const LF = 10;
const EQUALS = 61;

/**
 * Reads a session description without changing a byte of it: `writeSessionDescription` gives the text back. Only what
 * is needed to find the lines is checked (v= first, `x=` on every line, well-formed m= lines), because everything
 * else may be somebody else's and passes (R7). Substrings keep `text` alive: hand in an `Owned` text to keep the
 * result.
 *
 * @throws ImsdcError SDP_TOO_LARGE, SDP_MALFORMED with the line number
 */
export function parseSessionDescription(text: string): SessionDescription {
  const known = recent.get(text);
  if (known !== undefined) return known;
  const parsed = parse(text);
  remember(text, parsed);
  return parsed;
}

/** `text` has just been written from `sdp`: it need not be read to know what it says. */
export function rememberWritten(text: Owned, sdp: SessionDescription): void {
  // With other line ends a line may have kept a stray CR, which reading it anew could take for part of the line end.
  if (sdp.eol === '\r\n') remember(text, sdp);
}

function remember(text: string, sdp: SessionDescription): void {
  if (text.length > MAX_RECENT_BYTES) return;
  if (recent.size >= MAX_RECENT) recent.clear();
  recent.set(text, sdp);
}

/**
 * Every step of a negotiation reads the same two or three texts again, because a call at rest keeps text alone. What is
 * read is never changed, so it may be shared.
 */
const recent = new Map<string, SessionDescription>();
const MAX_RECENT = 64;
const MAX_RECENT_BYTES = 8 * 1024;

function parse(text: string): SessionDescription {
  if (text.length > MAX_SDP_BYTES)
    throw new ImsdcError('SDP_TOO_LARGE', { what: 'session description', limit: '64 KiB' });
  let end = text.length;
  while (end > 0 && isLineEnd(text.charCodeAt(end - 1))) end--;

  const firstLf = text.indexOf('\n');
  const crlf = firstLf > 0 && text.charCodeAt(firstLf - 1) === CR;
  // Mixed line ends: hold the text as LF lines; stray CRs stay at the ends of their lines, where readers trim them.
  const eol = crlf && !hasBareLf(text, end) ? '\r\n' : '\n';

  const session: string[] = [];
  const media: MediaSection[] = [];
  let lines = session;
  let number = 0;
  for (let start = 0; start < end; ) {
    let stop = text.indexOf(eol, start);
    if (stop === -1 || stop > end) stop = end;
    number++;
    const line = text.slice(start, stop);
    if (line.length > MAX_SDP_LINE_BYTES)
      throw new ImsdcError('SDP_TOO_LARGE', { what: `line ${number}`, limit: '16 KiB' });
    if (line.charCodeAt(1) !== EQUALS) throw malformed(number, 'is not <type>=<value>');
    if (number === 1 && line.trimEnd() !== 'v=0') throw malformed(1, 'is not v=0');
    if (line.charCodeAt(0) === 0x6d /* m */) {
      if (media.length === MAX_MEDIA_SECTIONS) {
        throw new ImsdcError('SDP_TOO_LARGE', { what: 'number of m= lines', limit: MAX_MEDIA_SECTIONS });
      }
      lines = [line];
      media.push(mediaSection(lines, number));
    } else {
      lines.push(line);
    }
    start = stop + eol.length;
  }
  if (number === 0) throw malformed(1, 'is empty');
  return { session, media, eol, end: text.slice(end) };
}

/**
 * A section from its lines, the m= line first.
 *
 * @throws ImsdcError SDP_MALFORMED; `lineNumber` is for its message
 */
export function mediaSection(lines: SdpLines, lineNumber = 1): MediaSection {
  const [media = '', portField = '', protocol = '', ...formats] = words((lines[0] ?? '').slice(2).trim());
  const slash = portField.indexOf('/');
  const portText = slash === -1 ? portField : portField.slice(0, slash);
  const port = Number(portText);
  if (protocol === '') throw malformed(lineNumber, 'm= needs media, port and protocol');
  if (!/^\d{1,5}$/.test(portText) || port > 65535) throw malformed(lineNumber, 'm= port is not 0..65535');
  return { lines, media, port, protocol, formats };
}

function malformed(line: number, problem: string): ImsdcError {
  return new ImsdcError('SDP_MALFORMED', { line, problem });
}

function isLineEnd(code: number): boolean {
  return code === CR || code === LF;
}

function hasBareLf(text: string, end: number): boolean {
  for (let at = text.indexOf('\n'); at !== -1 && at < end; at = text.indexOf('\n', at + 1)) {
    if (text.charCodeAt(at - 1) !== CR) return true;
  }
  return false;
}
