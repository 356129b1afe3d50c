import { toEndpoint, toMaxMessageSizeKiB } from '../../sdp/service-mapping.ts';
import type { DcEndpoint, Mdc2Target } from '../../services/common-data.ts';
import type { DcMedia, MediaContext, MediaInfo, TerminationInfo } from '../../services/nmf-mrm.ts';
import type { CallConfig, LegName } from '../call/types.ts';
import { dcAsEnd, endsAtDcAs } from './dc-as.ts';
import { endOf } from './multiplex.ts';
import { peerOf } from './state.ts';
import { hasNone } from './streams.ts';
import type { LineEnd, LocalEnd, MediaLine, MediaState, Peer, PeerState } from './types.ts';

/**
 * What the MF should hold for this call (R26), computed from its lines alone: one termination per leg, and one more per
 * further early dialog of the callee's leg (R2, R20). Undefined: nothing, so no context.
 */
export function desiredContext(media: MediaState, config: CallConfig): MediaContext | undefined {
  const terminations: TerminationInfo[] = [];
  for (const leg of ['served', 'remote'] as const) {
    const forks =
      leg === media.caller ? 1 : Math.max(1, ...media.lines.map((line) => line.ends[leg]?.peers.length ?? 0));
    for (let fork = 0; fork < forks; fork++) {
      // Ends without an address of which an entry tells the MF: the first part of each association to be named.
      const named = new Set<LineEnd>();
      const medias = media.lines.flatMap((line) => mediaInfo(media, line, leg, fork, config, named) ?? []);
      if (medias.length > 0) terminations.push({ terminationId: terminationId(leg, fork), medias });
    }
  }
  return terminations.length === 0 ? undefined : { terminations };
}

export function terminationId(leg: LegName, fork: number): string {
  return fork === 0 ? leg : `${leg}-${fork + 1}`;
}

/** Leg and fork of one of our termination ids. */
export function terminationOwner(id: string): { leg: LegName; fork: number } {
  const leg = id.startsWith('served') ? 'served' : 'remote';
  const dash = id.indexOf('-');
  return { leg, fork: dash < 0 ? 0 : Number(id.slice(dash + 1)) - 1 };
}

function mediaInfo(
  media: MediaState,
  line: MediaLine,
  leg: LegName,
  fork: number,
  config: CallConfig,
  named: Set<LineEnd>,
): MediaInfo | undefined {
  const end = endOf(media, line, leg);
  if (end === null || line.state === 'closed' || line.failed) return undefined;
  // Only what it carries is left; or another part speaks for the association, which has no address yet by which to name
  // it (R3). That need not be the line itself: its own streams may be over while the parts live on.
  const local = end.renewal === 'lost' ? null : end.local;
  if (hasNone(line.streams) || (local === null && named.has(end))) return undefined;
  const peer: PeerState = end.peers[fork] ?? 'unknown';
  const isFirst = fork === (end.firstFork ?? 0);
  if (peer === 'refused' || (peer === 'unknown' && !isFirst)) return undefined;
  const known = typeof peer === 'object' ? peer : undefined;
  if (local === null) named.add(end);
  return {
    mediaId: line.id,
    mediaResourceType: 'DC',
    // Forks share the port that all of them were offered (R20), the parts of a line their association (R3).
    localMbEndpoint: (!isFirst || end.shared) && local !== null ? toEndpoint(local.address, local.port) : undefined,
    remoteMbEndpoint: known?.started === true ? toEndpoint(known.address, known.port) : undefined,
    dcMedia: datagrams(line)
      ? flowMedia(line, leg, known, config)
      : dcMedia(media, line, leg, fork, end, known, config),
  };
}

const datagrams = (line: MediaLine): boolean => line.treatment === 'flow' || endsAtDcAs(line);

/** Datagrams pass untouched, to the other peer or to a DC AS, so the MF is told of no association (R3). */
function flowMedia(line: MediaLine, leg: LegName, peer: Peer | undefined, config: CallConfig): DcMedia {
  const { spec } = line;
  const towards = endsAtDcAs(line) ? dcAsEnd(spec, leg).endpoint : undefined;
  const ice = towards !== undefined && peer?.ice === true;
  const imsdc = { ice: ice || undefined, eventUri: eventUri(config), usage: reportsUsage(config) };
  return {
    mediaProxyConfig: config.mfProxyNames === 'alpha' ? 'UDP' : 'UDP_PROXY',
    remoteMdc2Endpoint: towards,
    mdc2Protocol: towards && spec?.mdc2Protocol,
    streams: line.streams,
    ...(ice || imsdc.eventUri !== undefined ? { imsdc } : {}),
  };
}

