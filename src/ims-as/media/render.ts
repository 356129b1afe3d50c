import { leaveBundle, refusedSection } from '../../sdp/edit.ts';
import { mediaSection, parseSessionDescription } from '../../sdp/parse.ts';
import { occupySlot, vacantSlot } from '../../sdp/slots.ts';
import type { MediaSection, SessionDescription } from '../../sdp/types.ts';
import { readdressedSection, reanchoredSection, withIceLite, withUsedByFlipped } from '../../sdp/write-data-channel.ts';
import { type CallConfig, type LegName, otherLeg } from '../call/types.ts';
import { answeredSetup, endFor, newSection, offeredSetup, sizeFor } from './mf-end.ts';
import { lineAt, peerOf } from './state.ts';
import type { MediaLine, MediaState } from './types.ts';

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
  const sections = media.slots[to].map((_, slot) => {
    const line = lineAt(media, to, slot);
    const theirs = line === undefined ? undefined : source.media[line.slots[from]];
    const gap = (): MediaSection => refusedSection(theirs ?? last?.sdp.media[slot] ?? GAP);
    if (line === undefined || line.state !== 'open') return gap();
    const end = line.ends[to];
    switch (line.treatment) {
      case 'pass':
        return theirs ?? gap();
      case 'relay':
        if (theirs === undefined || end?.local == null) return gap();
        ours.push(slot);
        return reanchoredSection(
          theirs,
          endFor(
            media,
            line,
            to,
            fork,
            end,
            offeredSetup(media, line, to, fork, end),
            sizeFor(media, line, to, fork, config),
          ),
          kept(line),
        );
      case 'flow':
        if (theirs === undefined || end?.local == null) return gap();
        ours.push(slot);
        return readdressedSection(theirs, { address: end.local.address, port: end.local.port });
      case 'terminate':
      case 'originate': {
        if (end?.local == null) return gap();
        ours.push(slot);
        const said = last?.sdp.media[slot];
        const dc = endFor(
          media,
          line,
          to,
          fork,
          end,
          offeredSetup(media, line, to, fork, end),
          config.maxMessageSizeBytes,
        );
        if (said === undefined || said.port === 0) return newSection(line, dc, config);
        // 3gpp-bdc-used-by is relative to the offerer, and we were the answerer when we said it last (R8).
        return reanchoredSection(last?.wasAnswer === true ? withUsedByFlipped(said) : said, dc, kept(line));
      }
      default: // refused, undecided
        return gap();
    }
  });
  return leaveBundle({ ...source, media: sections }, ours);
}

/** A slot on `to` for every line that goes there and has none. Bootstrap lines for the peer's own network come first (E3). */
function giveSlots(media: MediaState, to: LegName, source: SessionDescription): void {
  const from = otherLeg(to);
  const first = media.slots[to].length === 0;
  const homeless = media.lines.filter((line) => line.slots[to] < 0 && line.state === 'open' && goesTo(line, to));
  const placeInSource = (line: MediaLine): number => (line.slots[from] >= 0 ? line.slots[from] : source.media.length);
  const rank = (line: MediaLine): number => {
    if (!line.dataChannel) return placeInSource(line);
    const own = line.treatment === 'originate' && '0' in line.streams;
    return own ? firstDataChannel(source, media, from) - 0.5 : placeInSource(line);
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
  switch (line.treatment) {
    case 'pass':
    case 'relay':
    case 'flow':
      return true;
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
    const theirs = source.media[line.slots[from]];
    const end = line.ends[to];
    if (line.treatment === 'pass') return theirs ?? refusedSection(offered);
    if (end?.local == null) return refusedSection(offered);
    if (line.treatment === 'relay' || line.treatment === 'flow') {
      const peer = peerOf(media, line, from, fork);
      if (theirs === undefined || theirs.port === 0 || peer === 'refused') return refusedSection(offered);
    }
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
    if (line.treatment === 'flow') return readdressedSection(theirs!, dc);
    return line.treatment === 'relay'
      ? reanchoredSection(theirs!, dc, kept(line))
      : reanchoredSection(offered, dc, kept(line));
  });
  const answer = leaveBundle({ ...source, media: sections }, ours);
  return ice ? withIceLite(answer, ours) : answer;
}

function kept(line: MediaLine): (streamId: number) => boolean {
  return (streamId) => String(streamId) in line.streams;
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
