import type { Check } from './steps.ts';

/** What an m-line of a data channel looks like on any leg, at a live port. */
export const LIVE = 'm=application [1-9][0-9]* UDP/DTLS/SCTP webrtc-datachannel';
/** The same, refused or removed. */
export const DEAD = 'm=application 0 UDP/DTLS/SCTP webrtc-datachannel';

/** A bootstrap line as our MF offers or answers it. */
export const LINE = {
  own: `${LIVE}.*a=dcmap:0 `,
  sender: `${LIVE}.*a=dcmap:100 .*a=3gpp-bdc-used-by:sender`,
  receiver: `${LIVE}.*a=dcmap:100 .*a=3gpp-bdc-used-by:receiver`,
} as const;

/** The SDP shows these things in this order. */
export function body(...parts: readonly string[]): Check {
  return { in: 'body', pattern: parts.join('.*'), mode: 'matches' };
}

/** The SDP (or whatever the body is) does not contain this. */
export function without(pattern: string): Check {
  return { in: 'body', pattern, mode: 'lacks' };
}

/** The SDP has so many m-lines: none is missing, none appears. */
export function mediaLines(count: number): readonly Check[] {
  const line = 'm=[a-z]+ [0-9]+ ';
  return [
    body(...Array<string>(count).fill(line)),
    without(
      Array<string>(count + 1)
        .fill(line)
        .join('.*'),
    ),
  ];
}

/**
 * The first `count` lines with a tls-id have one of our form (20 characters), and none of them is among those that were
 * kept as `before`: each is a new association (R12). Kept as `name` for later.
 */
export function tlsIds(name: string, count: number, ...before: readonly Check[]): Check {
  const pattern = Array<string>(count).fill('a=tls-id:([A-Za-z0-9_-]{20})').join('.*');
  const unlike = before.flatMap((check) => groupsOf(check));
  return { in: 'body', pattern, mode: 'tlsIds', name, ...(unlike.length === 0 ? {} : { unlike }) };
}

/** Variables that hold what the groups of the pattern found. */
export function groupsOf({ name, pattern }: Check): readonly string[] {
  return Array.from(pattern.matchAll(/\(/g), (_, n) => `${name}${n + 1}`);
}

export function header(name: string, pattern: string): Check {
  return { in: `${name}:`, pattern, mode: 'matches' };
}

export function noHeader(name: string): Check {
  return { in: `${name}:`, pattern: '.+', mode: 'lacks' };
}

/** Keeps a header's value for `[$variable]`. */
export function save(variable: string, name: string, pattern = '.*'): Check {
  return { in: `${name}:`, pattern, mode: 'save', name: variable };
}

/** So that the request can be answered after others have come. */
export function keep(name = 'invite'): readonly Check[] {
  return [
    save(`${name}Via`, 'Via'),
    save(`${name}From`, 'From'),
    save(`${name}To`, 'To'),
    save(`${name}Cseq`, 'CSeq', `[0-9]+ [A-Z]+`),
  ];
}

/** What a response repeats of its request: of the one that `keep(name)` stored, or of the last one. */
export function keptLines(name: string | undefined, toTag = ''): readonly string[] {
  if (name === undefined)
    return ['[last_Via:]', '[last_From:]', `[last_To:]${toTag}`, '[last_Call-ID:]', '[last_CSeq:]'];
  return [
    `Via:[$${name}Via]`,
    `From:[$${name}From]`,
    `To:[$${name}To]${toTag}`,
    '[last_Call-ID:]',
    `CSeq: [$${name}Cseq]`,
  ];
}

/**
 * What an m-line says of its association, the role apart, which is open in a first offer only: where it ends, and who is
 * there. `streamId`: of its first `a=dcmap`.
 */
function association(streamId: number): { readonly where: string; readonly who: string } {
  const anyLine = '([^m]|m[^=])*';
  const who = `a=fingerprint:${anyLine}a=tls-id:[-A-Za-z0-9_+/]+`;
  const last = `..a=dcmap:${streamId} `;
  return {
    where: `(m=application ${anyLine})a=setup:[a-z]+..${who}${last}`,
    who: `(${who})${last}`,
  };
}

/** Keeps what the m-line that begins with this stream says of its association. */
export function remember(name: string, streamId: number): readonly Check[] {
  const { where, who } = association(streamId);
  return [
    { in: 'body', pattern: where, mode: 'save', name: `${name}Where`, part: true },
    { in: 'body', pattern: who, mode: 'save', name: `${name}Who`, part: true },
  ];
}

/** The m-line that begins with this stream says, byte for byte, what `remember` has kept: the association goes on. */
export function sameAssociation(former: string, streamId: number): readonly Check[] {
  const { where, who } = association(streamId);
  return [
    { in: 'body', pattern: where, mode: 'same', former: `${former}Where`, part: true },
    { in: 'body', pattern: who, mode: 'same', former: `${former}Who`, part: true },
  ];
}

/** It says something else: a new association. */
export function newAssociation(former: string, streamId: number): Check {
  return { in: 'body', pattern: association(streamId).who, mode: 'differs', former: `${former}Who`, part: true };
}
