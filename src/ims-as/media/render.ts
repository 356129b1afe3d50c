import { leaveBundle, refusedSection } from '../../sdp/edit.ts';
import { mediaSection, parseSessionDescription } from '../../sdp/parse.ts';
import { withoutUnoffered, withoutUnusable } from '../../sdp/passing-channels.ts';
import { occupySlot, vacantSlot } from '../../sdp/slots.ts';
import type { MediaSection, SessionDescription } from '../../sdp/types.ts';
import {
  partOfSection,
  readdressedSection,
  reanchoredSection,
  withIceLite,
  withStreams,
  withUsedByFlipped,
} from '../../sdp/write-data-channel.ts';
import { type CallConfig, type LegName, otherLeg } from '../call/types.ts';
import { lastSaid } from './lost.ts';
import { answeredSetup, endFor, newSection, offeredSetup, sizeFor } from './mf-end.ts';
import { endOf, hasOwnSlot, partsAt, slotOf } from './multiplex.ts';
import { lineAt, peerOf } from './state.ts';
import { hasNone } from './streams.ts';
import type { LineEnd, MediaLine, MediaState } from './types.ts';

/** Our own lines begin with this; a gap whose first words are lost is written so. */
const GAP = mediaSection(['m=application 0 UDP/DTLS/SCTP webrtc-datachannel']);

/**
 * The offer to the peer of `to`: what the other peer's description `source` says, and in the data channel lines what
 * was decided about them (R1; E2 and E3 of ue-side.md 12). New lines get their slot here, for good.
 */
export function renderOffer(
  media: MediaState,
  to: LegName,
  fork: number,
  source: SessionDescription,
  config: CallConfig,
): SessionDescription {
  const from = otherLeg(to);
  giveSlots(media, to, source);
  const last = lastAgreed(media, to, fork);
  const ours: number[] = [];
  let ice = false;
  /** A line that ends at our MF there, with the streams of all parts that go on. */
  const ownSection = (line: MediaLine, slot: number, end: LineEnd | null): MediaSection | undefined => {
    if (end?.local == null) return undefined;
    const parts = partsAt(media, line, to).filter((part) => part.state === 'open');
    const said = end.again === undefined ? theirWords(end, last?.sdp.media[slot]) : mediaSection(end.again);
    const size = sizeOf(media, parts, to, fork, config);
    const dc = endFor(media, line, to, fork, end, offeredSetup(media, line, to, fork, end), size);
    ours.push(slot);
    if (dc.ice !== undefined) ice = true;
    if (said === undefined || said.port === 0) return newSection(line, dc, config);
    // 3gpp-bdc-used-by is relative to the offerer, and we were the answerer when we said it last (R8).
    const flips = end.again === undefined && (end.offered !== undefined || last?.wasAnswer === true);
    return reanchoredSection(flips ? withUsedByFlipped(said) : said, dc, kept(parts));
  };
  const relayed = (line: MediaLine, slot: number, end: LineEnd, theirs: MediaSection): MediaSection => {
    const size = sizeFor(media, line, to, fork, config);
    const dc = endFor(media, line, to, fork, end, offeredSetup(media, line, to, fork, end), size);
    ours.push(slot);
    if (dc.ice !== undefined) ice = true;
    return reanchoredSection(withStreams(theirs, kept([line])), dc);
  };
  const sections = media.slots[to].map((_, slot) => {
    const line = lineAt(media, to, slot);
    const theirs = line === undefined ? undefined : sectionOf(media, line, from, source);
    const gap = (): MediaSection => refusedSection(theirs ?? last?.sdp.media[slot] ?? GAP);
    if (line === undefined || line.state !== 'open') return gap();
    const end = line.ends[to];
    switch (line.treatment) {
      case 'pass':
        return theirs === undefined ? gap() : withoutWithheld(line, theirs);
      case 'relay':
        if (end?.shared === true) return ownSection(line, slot, end) ?? gap();
        if (theirs === undefined || end?.local == null) return gap();
        return relayed(line, slot, end, theirs);
      case 'flow':
        if (theirs === undefined || end?.local == null) return gap();
        ours.push(slot);
        return readdressedSection(withStreams(theirs, kept([line])), end.local);
      case 'terminate':
      case 'originate':
        return ownSection(line, slot, end) ?? gap();
      default: // refused, undecided
        return gap();
    }
  });
  const offer = leaveBundle({ ...source, media: sections }, ours);
  return ice ? withIceLite(offer, ours) : offer;
}

