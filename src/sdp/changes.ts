import { isDataChannelSection } from './data-channel.ts';
import { attributeText, isAttribute, isField } from './lines.ts';
import type { MediaSection, SdpLines, SessionDescription } from './types.ts';
import { withUsedByFlipped } from './write-data-channel.ts';

export { countProblem, matchAnswer } from './answer.ts';

export type SlotChange = 'unchanged' | 'dataChannel' | 'other';

/** What one side said last and what the other side said to it: the two halves of the last agreed exchange. */
export interface LastExchange {
  /** The last description of the side whose new one is compared. */
  readonly own: SessionDescription;
  /** The other side's description in the same exchange. */
  readonly other: SessionDescription;
  /** Whether `own` was the answer: `3gpp-bdc-used-by` in it is then relative to the other side (R8). */
  readonly ownWasAnswer?: boolean;
}

/**
 * What `next` changes, slot by slot, against the last exchange. Compared are meanings, where bytes mislead:
 * `a=setup` is repeated as `actpass` or as the current role at will; a line that is dead on one side is dead; streams
 * that the other side did not accept are dead (TS 26.114 6.2.10.3), offered again or not.
 */
export function changedSlots(last: LastExchange | undefined, next: SessionDescription): SlotChange[] {
  const sameSession = last !== undefined && equalLines(withoutOrigin(last.own.session), withoutOrigin(next.session));
  return Array.from({ length: Math.max(next.media.length, last?.own.media.length ?? 0) }, (_, slot) => {
    const section = next.media[slot];
    const own = last?.own.media[slot];
    const wasLive = own !== undefined && own.port !== 0 && (last?.other.media[slot]?.port ?? 0) !== 0;
    const isLive = section !== undefined && section.port !== 0;
    if (!wasLive && !isLive) return 'unchanged';
    if (last && own && wasLive && section && isLive) {
      const repeated = sameSession && !last.ownWasAnswer && equalLines(own.lines, section.lines);
      if (repeated || sameSection(last, own, next, section, slot)) return 'unchanged';
    }
    const isOurs = (isLive && isDataChannelSection(section)) || (wasLive && isDataChannelSection(own));
    return isOurs ? 'dataChannel' : 'other';
  });
}

function sameSection(
  last: LastExchange,
  own: MediaSection,
  next: SessionDescription,
  section: MediaSection,
  slot: number,
): boolean {
  if (!isDataChannelSection(section)) {
    const inherited = [...ICE, ...DIRECTIONS, 'fingerprint', 'setup'];
    return sameLines(
      withInherited(last.own.session, own.lines, inherited),
      withInherited(next.session, section.lines, inherited),
    );
  }
  const refused = refusedStreams(own, last.other.media[slot]);
  const before = last.ownWasAnswer ? withUsedByFlipped(own) : own;
  const inherited = [...ICE, 'fingerprint'];
  return sameLines(
    withoutMoot(withInherited(last.own.session, before.lines, inherited), refused),
    withoutMoot(withInherited(next.session, section.lines, inherited), refused),
  );
}

const ICE = ['ice-ufrag', 'ice-pwd'];
const DIRECTIONS = ['sendrecv', 'sendonly', 'recvonly', 'inactive'];

/** `lines` and those session lines that stand in for missing ones: c= and the attributes `names`. */
function withInherited(session: SdpLines, lines: SdpLines, names: readonly string[]): SdpLines {
  const hasDirection = lines.some((line) => DIRECTIONS.some((name) => isAttribute(line, name)));
  const inherited = session.filter((line) => {
    if (isField(line, 'c')) return !lines.some((l) => isField(l, 'c'));
    const name = names.find((n) => isAttribute(line, n));
    if (name === undefined) return false;
    return DIRECTIONS.includes(name) ? !hasDirection : !lines.some((l) => isAttribute(l, name));
  });
  return inherited.length === 0 ? lines : [...lines, ...inherited];
}

/** Without what changes nothing on a data channel line: setup (R12 judges roles), hold, streams that are dead. */
function withoutMoot(lines: SdpLines, refused: ReadonlySet<number>): SdpLines {
  return lines.filter((line) => {
    if (isAttribute(line, 'setup') || DIRECTIONS.some((name) => isAttribute(line, name))) return false;
    if (refused.size === 0 || !(isAttribute(line, 'dcmap') || isAttribute(line, 'dcsa'))) return true;
    return !refused.has(Number.parseInt(attributeText(line), 10));
  });
}

function refusedStreams(own: MediaSection, other: MediaSection | undefined): ReadonlySet<number> {
  const accepted = new Set(streamIds(other));
  return new Set(streamIds(own).filter((id) => !accepted.has(id)));
}

function streamIds(section: MediaSection | undefined): number[] {
  const dcmaps = section?.lines.filter((line) => isAttribute(line, 'dcmap')) ?? [];
  return dcmaps.map((line) => Number.parseInt(attributeText(line), 10));
}

/** Equal but for the order of lines, which some stacks do not keep. */
function sameLines(a: SdpLines, b: SdpLines): boolean {
  if (a.length !== b.length) return false;
  if (equalLines(a, b)) return true;
  const sorted = b.toSorted();
  return a.toSorted().every((line, i) => line === sorted[i]);
}

function equalLines(a: SdpLines, b: SdpLines): boolean {
  return a.length === b.length && a.every((line, i) => line === b[i]);
}

function withoutOrigin(session: SdpLines): SdpLines {
  return session.filter((line) => !isField(line, 'o'));
}
