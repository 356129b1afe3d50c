import { type Fingerprint, formatFingerprint } from '../dtls/fingerprint.ts';
import type { SetupValue } from '../dtls/role.ts';
import { DATA_CHANNEL_FORMAT, DATA_CHANNEL_PROTOCOL } from './data-channel.ts';
import { formatDcmap } from './dcmap.ts';
import { connectionText, removeAttributes, withConnection, withLines, withPort } from './edit.ts';
import { attributeName, attributeText, isAttribute } from './lines.ts';
import { FIRST_APPLICATION_STREAM, parseRequestedApplication, withoutChannels } from './requested-application.ts';
import { REMOTE_BOOTSTRAP_STREAM_IDS } from './streams.ts';
import type { DataChannelStream, MediaSection, SdpLines, SessionDescription } from './types.ts';

/** The transport end of a section we write: what the MF gave us for one leg. */
export interface DataChannelEnd {
  readonly address: string;
  readonly port: number;
  readonly sctpPort: number;
  /** Bytes. */
  readonly maxMessageSizeBytes: number;
  readonly setup: SetupValue;
  readonly fingerprint: Fingerprint;
  /** Leave out in an answer to an offer without one (RFC 8842 5.3). */
  readonly tlsId?: string;
  /** Only in answers to offers with ICE (design: no ICE needed). One host candidate is written. */
  readonly ice?: { readonly ufrag: string; readonly pwd: string };
}

/** What runs on it. */
export interface DataChannelContent {
  readonly streams: readonly DataChannelStream[];
  /** kbit/s for b=AS. */
  readonly bandwidthKbps?: number;
  /** Relative to the sender of the offer; answers echo it (R8). */
  readonly bootstrapUsedBy?: 'sender' | 'receiver';
  /** Values of a=3gpp-req-app, verbatim. */
  readonly applicationLines?: readonly string[];
  /** Value of a=3gpp-qos-hint. */
  readonly qosHint?: string;
  /** Repeats the offer's a=mid. */
  readonly mid?: string;
}

/** Priority of the only candidate, RFC 8445 5.1.2.1: host type, first component. */
const HOST_CANDIDATE_PRIORITY = 2130706431;

/** A whole section of our own, in the form and order of the 3GPP examples (TS 26.114 A.17). */
export function dataChannelSection(end: DataChannelEnd, content: DataChannelContent): MediaSection {
  const lines = [
    `m=application ${end.port} ${DATA_CHANNEL_PROTOCOL} ${DATA_CHANNEL_FORMAT}`,
    `c=${connectionText(end.address)}`,
  ];
  if (content.bandwidthKbps !== undefined) lines.push(`b=AS:${content.bandwidthKbps}`);
  if (content.mid !== undefined) lines.push(`a=mid:${content.mid}`);
  lines.push(`a=sctp-port:${end.sctpPort}`);
  lines.push(`a=max-message-size:${end.maxMessageSizeBytes}`);
  lines.push(`a=setup:${end.setup}`);
  lines.push(`a=fingerprint:${formatFingerprint(end.fingerprint)}`);
  if (end.tlsId !== undefined) lines.push(`a=tls-id:${end.tlsId}`);
  for (const stream of content.streams) lines.push(`a=dcmap:${formatDcmap(stream)}`);
  for (const stream of content.streams) {
    for (const setting of stream.dcsa) lines.push(`a=dcsa:${stream.streamId} ${setting}`);
  }
  if (content.bootstrapUsedBy !== undefined) lines.push(`a=3gpp-bdc-used-by:${content.bootstrapUsedBy}`);
  for (const text of content.applicationLines ?? []) lines.push(`a=3gpp-req-app:${text}`);
  if (content.qosHint !== undefined) lines.push(`a=3gpp-qos-hint:${content.qosHint}`);
  if (end.ice) lines.push(...iceLines(end, end.ice));
  return {
    lines,
    media: 'application',
    port: end.port,
    protocol: DATA_CHANNEL_PROTOCOL,
    formats: [DATA_CHANNEL_FORMAT],
  };
}

/**
 * Somebody else's section with our end in it (TS 24.186 9.3.3.2.1: relayed in transit): c=, port, sctp-port,
 * max-message-size, setup, fingerprint, tls-id and ICE are ours, every other line passes. `keep` drops the a=dcmap and
 * a=dcsa lines of streams that do not go on.
 */
export function reanchoredSection(
  section: MediaSection,
  end: DataChannelEnd,
  keep: (streamId: number) => boolean = () => true,
): MediaSection {
  const moved = withConnection(withPort(section, end.port), end.address);
  const ours = attributesOf(end);
  const lines: string[] = [];
  let isRemote = false;
  for (const line of moved.lines) {
    const name = attributeName(line);
    if (name === undefined) lines.push(line);
    else if (name === 'dcmap' || name === 'dcsa') {
      const streamId = Number.parseInt(attributeText(line), 10);
      if (!keep(streamId)) continue;
      if (name === 'dcmap' && REMOTE_BOOTSTRAP_STREAM_IDS.has(streamId)) isRemote = true;
      lines.push(line);
    } else if (!DROPPED.has(name)) {
      // Ours stands in the place of the first one that is said.
      const at = END_ATTRIBUTES.indexOf(name);
      if (at < 0) lines.push(line);
      else {
        if (ours[at] !== '') lines.push(ours[at]!);
        ours[at] = '';
      }
    }
  }
  for (const line of ours) if (line !== '') lines.push(line);
  if (end.ice) lines.push(...iceLines(end, end.ice));
  // It speaks of the channels of the far networks; on a line without them it means nothing (ue-side.md 11).
  return withLines(moved, isRemote ? lines : removeAttributes(lines, '3gpp-bdc-used-by'));
}

