import { own } from '../../base/owned.ts';
import { parseFingerprint } from '../../dtls/fingerprint.ts';
import { offerSetup } from '../../dtls/role.ts';
import { changedSlots } from '../../sdp/changes.ts';
import { REMOTE_BOOTSTRAP_STREAM_IDS } from '../../sdp/data-channel.ts';
import { leaveBundle, refusedSection, setAttribute } from '../../sdp/edit.ts';
import { attribute, fieldText } from '../../sdp/lines.ts';
import { type Origin, type SentDescription, stampOrigin } from '../../sdp/origin.ts';
import { mediaSection, parseSessionDescription } from '../../sdp/parse.ts';
import { fromDcStreams } from '../../sdp/service-mapping.ts';
import { occupySlot, vacantSlot } from '../../sdp/slots.ts';
import type { MediaSection, SessionDescription } from '../../sdp/types.ts';
import {
  type DataChannelEnd,
  dataChannelSection,
  readdressedSection,
  reanchoredSection,
  withIceLite,
  withUsedByFlipped,
} from '../../sdp/write-data-channel.ts';
import { type CallConfig, type LegName, otherLeg } from '../call/types.ts';
import { lineAt, peerOf } from './state.ts';
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

/**
 * The far peer's last description, to be repeated as an answer (R19). Where it was an offer, a channel that passes
 * between the peers says there what an answer must not: `actpass`, and `3gpp-bdc-used-by` from the other point of view.
 */
export function asAnswer(
  media: MediaState,
  to: LegName,
  fork: number,
  offer: SessionDescription,
  far: SessionDescription,
): SessionDescription {
  const before = media.sdp[fork]?.[to].offerAnswer.agreed?.remote;
  const said = before === undefined ? undefined : parseSessionDescription(before);
  const from = otherLeg(to);
  const sections = far.media.map((section, slot) => {
    const line = lineAt(media, from, slot);
    if (
      line === undefined ||
      !line.dataChannel ||
      (line.treatment !== 'pass' && line.treatment !== 'flow') ||
      section.port === 0
    )
      return section;
    const offered = offer.media[line.slots[to]]?.lines ?? [];
    const ours = attribute(offered, 'setup') ?? 'active';
    const theirs =
      ours === 'active' || ours === 'passive'
        ? ours
        : (attribute(said?.media[line.slots[to]]?.lines ?? [], 'setup') ?? 'active');
    const usedBy = attribute(offered, '3gpp-bdc-used-by');
    const lines = setAttribute(section.lines, 'setup', theirs === 'passive' ? 'active' : 'passive');
    return { ...section, lines: usedBy === undefined ? lines : setAttribute(lines, '3gpp-bdc-used-by', usedBy) };
  });
  return { ...far, media: sections };
}

function kept(line: MediaLine): (streamId: number) => boolean {
  return (streamId) => String(streamId) in line.streams;
}

/** The role our MF keeps, or the choice of the answerer (R19). */
function offeredSetup(
  media: MediaState,
  line: MediaLine,
  to: LegName,
  fork: number,
  end: LineEnd,
): DataChannelEnd['setup'] {
  const peer = peerOf(media, line, to, fork);
  return typeof peer === 'object' && peer.localRole !== undefined ? offerSetup(peer.localRole) : end.setup;
}

function answeredSetup(
  media: MediaState,
  line: MediaLine,
  to: LegName,
  fork: number,
  end: LineEnd,
  config: CallConfig,
): 'active' | 'passive' {
  const peer = peerOf(media, line, to, fork);
  if (typeof peer === 'object' && peer.localRole !== undefined) return peer.localRole;
  return end.setup === 'actpass' ? config.setupWithoutIce : end.setup;
}

/** R11: on a relay neither leg advertises more than the other can take. */
function sizeFor(media: MediaState, line: MediaLine, to: LegName, fork: number, config: CallConfig): number {
  const far = peerOf(media, line, otherLeg(to), fork);
  const limit = line.ends[to]?.local?.maxMessageSizeBytes ?? config.maxMessageSizeBytes;
  const ours = Math.min(limit, config.maxMessageSizeBytes);
  if (typeof far !== 'object' || far.maxMessageSizeBytes === 0) return ours;
  return Math.min(ours, far.maxMessageSizeBytes);
}