function dcMedia(
  media: MediaState,
  line: MediaLine,
  leg: LegName,
  fork: number,
  end: LineEnd,
  peer: Peer | undefined,
  config: CallConfig,
): DcMedia {
  const { spec } = line;
  const bytes = maxMessageSize(media, line, leg, fork, config);
  return {
    mediaProxyConfig: proxyName(line, config),
    replaceHttpUrl: spec?.replaceHttpUrls,
    remoteMdc1Endpoint: spec?.mdc1,
    remoteMdc2Endpoint: spec?.mdc2 === undefined ? undefined : dcAsEnd(spec, leg).endpoint,
    mdc2Protocol: spec?.mdc2Protocol,
    streams: line.streams,
    // What all forks were offered is what each of them got (R20).
    localDcEndpoint: fork === (end.firstFork ?? 0) || end.local === null ? undefined : localEnd(end.local),
    maxMessageSize: toMaxMessageSizeKiB(bytes),
    remoteDcEndpoint: peer && remoteEnd(peer),
    securitySetup: peer && upper(peer.setup),
    imsdc: {
      localSetup: upper(peer?.localRole ?? end.setup),
      ice: awaitsChecks(peer, end),
      // R13: streams for applications may join it later.
      multiplexing: media.multiplexing[leg] || undefined,
      maxMessageSizeBytes: bytes,
      eventUri: eventUri(config),
      usage: reportsUsage(config),
      mdc2: spec?.mdc2Target === undefined ? undefined : mdc2Target(spec.mdc2Target, leg),
    },
  };
}

/**
 * The MF sends no checks, and waits for those of the peer where it does ICE. A lite peer sends none either (RFC 8445 2.5):
 * once the credentials for our SDP are there, it is as if there were no ICE.
 */
function awaitsChecks(peer: Peer | undefined, end: LineEnd): boolean {
  if (peer?.iceLite === true && end.local !== null) return false;
  return peer?.ice ?? end.ice ?? false;
}

/** What the MF must know of the DC AS on this leg. */
function mdc2Target({ remote, ...target }: Mdc2Target, leg: LegName): Mdc2Target {
  if (leg === 'served' || remote === undefined) return target;
  const { dcEndpoint, maxMessageSizeBytes } = remote;
  return { ...target, dcEndpoint, maxMessageSizeBytes };
}

/** What may be sent to this peer: its own limit. */
function maxMessageSize(media: MediaState, line: MediaLine, leg: LegName, fork: number, config: CallConfig): number {
  const peer = peerOf(media, line, leg, fork);
  return typeof peer === 'object' && peer.maxMessageSizeBytes > 0
    ? peer.maxMessageSizeBytes
    : config.maxMessageSizeBytes;
}

function proxyName(line: MediaLine, config: CallConfig): DcMedia['mediaProxyConfig'] {
  const http = line.spec?.proxy === 'HTTP_PROXY' || line.spec?.proxy === 'HTTP';
  if (config.mfProxyNames === 'alpha') return http ? 'HTTP' : 'UDP';
  return http ? 'HTTP_PROXY' : 'DC_APPLICATION_PROXY';
}

function remoteEnd(peer: Peer): DcEndpoint {
  return {
    sctpPort: peer.sctpPort,
    fingerprint: peer.fingerprints[0],
    fingerprints: [...peer.fingerprints],
    tlsId: peer.tlsId,
    securitySetup: upper(peer.setup),
  };
}

function localEnd(local: LocalEnd): DcEndpoint {
  return {
    sctpPort: local.sctpPort,
    fingerprint: local.fingerprints[0],
    fingerprints: [...local.fingerprints],
    tlsId: local.tlsId,
  };
}

function upper(setup: Peer['setup']): 'ACTIVE' | 'PASSIVE' | 'ACTPASS' {
  return setup === 'holdconn' ? 'ACTPASS' : (setup.toUpperCase() as 'ACTIVE' | 'PASSIVE' | 'ACTPASS');
}

function eventUri({ mediaEventUri }: CallConfig): string | undefined {
  return mediaEventUri === '' ? undefined : mediaEventUri;
}

function reportsUsage({ channelUsage, mediaEventUri }: CallConfig): true | undefined {
  return (channelUsage && mediaEventUri !== '') || undefined;
}
