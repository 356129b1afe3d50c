import { own } from '../../base/owned.ts';
import { formatFingerprint } from '../../dtls/fingerprint.ts';
import { offererRole, type SetupValue } from '../../dtls/role.ts';
import type { OfferAnswer } from '../../sdp/offer-answer.ts';
import type { Slot } from '../../sdp/slots.ts';
import type { DataChannelMedia } from '../../sdp/types.ts';
import { type LegName, otherLeg } from '../call/types.ts';
import { endsAtDcAs } from './dc-as.ts';
import { endOf, outlivesItsOwnStreams } from './multiplex.ts';
import type { LegSdp, LineEnd, MediaLine, MediaSnapshot, MediaState, Peer, PeerState } from './types.ts';

export function newMediaState(caller: LegName): MediaState {
  return {
    caller,
    nextSerial: 0,
    lines: [],
    slots: { served: [], remote: [] },
    multiplexing: { served: false, remote: false },
    sdp: [],
    context: {
      contextId: '',
      mf: '',
      told: null,
      layout: [],
      pending: null,
      step: 0,
      dirty: false,
      lost: null,
      repairs: { count: 0, lastMs: 0 },
    },
  };
}

/** The SDP state of a fork; a new early dialog starts with what was said to all of them. */
export function forkSdp(media: MediaState, fork: number): Record<LegName, LegSdp> {
  while (media.sdp.length <= fork) {
    const first = media.sdp[0];
    media.sdp.push({ served: copyOfLeg(first?.served), remote: copyOfLeg(first?.remote) });
  }
  return media.sdp[fork]!;
}

/** Of the first fork only its open offer: an answer is a matter of its own dialog. */
function copyOfLeg(leg: LegSdp | undefined): LegSdp {
  if (leg === undefined) return { offerAnswer: { state: 'stable' }, sent: null };
  const { offerAnswer } = leg;
  if (offerAnswer.state !== 'stable') return { offerAnswer, sent: leg.sent };
  if (offerAnswer.agreed === undefined) return { offerAnswer: { state: 'stable' }, sent: null };
  const { agreed } = offerAnswer;
  // Another fork has been answered: this one still has the offer open.
  const open: OfferAnswer =
    agreed.offerer === 'local'
      ? { state: 'offerSent', offer: agreed.local }
      : { state: 'offerReceived', offer: agreed.remote };
  return { offerAnswer: open, sent: agreed.offerer === 'local' ? leg.sent : null };
}

export function snapshot(media: MediaState): MediaSnapshot {
  return copyOf(media);
}

/** Only what changes in place is copied: slots, streams, `spec` and what the MF gave are always replaced. */
function copyOf({ lines, slots }: MediaSnapshot): MediaSnapshot {
  return { lines: lines.map(copyOfLine), slots: { ...slots } };
}

function copyOfLine(line: MediaLine): MediaLine {
  const { served, remote } = line.ends;
  return { ...line, slots: { ...line.slots }, ends: { served: copyOfEnd(served), remote: copyOfEnd(remote) } };
}

function copyOfEnd(end: LineEnd | null): LineEnd | null {
  if (end === null) return null;
  return { ...end, peers: end.peers.map((peer) => (typeof peer === 'object' ? { ...peer } : peer)) };
}

/**
 * Goes back to `to`. What the MF gave for an end that was lost meanwhile stays. True: so the peers must hear of ends that
 * they do not know yet.
 */
export function restore(media: MediaState, to: MediaSnapshot): boolean {
  const { lines } = media;
  Object.assign(media, copyOf(to));
  let isUnheard = false;
  for (const line of media.lines) {
    const now = lines.find((one) => one.id === line.id);
    for (const leg of ['served', 'remote'] as const) {
      const end = line.ends[leg];
      const current = now?.ends[leg];
      if (end === null) continue;
      if (end.renewal === 'lost' && current != null) {
        end.local = current.local;
        end.renewal = current.renewal;
        if (current.renewal === 'none') isUnheard = true;
      } else if (!endsAtDcAs(line) && hasBegunAnew(end, current)) end.renewal = 'wanted';
    }
  }
  media.context.dirty = true;
  return isUnheard;
}

export function lineById(media: MediaState, id: string): MediaLine | undefined {
  return media.lines.find((line) => line.id === id);
}

/** The line that holds `slot` on `leg`. */
export function lineAt(media: MediaState, leg: LegName, slot: number): MediaLine | undefined {
  const held: Slot | undefined = media.slots[leg][slot];
  return held === undefined
    ? undefined
    : media.lines.find((line) => line.id === held.mediaId && line.slots[leg] === slot);
}

/** Index into `LineEnd.peers`. */
export function peerIndex(media: MediaState, leg: LegName, fork: number): number {
  return leg === media.caller ? 0 : fork;
}