/**
 * A slot on `to` for every line that goes there and has none. Bootstrap lines for the peer's own network come first (E3),
 * but none before the voice, which TS 26.114 6.2.10.1 forbids up to Rel-19 (ue-side.md 2.1); we read any order.
 */
function giveSlots(media: MediaState, to: LegName, source: SessionDescription): void {
  const from = otherLeg(to);
  const first = media.slots[to].length === 0;
  const homeless = media.lines.filter((line) => line.slots[to] < 0 && line.state === 'open' && goesTo(line, to));
  const placeInSource = (line: MediaLine): number => {
    const place = slotOf(media, line, from);
    return place >= 0 ? place : source.media.length;
  };
  const voice = source.media.findIndex((section) => section.media === 'audio');
  const behindVoice = (place: number): number => (place > voice ? place : voice + (place + 1) / (voice + 2));
  const rank = (line: MediaLine): number => {
    if (!line.dataChannel) return placeInSource(line);
    const own = line.treatment === 'originate' && '0' in line.streams;
    return behindVoice(own ? firstDataChannel(source, media, from) - 0.5 : placeInSource(line));
  };
  for (const line of homeless.toSorted((a, b) => rank(a) - rank(b))) {
    const slot = first ? media.slots[to].length : vacantSlot(media.slots[to]);
    for (const old of media.lines) if (old.slots[to] === slot) old.slots[to] = -1;
    media.slots[to] = occupySlot(media.slots[to], slot, line.id);
    line.slots[to] = slot;
  }
}

function firstDataChannel(source: SessionDescription, media: MediaState, from: LegName): number {
  const slots = media.lines.filter((line) => line.dataChannel && line.slots[from] >= 0).map((line) => line.slots[from]);
  return slots.length === 0 ? source.media.length : Math.min(...slots);
}

function goesTo(line: MediaLine, to: LegName): boolean {
  if (line.ends[to]?.again !== undefined) return true;
  switch (line.treatment) {
    case 'pass':
    case 'relay':
    case 'flow':
      return hasOwnSlot(line, to);
    case 'originate':
      return line.born === to;
    default:
      return false;
  }
}

/**
 * The answer to the peer of `to`, section by section as it offered; `source` is the other peer's answer, absent when
 * we answer alone (R19).
 */
export function renderAnswer(
  media: MediaState,
  to: LegName,
  fork: number,
  offer: SessionDescription,
  source: SessionDescription,
  config: CallConfig,
): SessionDescription {
  const from = otherLeg(to);
  const ours: number[] = [];
  let ice = false;
  const sections = offer.media.map((offered, slot) => {
    const line = lineAt(media, to, slot);
    if (line === undefined || (line.dataChannel && (line.state !== 'open' || offered.port === 0)))
      return refusedSection(offered);
    const theirs = lastSaid(line, from, source);
    const end = line.ends[to];
    if (end?.shared === true) {
      const parts = partsAt(media, line, to).filter((part) => isAnswered(media, part, from, fork, source));
      if (end.local === null || parts.every((part) => hasNone(part.streams))) return refusedSection(offered);
      ours.push(slot);
      const role = answeredSetup(media, line, to, fork, end, config);
      const dc = endFor(media, line, to, fork, end, role, sizeOf(media, parts, to, fork, config));
      if (dc.ice !== undefined) ice = true;
      return reanchoredSection(offered, dc, kept(parts));
    }
    if (line.treatment === 'pass')
      return (
        answeredPast(line, theirs, offered, (id) => !line.withheld.includes(String(id))) ?? refusedSection(offered)
      );
    if (end?.local == null) return refusedSection(offered);
    if (line.treatment === 'relay' || line.treatment === 'flow') {
      const peer = peerOf(media, line, from, fork);
      if (theirs === undefined || theirs.port === 0 || peer === 'refused') return refusedSection(offered);
    }
    const forwarded = line.treatment === 'flow' ? answeredPast(line, theirs, offered, kept([line])) : undefined;
    if (line.treatment === 'flow' && forwarded === undefined) return refusedSection(offered);
    ours.push(slot);
    const role = answeredSetup(media, line, to, fork, end, config);
    const dc = endFor(
      media,
      line,
      to,
      fork,
      end,
      role,
      line.treatment === 'relay' ? sizeFor(media, line, to, fork, config) : config.maxMessageSizeBytes,
    );
    if (dc.ice !== undefined) ice = true;
    if (forwarded !== undefined) return readdressedSection(forwarded, dc);
    return line.treatment === 'relay'
      ? reanchoredSection(theirs!, dc, kept([line]))
      : reanchoredSection(offered, dc, kept([line]));
  });
  const answer = leaveBundle({ ...source, media: sections }, ours);
  return ice ? withIceLite(answer, ours) : answer;
}

