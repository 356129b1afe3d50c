import { parseFingerprint } from '../../dtls/fingerprint.ts';
import { needsNewAssociation } from '../../dtls/needs-new-association.ts';
import { answerSetup, preferredRole } from '../../dtls/role.ts';
import { changedSlots } from '../../sdp/changes.ts';
import { isDataChannelSection, isRejection, readDataChannelMedia } from '../../sdp/data-channel.ts';
import { attributes } from '../../sdp/lines.ts';
import { parseSessionDescription } from '../../sdp/parse.ts';
import { toDcStreams } from '../../sdp/service-mapping.ts';
import { takeOfferedSlots } from '../../sdp/slots.ts';
import type { DataChannelMedia, MediaSection, SessionDescription } from '../../sdp/types.ts';
import type { CallConfig, LegName } from '../call/types.ts';
import { dcAsRole, endsAtDcAs } from './dc-as.ts';
import { awaitsPeer, cedeWithdrawnSlots } from './lost.ts';
import { isEmpty, keepOffered, streamsAt } from './multiplex.ts';
import { forkSdp, lineAt, newEnd, peerFrom, peerOf, setPeer } from './state.ts';
import { keptStreams } from './streams.ts';
import { type LineEnd, MAX_DATA_CHANNEL_LINES, type MediaLine, type MediaState, NO_IDS, NO_STREAMS } from './types.ts';

/** What an offer means for the data channel lines of the call. */
export interface OfferReading {
  /** New lines, and lines with new streams or applications: the DCSF is asked about these (R15). */
  readonly asked: readonly MediaLine[];
  /** An association ends and another begins (R12): the MF must give new values before the answer. */
  readonly renewing: boolean;
  /** Something other than data channels changed too: then a refusal is not a 488 (R17). */
  readonly otherChanges: boolean;
  /** For the log of the call. */
  readonly notes: readonly string[];
}

/**
 * Takes an offer of the peer on `leg` into the media state: new lines get their ids and slots, known ones their new
 * far end. Lines set to port 0 become `closing`. The offer/answer state is the caller's.
 */
export function takeOffer(
  media: MediaState,
  leg: LegName,
  fork: number,
  offer: SessionDescription,
  config: CallConfig,
): OfferReading {
  cedeWithdrawnSlots(media, leg, fork, offer);
  const last = lastExchange(media, leg, fork);
  const changes = changedSlots(last, offer);
  const notes: string[] = [];
  const asked: MediaLine[] = [];
  let renewing = false;

  const taken = takeOfferedSlots(media.slots[leg], offer, media.nextSerial);
  const before = media.slots[leg];
  media.slots[leg] = taken.slots;
  media.nextSerial = taken.nextSerial;

  for (const [slot, section] of offer.media.entries()) {
    if (taken.slots[slot]?.mediaId !== before[slot]?.mediaId) {
      const line = addLine(media, leg, slot, section);
      if (line.dataChannel && section.port !== 0 && readNewLine(media, line, leg, offer, slot, config, notes))
        asked.push(line);
      continue;
    }
    const line = lineAt(media, leg, slot);
    if (line === undefined || line.state !== 'open') continue;
    // Whoever lost its association by a loss of the MF repeats what it said, but we have to read it again (R25).
    const isKnown = section.port === 0 || !awaitsPeer(media, line, leg, fork);
    if (changes[slot] === 'unchanged' && isKnown) continue;
    if (section.port === 0) {
      if (line.dataChannel) line.state = 'closing';
      continue;
    }
    if (!line.dataChannel || line.treatment === 'refused') continue;
    const outcome = readKnownLine(media, line, leg, fork, offer, slot, last?.own.media[slot], config, notes);
    if (outcome === 'asked') asked.push(line);
    if (outcome === 'renewing') renewing = true;
  }
  // An offer with fewer m-lines than before breaks RFC 3264 8; the missing ones are survived as port 0.
  for (let slot = offer.media.length; slot < media.slots[leg].length; slot++) {
    const line = lineAt(media, leg, slot);
    if (line?.state === 'open' && line.dataChannel) line.state = 'closing';
  }
  return { asked, renewing, otherChanges: changes.includes('other'), notes };
}