export function peerOf(media: MediaState, line: MediaLine, leg: LegName, fork: number): PeerState {
  return endOf(media, line, leg)?.peers[peerIndex(media, leg, fork)] ?? 'unknown';
}

export function setPeer(media: MediaState, end: LineEnd, leg: LegName, fork: number, peer: PeerState): void {
  const at = peerIndex(media, leg, fork);
  while (end.peers.length < at) end.peers.push('unknown');
  end.peers[at] = peer;
  media.context.dirty = true;
}

/** `ice`: what we offer there has ICE lines, until its peer has said whether it does ICE. */
export function newEnd(ice = false): LineEnd {
  return { local: null, setup: 'actpass', peers: [], renewal: 'none', shared: false, ...(ice ? { ice } : {}) };
}

/** A UE shows one certificate on all its lines: its fingerprint is kept once. */
function ownFingerprint(media: MediaState, text: string): string {
  for (const line of media.lines) {
    for (const end of [line.ends.served, line.ends.remote]) {
      for (const peer of end?.peers ?? []) {
        const known =
          typeof peer === 'object' ? peer.fingerprints.find((fingerprint) => fingerprint === text) : undefined;
        if (known !== undefined) return known;
      }
    }
  }
  return own(text);
}

/** The far end as its section says. All strings are owned: they outlive the message. */
export function peerFrom(media: MediaState, read: DataChannelMedia): Peer {
  return {
    address: own(read.address),
    port: read.port,
    sctpPort: read.sctpPort,
    fingerprints: read.fingerprints.map((fingerprint) => ownFingerprint(media, formatFingerprint(fingerprint))),
    tlsId: read.tlsId === undefined ? undefined : own(read.tlsId),
    setup: read.setup,
    maxMessageSizeBytes: read.maxMessageSizeBytes,
    ice: read.ice !== undefined,
    iceLite: read.ice?.lite || undefined,
    // Said later; a member that is added then would take a table of its own.
    localRole: undefined,
    started: false,
  };
}

/** The MF's role after our offer was answered; undefined: the two do not fit, so the line is refused. */
export function roleAfterAnswer(offered: LineEnd['setup'], answered: SetupValue): 'active' | 'passive' | undefined {
  return offererRole(offered, answered);
}

/** The MF has, or is about to have, an association that the peer will not hear of: it needs yet another one. */
function hasBegunAnew(before: LineEnd, now: LineEnd | null | undefined): boolean {
  if (now == null) return false;
  return now.renewal === 'asked' || (now.local !== null && now.local.tlsId !== before.local?.tlsId);
}

/** The line is over for us and the MF. Its slots stay taken until each peer has seen port 0 there (`freeSlots`). */
export function close(media: MediaState, line: MediaLine): void {
  if (line.state === 'closed') return;
  line.state = 'closed';
  line.ends.served = null;
  line.ends.remote = null;
  media.context.dirty = true;
  for (const part of media.lines) if (part.carriedBy === line.id) close(media, part);
}

/** Drops lines whose slots were taken over on every leg. */
export function forgetClosed(media: MediaState): void {
  media.lines = media.lines.filter(
    (line) =>
      line.state !== 'closed' ||
      (['served', 'remote'] as const).some((leg) => media.slots[leg][line.slots[leg]]?.mediaId === line.id),
  );
}

/** Whether a data channel line has to do with the peer of `leg`. */
export function reaches(line: MediaLine, leg: LegName): boolean {
  switch (line.treatment) {
    case 'terminate':
    case 'originate':
      return line.ends[leg] !== null;
    case 'pass':
    case 'relay':
    case 'flow':
      return true;
    case 'refused':
    case 'undecided':
      return line.born === leg;
  }
}

/**
 * Takes every data channel away from the peer of `leg` before it is offered: that peer is known to have none, or has
 * just refused the offer with 488 (R23). What ends at our MF on the other leg stays (AC.7.9).
 */
export function withdrawFrom(media: MediaState, leg: LegName): void {
  const near = otherLeg(leg);
  for (const line of media.lines) {
    if (!line.dataChannel || line.state !== 'open' || !reaches(line, leg)) continue;
    if (line.born === near && line.treatment !== 'originate') {
      if (outlivesItsOwnStreams(media, line, leg)) continue;
      line.treatment = 'refused';
      line.ends.served = null;
      line.ends.remote = null;
    } else if (line.born === leg && line.treatment === 'originate') {
      close(media, line);
    }
  }
  if (media.sdp.every((fork) => fork[leg].offerAnswer.agreed === undefined)) {
    // Nothing is agreed there yet: the next offer is a first one and lays its slots anew.
    media.slots[leg] = [];
    for (const line of media.lines) if (line.born !== leg || line.treatment === 'originate') line.slots[leg] = -1;
  }
  media.context.dirty = true;
}
