import { connectionText, refusedSection } from '../../sdp/edit.ts';
import { mediaSection, parseSessionDescription } from '../../sdp/parse.ts';
import { vacateSlot } from '../../sdp/slots.ts';
import type { MediaSection, SessionDescription } from '../../sdp/types.ts';
import type { LegName } from '../call/types.ts';
import { forkSdp, lineAt, peerIndex, peerOf } from './state.ts';
import type { LineEnd, MediaLine, MediaState } from './types.ts';

const LEGS = ['served', 'remote'] as const;

/**
 * The MF lost the context (R25): each end of `lines` is to be given anew. What the peers said was about associations
 * that are gone, so it is forgotten, and each will begin exactly one new association (R12). Datagram flows stay: their
 * DTLS is between the UEs and only takes another way (R10). `local` stays readable until the new one is there, because
 * an SDP that must go out meanwhile repeats it.
 */
export function markLost(media: MediaState, lines: readonly MediaLine[], fork: number): void {
  for (const line of lines) {
    if (line.state === 'closed') continue;
    for (const leg of LEGS) {
      const end = line.ends[leg];
      if (end === null) continue;
      end.renewal = 'lost';
      end.firstFork = peerIndex(media, leg, fork);
      if (line.treatment !== 'flow') forgetPeers(end);
    }
  }
}

/** What the peers of re-anchored lines have said was to ends that are gone. */
export function forgetPeersOf(media: MediaState): void {
  for (const line of media.lines) {
    if (line.state !== 'open' || line.treatment === 'flow') continue;
    for (const leg of LEGS) if (line.ends[leg] !== null) forgetPeers(line.ends[leg]);
  }
  media.context.dirty = true;
}

function forgetPeers(end: LineEnd): void {
  if (end.peers.some((peer) => typeof peer === 'object' && peer.ice)) end.ice = true;
  end.peers = end.peers.map((peer) => (peer === 'refused' ? peer : 'unknown'));
}

/**
 * Nobody takes the lines over: port 0 on every leg, and the voice goes on (rule 1). `which` of them; default all. Returns
 * whether there were any.
 */
export function giveUpLost(media: MediaState, which: (line: MediaLine) => boolean = () => true): boolean {
  const lost = media.lines.filter(
    (line) => line.state !== 'closed' && (line.ends.served !== null || line.ends.remote !== null) && which(line),
  );
  for (const line of lost) {
    line.ends.served = null;
    line.ends.remote = null;
    line.state = 'closing';
    line.closedBy = 'mf';
  }
  return lost.length > 0;
}

/** Our end of a live line towards `leg` whose peer has not answered it yet, as after a loss. */
export function awaitsPeer(media: MediaState, line: MediaLine, leg: LegName, fork: number): boolean {
  const end = line.ends[leg];
  return (
    end?.local != null &&
    line.state === 'open' &&
    line.slots[leg] >= 0 &&
    (line.treatment === 'terminate' || line.treatment === 'originate' || line.treatment === 'relay') &&
    peerOf(media, line, leg, fork) === 'unknown'
  );
}

/** Whether what the peer of `leg` has agreed to is where our end of `line` is. */
export function knowsOurEnd(media: MediaState, line: MediaLine, leg: LegName, fork: number): boolean {
  const agreed = media.sdp[fork]?.[leg].offerAnswer.agreed;
  const local = line.ends[leg]?.local;
  if (agreed === undefined || local == null) return false;
  const said = parseSessionDescription(agreed.local).media[line.slots[leg]];
  return said?.port === local.port && said.lines.includes(`c=${connectionText(local.address)}`);
}

/** An association that several lines share is renewed in place: what it carries is told by several peers (R3). */
function mayWithdraw(media: MediaState, line: MediaLine, leg: LegName, fork: number): boolean {
  return line.ends[leg]?.shared !== true && awaitsPeer(media, line, leg, fork);
}

/**
 * What the peer of `leg` says of a line; while it is taken out there, to come back as a new one, or has yet to be offered
 * (R18), what it said before.
 */
export function lastSaid(line: MediaLine, leg: LegName, description: SessionDescription): MediaSection | undefined {
  const end = line.treatment === 'relay' ? line.ends[leg] : null;
  const before = end?.again ?? end?.offered;
  const said = description.media[line.slots[leg]];
  return before !== undefined && (said?.port ?? 0) === 0 ? mediaSection(before) : said;
}

/**
 * A peer may put another line where ours is taken out for a moment (RFC 3264 8): ours comes back in another place. Called
 * before an offer of that peer is read.
 */
export function cedeWithdrawnSlots(media: MediaState, leg: LegName, fork: number, offer: SessionDescription): void {
  const agreed = forkSdp(media, fork)[leg].offerAnswer.agreed;
  const withdrawn = media.lines.filter((line) => line.ends[leg]?.again !== undefined && line.slots[leg] >= 0);
  if (agreed === undefined || withdrawn.length === 0) return;
  const told = parseSessionDescription(agreed.local);
  for (const line of withdrawn) {
    const slot = line.slots[leg];
    if (told.media[slot]?.port !== 0 || (offer.media[slot]?.port ?? 0) === 0) continue;
    media.slots[leg] = vacateSlot(media.slots[leg], slot);
    line.slots[leg] = -1;
  }
}

/**
 * `offer` with port 0 in the lines that were re-anchored, for peers that take a new association only on a new line. What
 * a line said is kept for the offer that follows. Undefined: there is no such line.
 */
export function withdrawReanchored(
  media: MediaState,
  leg: LegName,
  fork: number,
  offer: SessionDescription,
): SessionDescription | undefined {
  const agreed = forkSdp(media, fork)[leg].offerAnswer.agreed;
  const theirs = agreed === undefined ? undefined : parseSessionDescription(agreed.remote);
  let any = false;
  const sections = offer.media.map((section, slot) => {
    const line = lineAt(media, leg, slot);
    if (line === undefined || section.port === 0 || !mayWithdraw(media, line, leg, fork)) return section;
    any = true;
    // A relayed line is described by its peers, the others by us.
    const kept = line.treatment === 'relay' ? theirs?.media[slot] : section;
    line.ends[leg]!.again ??= (kept ?? section).lines;
    return refusedSection(section);
  });
  return any ? { ...offer, media: sections } : undefined;
}
