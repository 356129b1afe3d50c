import type { Environment } from '../../base/environment.ts';
import { own } from '../../base/owned.ts';
import { formatFingerprint } from '../../dtls/fingerprint.ts';
import { mintTlsId } from '../../dtls/tls-id.ts';
import { DEFAULT_MAX_MESSAGE_SIZE } from '../../sdp/data-channel.ts';
import { fromDcEndpoint, fromEndpoint } from '../../sdp/service-mapping.ts';
import type { DcStream, Endpoint } from '../../services/common-data.ts';
import type { MediaContext, MediaInfo } from '../../services/nmf-mrm.ts';
import type { LegName } from '../call/types.ts';
import { terminationOwner } from './context.ts';
import { endsAtDcAs, localEndAtDcAs } from './dc-as.ts';
import { endOf } from './multiplex.ts';
import { lineById } from './state.ts';
import { keptStreams } from './streams.ts';
import { type ContextState, type LocalEnd, type MediaLine, type MediaState, NO_STREAMS } from './types.ts';

/** mdc1EndpointMf and mdc2EndpointMf by mediaId, for the answer to an instruction. */
export type MdcEndpoints = Map<string, MdcEndpointsOfLine>;

export interface MdcEndpointsOfLine {
  mdc1?: Endpoint;
  mdc2?: Endpoint;
  /** On the leg on which the line was not born. */
  mdc2Remote?: Endpoint;
}

/**
 * Takes the MF's answer to a POST or PATCH into the lines. The MF may name terminations its own way, in the order that
 * we gave (network-side.md 3.3). Returns a sentence for each thing that is missing.
 */
export function takeReply(
  media: MediaState,
  reply: MediaContext,
  layout: ContextState['layout'],
  desired: MediaContext,
  env: Environment,
): { problems: string[]; mdc: MdcEndpoints; renewed: boolean } {
  const problems: string[] = [];
  const mdc: MdcEndpoints = new Map();
  let renewed = false;
  for (const [t, termination] of reply.terminations.entries()) {
    const place = layout.find((p) => p.terminationId === termination.terminationId) ?? layout[t];
    if (place === undefined) continue;
    place.terminationId = own(termination.terminationId);
    const { leg } = terminationOwner(place.ours);
    for (const info of termination.medias) {
      const line = lineById(media, info.mediaId);
      const end = line === undefined ? null : endOf(media, line, leg);
      if (line === undefined || end === null) continue;
      if (info.dcMedia !== undefined)
        leaveOut(media, line, streamsAsked(desired, place.ours, info.mediaId), info.dcMedia.streams);
      const local = localEnd(info, line, leg, end.local, env);
      if (typeof local === 'string') problems.push(`${place.ours}/${info.mediaId}: ${local}`);
      else if (end.local === null || end.renewal === 'asked' || end.renewal === 'lost') {
        if (end.renewal !== 'none') renewed = true;
        end.local = local;
        end.renewal = 'none';
        // The other entries of this association could not be named before (R3).
        if (end.shared) media.context.dirty = true;
      }
      const entry = mdc.get(info.mediaId) ?? {};
      if (info.dcMedia?.localMdc1Endpoint !== undefined) entry.mdc1 = info.dcMedia.localMdc1Endpoint;
      const mdc2 = info.dcMedia?.localMdc2Endpoint;
      if (mdc2 !== undefined && leg === line.born) entry.mdc2 = mdc2;
      else if (mdc2 !== undefined) entry.mdc2Remote = mdc2;
      mdc.set(info.mediaId, entry);
    }
  }
  return { problems, mdc, renewed };
}

/** What our entry asked for. */
function streamsAsked(desired: MediaContext, termination: string, media: string): Record<string, DcStream> {
  const medias = desired.terminations.find(({ terminationId }) => terminationId === termination)?.medias;
  return medias?.find(({ mediaId }) => mediaId === media)?.dcMedia?.streams ?? NO_STREAMS;
}

/** R13: channels beyond the association's streams are left out of the MF's response, and so of our answer. */
function leaveOut(media: MediaState, line: MediaLine, asked: Record<string, DcStream>, open: Record<string, DcStream>) {
  // A foreign MF that lists none says nothing of them.
  if (Object.keys(open).length === 0) return;
  const refused = Object.keys(asked).filter((id) => !(id in open) && id in line.streams);
  if (refused.length === 0) return;
  line.streams = keptStreams(line.streams, (id) => !refused.includes(id));
  media.context.dirty = true;
}

/** A string says what is missing. An MF that gives no tls-id lets us choose one (RFC 8842 5.2). */
function localEnd(
  info: MediaInfo,
  line: MediaLine,
  leg: LegName,
  before: LocalEnd | null,
  env: Environment,
): LocalEnd | string {
  const mb = info.localMbEndpoint === undefined ? undefined : fromEndpoint(info.localMbEndpoint);
  if (mb === undefined) return 'the MF gave no localMbEndpoint';
  const dc = info.dcMedia?.localDcEndpoint === undefined ? undefined : fromDcEndpoint(info.dcMedia.localDcEndpoint);
  const imsdc = info.dcMedia?.imsdc;
  const ice =
    imsdc?.iceUfrag === undefined || imsdc.icePwd === undefined
      ? {}
      : { iceUfrag: imsdc.iceUfrag, icePwd: imsdc.icePwd };
  if (endsAtDcAs(line)) {
    return localEndAtDcAs(line.spec, leg, { address: own(mb.address), port: mb.port, ...ice }, before, env);
  }
  if (line.treatment !== 'flow' && (dc === undefined || dc.fingerprints.length === 0))
    return 'the MF gave no localDcEndpoint';
  return {
    address: own(mb.address),
    port: mb.port,
    sctpPort: dc?.sctpPort ?? 0,
    fingerprints: dc?.fingerprints.map((fingerprint) => sharedFingerprint(formatFingerprint(fingerprint))) ?? [],
    tlsId: dc?.tlsId === undefined ? (before?.tlsId ?? mintTlsId(env)) : own(dc.tlsId),
    ...ice,
    // The standard field comes back as we sent it: the peer's limit, not the MF's (R11).
    maxMessageSizeBytes: imsdc?.maxMessageSizeBytes ?? DEFAULT_MAX_MESSAGE_SIZE,
  };
}

/** An MF has one certificate: every line of every call shares its text. */
const shared = new Map<string, string>();
const MAX_SHARED = 1024;

function sharedFingerprint(text: string): string {
  const known = shared.get(text);
  if (known !== undefined) return known;
  if (shared.size >= MAX_SHARED) shared.clear();
  const kept = own(text);
  shared.set(kept, kept);
  return kept;
}

/** Every line that needs the MF has what the MF gives: the barrier may open. */
export function isReserved(media: MediaState): boolean {
  return media.lines.every(
    (line) =>
      line.state === 'closed' ||
      line.failed ||
      (['served', 'remote'] as const).every((leg) => {
        const end = line.ends[leg];
        return end === null || (end.local !== null && end.renewal === 'none');
      }),
  );
}