function endFor(
  media: MediaState,
  line: MediaLine,
  leg: LegName,
  fork: number,
  end: LineEnd,
  setup: DataChannelEnd['setup'],
  maxMessageSizeBytes: number,
): DataChannelEnd {
  const local = end.local!;
  const peer = peerOf(media, line, leg, fork);
  const fingerprint = parseFingerprint(local.fingerprints[0] ?? '', { acceptSha1: true });
  const known = typeof peer === 'object' ? peer : undefined;
  // RFC 8842 5.3: an offer without a tls-id gets an answer without one.
  const tlsId = known !== undefined && known.tlsId === undefined ? undefined : local.tlsId;
  return {
    address: local.address,
    port: local.port,
    sctpPort: local.sctpPort,
    maxMessageSizeBytes: Math.min(maxMessageSizeBytes, local.maxMessageSizeBytes),
    setup,
    fingerprint: typeof fingerprint === 'string' ? { algorithm: 'SHA-256', value: '' } : fingerprint,
    ...(tlsId === undefined ? {} : { tlsId }),
    ...(known?.ice === true && local.iceUfrag !== undefined && local.icePwd !== undefined
      ? { ice: { ufrag: local.iceUfrag, pwd: local.icePwd } }
      : {}),
  };
}

/** A line born at the DCSF (E2 line 3, E3 line 2). 100 and 110 are for the peer, who is the receiver of our offer. */
function newSection(line: MediaLine, end: DataChannelEnd, config: CallConfig): MediaSection {
  const streams = fromDcStreams(line.streams);
  const bootstrap = streams.every((stream) => stream.streamId < 1000);
  return dataChannelSection(end, {
    streams,
    ...(bootstrap ? { bandwidthKbps: config.bootstrapBandwidthKbps } : {}),
    ...(streams.some((stream) => REMOTE_BOOTSTRAP_STREAM_IDS.has(stream.streamId))
      ? { bootstrapUsedBy: 'receiver' as const }
      : {}),
  });
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

/**
 * Puts our o= on `sdp` and remembers it (R7). On the first SDP of a leg the other peer's o= is taken over, so that a
 * call that had no data channel before goes on with the numbers the peer knows.
 */
export function stamp(
  media: MediaState,
  leg: LegName,
  fork: number,
  sdp: SessionDescription,
  randomId: () => string,
): SentDescription {
  const state = media.sdp[fork]![leg];
  const stamped = stampOrigin(sdp, state.sent ?? originOf(sdp, randomId));
  const sent = stamped === state.sent ? stamped : { text: own(stamped.text), origin: stamped.origin };
  state.sent = sent;
  return sent;
}

function originOf(sdp: SessionDescription, randomId: () => string): Origin {
  const [username = '-', sessionId = '', version = '', , , address = ''] =
    fieldText(sdp.session, 'o')?.split(/ +/) ?? [];
  const number = Number(version);
  if (address !== '' && Number.isSafeInteger(number)) {
    return { username: own(username), sessionId: own(sessionId), version: number, address: own(address) };
  }
  // Versions beyond 2^53 cannot be counted on; nobody has seen our numbers yet, so they may be new ones.
  return {
    username: '-',
    sessionId: String(Number.parseInt(randomId(), 16)),
    version: 1,
    address: address === '' ? '0.0.0.0' : own(address),
  };
}

/**
 * A hash of the description in `body`, up to its first data channel line and without o=: equal for a peer's description
 * with and without the data channels that it adds.
 */
export function hashPlain(body: string, start: number, end: number): number {
  const channel = body.indexOf('DTLS/SCTP', start);
  const stop = channel < 0 || channel >= end ? end : body.lastIndexOf('\nm=', channel) + 1;
  const origin = body.indexOf('\no=', start);
  const resume = origin < 0 ? start : body.indexOf('\n', origin + 1);
  let hash = 0x811c9dc5;
  for (let i = start; i < stop; i++) {
    if (i === origin && resume > origin) i = resume;
    hash = Math.imul(hash ^ body.charCodeAt(i), 0x01000193);
  }
  return hash;
}

/** The same but for o=, a=setup and what is dead anyway: no reason to bother a peer again (R19). */
export function saysTheSame(media: MediaState, to: LegName, fork: number, offer: SessionDescription): boolean {
  const { offerAnswer } = media.sdp[fork]![to];
  if (offerAnswer.agreed === undefined) return false;
  const own = parseSessionDescription(offerAnswer.agreed.local);
  const last = {
    own,
    other: parseSessionDescription(offerAnswer.agreed.remote),
    ownWasAnswer: offerAnswer.agreed.offerer === 'remote',
  };
  if (!changedSlots(last, offer).every((change) => change === 'unchanged')) return false;
  const withoutOrigin = (lines: readonly string[]): string => lines.filter((line) => !line.startsWith('o=')).join('\n');
  return withoutOrigin(own.session) === withoutOrigin(offer.session);
}

/** Whether the SDP text may hold data channel lines: a cheap look before anything is parsed. */
export function mentionsDataChannel(body: string, start: number, end: number): boolean {
  const at = body.indexOf('DTLS/SCTP', start);
  return at >= 0 && at < end;
}
