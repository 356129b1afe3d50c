import { parseFingerprint } from '../../dtls/fingerprint.ts';
import { offerSetup } from '../../dtls/role.ts';
import { REMOTE_BOOTSTRAP_STREAM_IDS } from '../../sdp/data-channel.ts';
import { fromDcStreams, toRequestedApplicationText } from '../../sdp/service-mapping.ts';
import type { MediaSection } from '../../sdp/types.ts';
import { type DataChannelEnd, dataChannelSection } from '../../sdp/write-data-channel.ts';
import { type CallConfig, type LegName, otherLeg } from '../call/types.ts';
import { endOf } from './multiplex.ts';
import { peerOf } from './state.ts';
import type { LineEnd, MediaLine, MediaState } from './types.ts';

/** The role our MF keeps, or the choice of the answerer (R19). */
export function offeredSetup(
  media: MediaState,
  line: MediaLine,
  to: LegName,
  fork: number,
  end: LineEnd,
): DataChannelEnd['setup'] {
  const peer = peerOf(media, line, to, fork);
  return typeof peer === 'object' && peer.localRole !== undefined ? offerSetup(peer.localRole) : end.setup;
}

export function answeredSetup(
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
export function sizeFor(media: MediaState, line: MediaLine, to: LegName, fork: number, config: CallConfig): number {
  const far = peerOf(media, line, otherLeg(to), fork);
  const limit = endOf(media, line, to)?.local?.maxMessageSizeBytes ?? config.maxMessageSizeBytes;
  const ours = Math.min(limit, config.maxMessageSizeBytes);
  if (typeof far !== 'object' || far.maxMessageSizeBytes === 0) return ours;
  return Math.min(ours, far.maxMessageSizeBytes);
}

export function endFor(
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
    tlsId,
    ice:
      (known?.ice ?? end.ice) === true && local.iceUfrag !== undefined && local.icePwd !== undefined
        ? { ufrag: local.iceUfrag, pwd: local.icePwd }
        : undefined,
  };
}

/** A line born at the DCSF (E2 line 3, E3 line 2). 100 and 110 are for the peer, who is the receiver of our offer. */
export function newSection(line: MediaLine, end: DataChannelEnd, config: CallConfig): MediaSection {
  const streams = fromDcStreams(line.streams);
  const bootstrap = streams.every((stream) => stream.streamId < 1000);
  return dataChannelSection(end, {
    streams,
    bandwidthKbps: bootstrap ? config.bootstrapBandwidthKbps : undefined,
    bootstrapUsedBy: streams.some((stream) => REMOTE_BOOTSTRAP_STREAM_IDS.has(stream.streamId))
      ? 'receiver'
      : undefined,
    applicationLines: line.spec?.applications?.map(toRequestedApplicationText),
  });
}