/** What every end says of itself; in this order where the section said nothing. */
const END_ATTRIBUTES = ['sctp-port', 'max-message-size', 'setup', 'fingerprint', 'tls-id'];

/** Their lines; '' for what is not said. */
function attributesOf(end: DataChannelEnd): string[] {
  return [
    `a=sctp-port:${end.sctpPort}`,
    `a=max-message-size:${end.maxMessageSizeBytes}`,
    `a=setup:${end.setup}`,
    `a=fingerprint:${formatFingerprint(end.fingerprint)}`,
    end.tlsId === undefined ? '' : `a=tls-id:${end.tlsId}`,
  ];
}

/**
 * e2e datagrams (R10): only c=, port and ICE change; setup, fingerprint, tls-id, sctp-port and max-message-size
 * travel untouched.
 */
export function readdressedSection(
  section: MediaSection,
  end: Pick<DataChannelEnd, 'address' | 'port' | 'ice'>,
): MediaSection {
  const moved = withConnection(withPort(section, end.port), end.address);
  const lines = removeAttributes(moved.lines, ...ICE_ATTRIBUTES);
  return withLines(moved, end.ice ? [...lines, ...iceLines(end, end.ice)] : lines);
}

/** `section`, to be offered, without the a=dcmap, a=dcsa and bindings of refused streams (TS 26.114 6.2.10.3). */
export function withStreams(section: MediaSection, keep: (streamId: number) => boolean): MediaSection {
  const lines = withoutStreams(section.lines, keep).flatMap((line) => {
    if (!isAttribute(line, '3gpp-req-app')) return [line];
    const text = attributeText(line);
    const left = withoutChannels(text, keep);
    if (left === text) return [line];
    return left === undefined ? [] : [`a=3gpp-req-app:${left}`];
  });
  return withLines(section, lines);
}

/** `lines` without the a=dcmap and a=dcsa of refused streams; bindings stay. */
export function withoutStreams(lines: SdpLines, keep: (streamId: number) => boolean): SdpLines {
  return lines.filter((line) => {
    if (!isAttribute(line, 'dcmap') && !isAttribute(line, 'dcsa')) return true;
    return keep(Number.parseInt(attributeText(line), 10));
  });
}

/**
 * What a multiplexed section says of the streams of one far end, for a line of their own there: the a=3gpp-req-app lines
 * that name one of them, verbatim, `3gpp-bdc-used-by` with the channels that it is about, and no a=mid, which is another
 * line's name. Streams are left out by `keep` of `reanchoredSection`.
 */
export function partOfSection(section: MediaSection, streamIds: readonly number[]): MediaSection {
  const isAboutOthers = (line: string): boolean => {
    if (isAttribute(line, 'mid')) return true;
    if (isAttribute(line, '3gpp-bdc-used-by')) return !streamIds.some((id) => REMOTE_BOOTSTRAP_STREAM_IDS.has(id));
    if (!isAttribute(line, '3gpp-req-app')) return false;
    const named = parseRequestedApplication(attributeText(line))?.channels ?? [];
    if (named.length === 0) return streamIds.every((id) => id < FIRST_APPLICATION_STREAM);
    return !named.some(({ streamId }) => streamIds.includes(streamId));
  };
  const lines = section.lines.filter((line) => !isAboutOthers(line));
  return withLines(section, lines);
}

/** R8: a re-offer in the other direction flips whose bootstrap channels the line carries. */
export function withUsedByFlipped(section: MediaSection): MediaSection {
  const lines = section.lines.map((line) => {
    if (!isAttribute(line, '3gpp-bdc-used-by')) return line;
    const value = attributeText(line).toLowerCase();
    if (value !== 'sender' && value !== 'receiver') return line;
    return `a=3gpp-bdc-used-by:${value === 'sender' ? 'receiver' : 'sender'}`;
  });
  return withLines(section, lines);
}

/**
 * Adds session-level `a=ice-lite` if every ICE section is one of `ours` (R7): the flag speaks for the whole session,
 * and a full agent behind another m-line would be misrepresented.
 */
export function withIceLite(sdp: SessionDescription, ours: readonly number[]): SessionDescription {
  if (sdp.session.some((line) => isAttribute(line, 'ice-lite') || isAttribute(line, 'ice-ufrag'))) return sdp;
  const others = sdp.media.filter((_, slot) => !ours.includes(slot));
  if (others.some((section) => section.lines.some((line) => isAttribute(line, 'ice-ufrag')))) return sdp;
  return { ...sdp, session: [...sdp.session, 'a=ice-lite'] };
}

const ICE_ATTRIBUTES = [
  'ice-ufrag',
  'ice-pwd',
  'ice-options',
  'candidate',
  'remote-candidates',
  'end-of-candidates',
  'ice-mismatch',
  'ice-pacing',
];

/** What is never passed on from another end; `tlsId` is the spelling of TS 24.186. */
const DROPPED: ReadonlySet<string> = new Set([...ICE_ATTRIBUTES, 'tlsId']);

/** The candidate equals c= and the m= port (TS 26.114 6.2.10.1). */
function iceLines(end: Pick<DataChannelEnd, 'address' | 'port'>, ice: { ufrag: string; pwd: string }): string[] {
  return [
    `a=ice-ufrag:${ice.ufrag}`,
    `a=ice-pwd:${ice.pwd}`,
    `a=candidate:1 1 UDP ${HOST_CANDIDATE_PRIORITY} ${end.address} ${end.port} typ host`,
  ];
}
