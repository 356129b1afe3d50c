import { workerAt } from '../base/ids.ts';

/** What a dispatcher must know of a SIP message: who owns it, or whom to give it to. */
export interface Glance {
  readonly method: string;
  /** The worker that the message's own identifier names (R21); -1: none of ours. */
  readonly worker: number;
  /** '' where it was not needed, or is not there. */
  readonly callId: string;
}

const COOKIE = 'z9hG4bK';
const CR_LF = '\r\n';

/**
 * Reads as much of a message as routing needs. Every identifier that we mint starts with the route token (R21), so:
 * a response is found by the branch of its topmost Via; a request inside a dialog (ACK, BYE, PRACK, re-INVITE, ...) by its
 * To tag, which is ours; one that speaks of a dialog of ours (Replaces, Join, Target-Dialog) by the tags it names. All
 * else goes by its Call-ID, which INVITE, CANCEL and the ACK of a refusal share. `text`: latin1; `token`: `instance.`.
 */
export function glance(text: string, token: string): Glance {
  let at = 0;
  while (text.startsWith(CR_LF, at)) at += 2;
  const isResponse = text.startsWith('SIP/2.0 ', at);
  const space = text.indexOf(' ', at);
  const method = isResponse || space < 0 || space - at > MAX_METHOD_CHARS ? '' : text.slice(at, space);
  let callId = '';
  let worker = -1;
  for (at = text.indexOf(CR_LF, at); at >= 0; ) {
    const start = at + 2;
    if (text.startsWith(CR_LF, start)) break;
    at = endOfLine(text, start);
    switch (text.charCodeAt(start) | 0x20) {
      case 0x76: // v, Via: the topmost one says it all
        if (isResponse && isHeader(text, start, 'via', 'v'))
          return { method, worker: ofBranch(text, start, at, token), callId };
        break;
      case 0x74: // t, To, Target-Dialog
        // That of a response may be of another session of ours: it goes by its Via.
        if (!isResponse && isHeader(text, start, 'to', 't')) {
          const named = ofTag(text, start, at, token);
          if (named >= 0) return { method, worker: named, callId };
        } else if (isHeader(text, start, 'target-dialog'))
          worker = Math.max(worker, ofReference(text, start, at, token));
        break;
      case 0x63: // c
      case 0x69: // i
        if (isHeader(text, start, 'call-id', 'i'))
          callId = text.slice(text.indexOf(':', start) + 1, end(text, at)).trim();
        break;
      case 0x72: // r
      case 0x6a: // j
        if (isHeader(text, start, 'replaces') || isHeader(text, start, 'join'))
          worker = Math.max(worker, ofReference(text, start, at, token));
        break;
      default:
    }
  }
  return { method, worker, callId };
}

/** Longer ones are no method of anybody's. */
const MAX_METHOD_CHARS = 32;

/** Offset of the CRLF that ends the header at `start`, folds included; -1: the message ends before. */
function endOfLine(text: string, start: number): number {
  let at = text.indexOf(CR_LF, start);
  while (at >= 0) {
    const next = text.charCodeAt(at + 2);
    if (next !== 0x20 && next !== 0x09) break;
    at = text.indexOf(CR_LF, at + 2);
  }
  return at;
}

const end = (text: string, at: number): number => (at < 0 ? text.length : at);

function isHeader(text: string, start: number, name: string, compact?: string): boolean {
  return hasName(text, start, name) || (compact !== undefined && hasName(text, start, compact));
}

function hasName(text: string, start: number, name: string): boolean {
  let at = start + name.length;
  // Names are compared only where a colon follows: most lines fail here.
  while (text.charCodeAt(at) === 0x20 || text.charCodeAt(at) === 0x09) at++;
  return text.charCodeAt(at) === 0x3a && text.slice(start, start + name.length).toLowerCase() === name;
}

function ofBranch(text: string, start: number, lineEnd: number, token: string): number {
  const line = text.slice(start, end(text, lineEnd));
  const branch = /;\s*branch\s*=\s*/i.exec(line);
  if (branch === null) return -1;
  const at = branch.index + branch[0].length;
  return line.startsWith(COOKIE, at) ? workerAt(line, at + COOKIE.length, token) : -1;
}

/** How everybody writes it; other spellings cost more. */
const PLAIN_TAG = ';tag=';

/** The tag is a parameter of the header: what stands in a display name or the URI is none. */
function ofTag(text: string, start: number, lineEnd: number, token: string): number {
  const line = text.slice(start, end(text, lineEnd));
  const from = line.lastIndexOf('>') + 1;
  const plain = line.indexOf(PLAIN_TAG, from);
  if (plain >= 0) return workerAt(line, plain + PLAIN_TAG.length, token);
  const tag = /;\s*tag\s*=\s*/i.exec(from === 0 ? line : line.slice(from));
  return tag === null ? -1 : workerAt(line, from + tag.index + tag[0].length, token);
}

const TO_TAG = /;\s*(?:to|remote)-tag\s*=\s*/i;
const FROM_TAG = /;\s*(?:from|local)-tag\s*=\s*/i;

/**
 * `call-id;to-tag=..;from-tag=..` (RFC 3891 6.1; Target-Dialog says local and remote, RFC 4538 7). Both tags are ours
 * where two sessions of ours follow each other: then the one that is addressed counts, as in `counterpart`.
 */
function ofReference(text: string, start: number, lineEnd: number, token: string): number {
  const line = text.slice(start, end(text, lineEnd));
  for (const pattern of [TO_TAG, FROM_TAG]) {
    const tag = pattern.exec(line);
    const worker = tag === null ? -1 : workerAt(line, tag.index + tag[0].length, token);
    if (worker >= 0) return worker;
  }
  return -1;
}