/** What the peer of `from` says of the streams of `line`: its section, or its part of a multiplexed one. */
function sectionOf(
  media: MediaState,
  line: MediaLine,
  from: LegName,
  source: SessionDescription,
): MediaSection | undefined {
  const section = lastSaid(line, from, source) ?? source.media[slotOf(media, line, from)];
  const isMultiplexed = line.treatment === 'relay' && endOf(media, line, from)?.shared === true;
  return section !== undefined && isMultiplexed
    ? partOfSection(section, Object.keys(line.streams).map(Number))
    : section;
}

/** The far end of a part has taken it: our MF itself, or the other peer. */
function isAnswered(
  media: MediaState,
  part: MediaLine,
  far: LegName,
  fork: number,
  source: SessionDescription,
): boolean {
  if (part.state !== 'open') return false;
  if (part.treatment !== 'relay') return part.treatment === 'terminate' || part.treatment === 'originate';
  return (lastSaid(part, far, source)?.port ?? 0) !== 0 && peerOf(media, part, far, fork) !== 'refused';
}

/** A line that its peer offered and we could not answer at once (R18): bindings and hints are that peer's to name. */
function theirWords(end: LineEnd, ours: MediaSection | undefined): MediaSection | undefined {
  return end.offered === undefined ? ours : mediaSection(end.offered);
}

/** R11 for all parts of a line that are relayed. */
function sizeOf(media: MediaState, parts: readonly MediaLine[], to: LegName, fork: number, config: CallConfig): number {
  const relayed = parts.filter((part) => part.treatment === 'relay');
  return Math.min(config.maxMessageSizeBytes, ...relayed.map((part) => sizeFor(media, part, to, fork, config)));
}

/** A line that passes travels as it is, but for channels that it cannot have or that the DCSF did not let on to it. */
function withoutWithheld(line: MediaLine, section: MediaSection): MediaSection {
  if (!line.dataChannel || section.port === 0) return section;
  const usable = withoutUnusable(section);
  return line.withheld.length === 0 ? usable : withStreams(usable, (id) => !line.withheld.includes(String(id)));
}

/** The answer to a line whose DTLS ends at the peers; undefined: it is refused. */
function answeredPast(
  line: MediaLine,
  theirs: MediaSection | undefined,
  offered: MediaSection,
  keep: (streamId: number) => boolean,
): MediaSection | undefined {
  if (theirs === undefined || !line.dataChannel || theirs.port === 0) return theirs;
  return withoutUnoffered(theirs, offered, keep);
}

function kept(parts: readonly MediaLine[]): (streamId: number) => boolean {
  return (streamId) => parts.some((part) => String(streamId) in part.streams);
}

/** What we said in the last agreed exchange; a refused offer counts for nothing. */
function lastAgreed(
  media: MediaState,
  leg: LegName,
  fork: number,
): { sdp: SessionDescription; wasAnswer: boolean } | undefined {
  const agreed = media.sdp[fork]?.[leg].offerAnswer.agreed;
  if (agreed === undefined) return undefined;
  return { sdp: parseSessionDescription(agreed.local), wasAnswer: agreed.offerer === 'remote' };
}