function lastExchange(media: MediaState, leg: LegName, fork: number) {
  const { agreed } = forkSdp(media, fork)[leg].offerAnswer;
  if (agreed === undefined) return undefined;
  return {
    own: parseSessionDescription(agreed.remote),
    other: parseSessionDescription(agreed.local),
    ownWasAnswer: agreed.offerer === 'local',
  };
}

function addLine(media: MediaState, leg: LegName, slot: number, section: MediaSection): MediaLine {
  const dataChannel = isDataChannelSection(section) && section.port !== 0;
  const replaced = media.lines.find((line) => line.slots[leg] === slot && line.state === 'closed');
  const line: MediaLine = {
    id: media.slots[leg][slot]!.mediaId,
    media: section.media,
    dataChannel,
    born: leg,
    slots: { served: -1, remote: -1 },
    treatment: dataChannel ? 'undecided' : 'pass',
    state: 'open',
    streams: NO_STREAMS,
    proposed: NO_STREAMS,
    withheld: NO_IDS,
    carriedBy: '',
    spec: null,
    ends: { served: null, remote: null },
    failed: false,
  };
  line.slots[leg] = slot;
  // Other media that take a free slot again keep their place on the other leg too.
  if (replaced !== undefined) {
    const other = leg === 'served' ? 'remote' : 'served';
    const place = replaced.slots[other];
    if (!dataChannel && place >= 0 && media.slots[other][place]?.mediaId === replaced.id) line.slots[other] = place;
    replaced.slots[leg] = -1;
  }
  media.lines.push(line);
  return line;
}

/** True: the DCSF has to be asked. A line that cannot be read is refused at once (ue-side.md 9). */
function readNewLine(
  media: MediaState,
  line: MediaLine,
  leg: LegName,
  offer: SessionDescription,
  slot: number,
  config: CallConfig,
  notes: string[],
): boolean {
  const read = readDataChannelMedia(offer, slot, { as: 'offer', acceptSha1: config.acceptSha1 });
  const refuse = (why: string): boolean => {
    line.treatment = 'refused';
    notes.push(`${leg} ${line.id}: ${why}`);
    return false;
  };
  if (isRejection(read)) return refuse(read.detail);
  for (const note of read.notes) notes.push(`${leg} ${line.id}: ${note}`);
  if (media.lines.filter((l) => l.dataChannel && l.state !== 'closed').length > MAX_DATA_CHANNEL_LINES) {
    return refuse(`more than ${MAX_DATA_CHANNEL_LINES} data channel lines`);
  }
  line.streams = toDcStreams(read.streams);
  line.proposed = line.streams;
  return true;
}

function readKnownLine(
  media: MediaState,
  line: MediaLine,
  leg: LegName,
  fork: number,
  offer: SessionDescription,
  slot: number,
  previous: MediaSection | undefined,
  config: CallConfig,
  notes: string[],
): 'asked' | 'renewing' | 'known' {
  const read = readDataChannelMedia(offer, slot, { as: 'offer', acceptSha1: config.acceptSha1 });
  if (isRejection(read)) {
    // An association that can no longer be read is over; the answer says so with port 0.
    notes.push(`${leg} ${line.id}: ${read.detail}`);
    line.state = 'closing';
    return 'known';
  }
  const end = line.ends[leg];
  let renewing = false;
  if (end !== null) {
    renewing = mustRenew(media, line, leg, fork, end, read);
    const known = peerOf(media, line, leg, fork);
    const peer = peerFrom(media, read);
    if (typeof known === 'object' && !renewing) {
      peer.started = known.address === peer.address && known.port === peer.port && known.started;
    }
    const current = typeof known === 'object' && !renewing ? known.localRole : undefined;
    const role = endsAtDcAs(line)
      ? dcAsRole(line.spec, leg, read.setup)
      : roleForOffer(read.setup, peer.ice, current, config);
    if (role !== undefined) peer.localRole = role;
    setPeer(media, end, leg, fork, peer);
    delete end.offered;
    if (end.renewal !== 'lost') end.renewal = renewing ? 'wanted' : 'none';
  }
  const offered = toDcStreams(read.streams);
  const known = streamsAt(media, line, leg);
  const isAsked = newContent(previous, offer.media[slot]!, known, offered);
  keepOffered(media, line, leg, (id) => id in offered);
  media.context.dirty = true;
  if (isAsked) {
    line.proposed = keptStreams(offered, (id) => !(id in known));
    return 'asked';
  }
  if (end !== null && isEmpty(media, line)) line.state = 'closing';
  // At a DC AS nothing has to be asked of the MF (`renewAtDcAs`).
  return renewing && !endsAtDcAs(line) ? 'renewing' : 'known';
}

