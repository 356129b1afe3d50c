import { type LegName, otherLeg } from '../call/types.ts';
import { hasNone, joinedStreams, keptStreams } from './streams.ts';
import { type LineEnd, type MediaLine, type MediaState, NO_STREAMS } from './types.ts';

/**
 * Rel-19 multiplexing (TS 23.228 Annex AC, R3): one m-line of a UE whose streams have different far ends. The line
 * itself is the first of its parts; each further part is a line of its own, `carriedBy` the first one: no slot and no
 * end on the leg that multiplexes, a slot and an end of its own where it leads to the other peer. The MF ends the
 * association once and routes per stream; towards the far ends there are separate lines.
 */

/** The other parts of the association of `line`. */
export function partsCarriedBy(media: MediaState, line: MediaLine): MediaLine[] {
  return media.lines.filter((part) => part.carriedBy === line.id && part.state !== 'closed');
}

/** Likewise, of those that ride on `leg`. */
function partsOn(media: MediaState, line: MediaLine, leg: LegName): MediaLine[] {
  return media.lines.filter((part) => part.carriedBy === line.id && part.born === leg && part.state !== 'closed');
}

function ridesOn(line: MediaLine, leg: LegName): boolean {
  return line.carriedBy !== '' && line.born === leg;
}

function carrierOf(media: MediaState, line: MediaLine): MediaLine | undefined {
  return media.lines.find((other) => other.id === line.carriedBy);
}

/** Our MF's end of `line` on `leg`: its own, or that of the line that carries it there. */
export function endOf(media: MediaState, line: MediaLine, leg: LegName): LineEnd | null {
  return (ridesOn(line, leg) ? carrierOf(media, line)?.ends[leg] : line.ends[leg]) ?? null;
}

/** The slot on `leg` in which the peer there writes the streams of `line`; -1: none. */
export function slotOf(media: MediaState, line: MediaLine, leg: LegName): number {
  return (ridesOn(line, leg) ? carrierOf(media, line)?.slots[leg] : line.slots[leg]) ?? -1;
}

/** Whether `line` gets a slot of its own on `leg`. */
export function hasOwnSlot(line: MediaLine, leg: LegName): boolean {
  return !ridesOn(line, leg);
}

/** The lines whose streams the m-line of `line` on `leg` holds: itself first. */
export function partsAt(media: MediaState, line: MediaLine, leg: LegName): MediaLine[] {
  return [line, ...partsOn(media, line, leg)];
}

/** Streams of all parts: what the m-line says on the leg that multiplexes. */
export function streamsAt(media: MediaState, line: MediaLine, leg: LegName): MediaLine['streams'] {
  return partsOn(media, line, leg).reduce((all, part) => joinedStreams(all, part.streams), line.streams);
}

/** Nothing is left of it: neither streams of its own nor of a part that it carries. */
export function isEmpty(media: MediaState, line: MediaLine): boolean {
  return hasNone(line.streams) && partsCarriedBy(media, line).every((part) => part.state !== 'open');
}

/** Streams that the peer of `leg` left out, or refused, are over, whichever part they belong to (26.114 6.2.10.2). */
export function keepOffered(media: MediaState, line: MediaLine, leg: LegName, isKept: (streamId: string) => boolean) {
  for (const part of partsAt(media, line, leg)) {
    part.streams = keptStreams(part.streams, isKept);
    if (part !== line && part.state === 'open' && hasNone(part.streams)) part.state = 'closing';
  }
}

/**
 * The first part itself has come to nothing on `leg` (the peer there refused it, say) while others go on, on the other
 * leg: the line stays for them, ending at our MF. False: there are no others.
 */
export function outlivesItsOwnStreams(media: MediaState, line: MediaLine, leg: LegName): boolean {
  const others = partsOn(media, line, otherLeg(leg)).some((part) => part.state === 'open');
  if (!others) return false;
  line.treatment = 'terminate';
  line.streams = NO_STREAMS;
  line.spec = null;
  line.ends[leg] = null;
  line.slots[leg] = -1;
  media.context.dirty = true;
  return true;
}
