import { countProblem, matchAnswer } from '../../sdp/changes.ts';
import { isRejection, readDataChannelMedia } from '../../sdp/data-channel.ts';
import { parseSessionDescription } from '../../sdp/parse.ts';
import { fromDcStreams } from '../../sdp/service-mapping.ts';
import { vacateRefused } from '../../sdp/slots.ts';
import type { SessionDescription } from '../../sdp/types.ts';
import { type CallConfig, type LegName, otherLeg } from '../call/types.ts';
import { keepOffered, outlivesItsOwnStreams, streamsAt } from './multiplex.ts';
import { close, forgetClosed, forkSdp, lineAt, peerFrom, peerOf, roleAfterAnswer, setPeer } from './state.ts';
import type { MediaLine, MediaState } from './types.ts';

/**
 * Takes the answer of the peer on `leg` into the media state: the far ends of our lines, and what it refused. A missing
 * m-line counts as port 0 (ue-side.md 8.4). Returns notes for the log.
 */
export function takeAnswer(
  media: MediaState,
  leg: LegName,
  fork: number,
  offer: SessionDescription,
  answer: SessionDescription,
  config: CallConfig,
): string[] {
  const notes: string[] = [];
  const problem = countProblem(offer, answer);
  if (problem !== undefined) notes.push(`${leg}: ${problem}`);
  for (const [slot, offered] of offer.media.entries()) {
    const line = lineAt(media, leg, slot);
    const end = line?.ends[leg];
    if (line === undefined || end == null || offered.port === 0 || line.state !== 'open') continue;
    const read = readDataChannelMedia(answer, slot, { as: 'answer', acceptSha1: config.acceptSha1 });
    if (isRejection(read)) {
      setPeer(media, end, leg, fork, 'refused');
      notes.push(`${leg} ${line.id}: ${read.detail}`);
      continue;
    }
    const tlsId = line.treatment === 'flow' ? read.tlsId : end.local?.tlsId;
    const matched = matchAnswer({ streams: fromDcStreams(streamsAt(media, line, leg)), tlsId }, read);
    for (const note of matched.notes) notes.push(`${leg} ${line.id}: ${note}`);
    const known = peerOf(media, line, leg, fork);
    const offeredSetup = typeof known === 'object' && known.localRole !== undefined ? known.localRole : end.setup;
    const role = line.treatment === 'flow' ? 'active' : roleAfterAnswer(offeredSetup, matched.setup);
    if (matched.streams.length === 0 || role === undefined) {
      setPeer(media, end, leg, fork, 'refused');
      if (role === undefined) notes.push(`${leg} ${line.id}: a=setup:${matched.setup} does not answer ${offeredSetup}`);
      continue;
    }
    const peer = peerFrom(media, matched);
    peer.localRole = role;
    setPeer(media, end, leg, fork, peer);
    delete end.again;
    delete end.offered;
    if (leg === media.caller || media.sdp.length === 1) {
      const accepted = new Set(matched.streams.map((stream) => String(stream.streamId)));
      keepOffered(media, line, leg, (id) => accepted.has(id));
    }
  }
  return notes;
}

/** The SDP that lets associations start is on its way to both peers (R5): the MF may know their addresses. */
export function startAssociations(media: MediaState, fork: number): void {
  for (const line of media.lines) {
    if (line.state !== 'open') continue;
    for (const leg of ['served', 'remote'] as const) {
      const peer = peerOf(media, line, leg, fork);
      if (typeof peer === 'object' && !peer.started && peer.localRole !== undefined) {
        peer.started = true;
        media.context.dirty = true;
      }
    }
  }
}

/**
 * An offer/answer is final for the session: `fork` is the only one left, what either side has at port 0 is closed and
 * its slot free, and only then does the MF let go of it. A leg that waits for an offer of ours is judged by the answer
 * to that one. Returns the ids of data channel lines that ended.
 */
export function settle(media: MediaState, fork: number, waiting: readonly LegName[]): string[] {
  const ended: string[] = [];
  const callee = otherLeg(media.caller);
  const slotsOf = (leg: LegName) => (waiting.includes(leg) ? undefined : freeSlots(media, leg, fork));
  const live = { served: slotsOf('served'), remote: slotsOf('remote') };
  for (const line of media.lines) {
    const end = line.ends[callee];
    if (end !== null) end.peers = end.peers.map((peer, i) => (i === fork ? peer : 'refused'));
    if (line.state === 'closed') continue;
    const deadOn = LEGS.filter((leg) => isDead(media, line, leg, fork, live[leg]));
    const dead = deadOn.length > 0 && !(deadOn.length === 1 && outlivesItsOwnStreams(media, line, deadOn[0]!));
    if (line.state === 'closing' || line.treatment === 'refused' || dead) {
      if (line.dataChannel && line.treatment !== 'refused') ended.push(line.id);
      close(media, line);
    }
  }
  forgetClosed(media);
  media.context.dirty = true;
  return ended;
}

const LEGS = ['served', 'remote'] as const;

/** Refused by the peer of `leg`, or at port 0 in what was agreed there. */
function isDead(
  media: MediaState,
  line: MediaLine,
  leg: LegName,
  fork: number,
  live: readonly boolean[] | undefined,
): boolean {
  if (line.ends[leg] !== null && peerOf(media, line, leg, fork) === 'refused') return true;
  const slot = line.slots[leg];
  return slot >= 0 && live !== undefined && live[slot] !== true;
}

/**
 * Frees the slots of `leg` that either side has at port 0 in what was agreed there: only now may other media take them
 * (RFC 3264 8). Returns by slot whether it is live; undefined before anything is agreed.
 */
function freeSlots(media: MediaState, leg: LegName, fork: number): boolean[] | undefined {
  const { agreed } = forkSdp(media, fork)[leg].offerAnswer;
  if (agreed === undefined) return undefined;
  const local = parseSessionDescription(agreed.local);
  const remote = parseSessionDescription(agreed.remote);
  media.slots[leg] = vacateRefused(media.slots[leg], local, remote);
  return media.slots[leg].map((slot) => slot.live);
}