/** R12, judged on SDP values; our own end says the same as before. */
function mustRenew(
  media: MediaState,
  line: MediaLine,
  leg: LegName,
  fork: number,
  end: LineEnd,
  read: DataChannelMedia,
): boolean {
  const known = peerOf(media, line, leg, fork);
  const { local } = end;
  if (typeof known !== 'object' || local === null || line.treatment === 'flow') return false;
  const fingerprints = known.fingerprints
    .map((text) => parseFingerprint(text, { acceptSha1: true }))
    .filter((f) => typeof f !== 'string');
  const role = known.localRole ?? 'active';
  const ours = {
    tlsId: known.tlsId === undefined ? undefined : local.tlsId,
    fingerprints: local.fingerprints
      .map((text) => parseFingerprint(text, { acceptSha1: true }))
      .filter((f) => typeof f !== 'string'),
    address: local.address,
    port: local.port,
  };
  return (
    needsNewAssociation(
      { local: ours, remote: { ...known, fingerprints }, localRole: role, ice: known.ice },
      {
        local: ours,
        remote: read,
        localRole: answerSetup(read.setup, { preferred: role, current: role }) ?? role,
        ice: read.ice !== undefined,
      },
    ) !== undefined
  );
}

/** Streams or applications that were not there before: a decision of the DCSF is needed. */
function newContent(
  previous: MediaSection | undefined,
  section: MediaSection,
  known: Record<string, unknown>,
  offered: Record<string, unknown>,
): boolean {
  const dcmaps = new Map(
    attributes(previous?.lines ?? [], 'dcmap').map((value) => [Number.parseInt(value, 10), value]),
  );
  for (const value of attributes(section.lines, 'dcmap')) {
    const id = Number.parseInt(value, 10);
    if (!(String(id) in offered)) continue;
    const before = dcmaps.get(id);
    if (before === undefined || (before !== value && String(id) in known)) return true;
  }
  const applications = new Set(attributes(previous?.lines ?? [], '3gpp-req-app'));
  return attributes(section.lines, '3gpp-req-app').some((value) => !applications.has(value));
}

/** Gives `line` an end on the leg whose peer offered it, from its section in `offer`. False: it cannot be read. */
export function attachOfferer(
  media: MediaState,
  line: MediaLine,
  leg: LegName,
  fork: number,
  offer: SessionDescription,
  config: CallConfig,
): boolean {
  const read = readDataChannelMedia(offer, line.slots[leg], { as: 'offer', acceptSha1: config.acceptSha1 });
  if (isRejection(read)) return false;
  const end = line.ends[leg] ?? newEnd();
  line.ends[leg] = end;
  const known = peerOf(media, line, leg, fork);
  if (typeof known === 'object') return true;
  const peer = peerFrom(media, read);
  const role = endsAtDcAs(line)
    ? dcAsRole(line.spec, leg, read.setup)
    : roleForOffer(read.setup, peer.ice, undefined, config);
  if (role === undefined) return false;
  peer.localRole = role;
  setPeer(media, end, leg, fork, peer);
  return true;
}

/** The role our MF takes in the answer to a line offered on `leg`; undefined: it cannot be answered. */
export function roleForOffer(
  setup: DataChannelMedia['setup'],
  ice: boolean,
  current: 'active' | 'passive' | undefined,
  config: CallConfig,
) {
  const preferred = preferredRole(ice, { withoutIce: config.setupWithoutIce, withIce: config.setupWithIce });
  return answerSetup(setup, current === undefined ? { preferred } : { preferred, current });
}
