import { isIP } from 'node:net';
import { isLoopback } from '../../sbi/tls.ts';
import type { DcMedia } from '../../services/nmf-mrm.ts';
import { type DesiredAssociation, entryId, type Mdc2Rules, type Mdc2Sink } from './desired.ts';
import { contextInvalid, readEndpoint, readRemoteDc, type StreamsEntry } from './read-media.ts';

/** mdc2Protocol -> what carries the channels as WebSockets (docs/mdc2.md). Without a value: TLS. */
const SCHEMES: Readonly<Record<string, 'ws:' | 'wss:'>> = { TCP: 'ws:', 'TCP/TLS': 'wss:' };
const DTLS = 'UDP/DTLS/SCTP';

/** The channels go to the DC AS in an association of our own with it. */
export const isDtls = ({ mdc2Protocol }: DcMedia) => mdc2Protocol === DTLS;

/** Id of that association. */
export const mdc2AssociationOf = ({ media, terminationId }: StreamsEntry) =>
  `${entryId(terminationId, media.mediaId)}>mdc2`;

function refuseProtocol({ mdc2Protocol = 'TCP/TLS' }: DcMedia, pointer: string): never {
  throw contextInvalid(`${pointer}/dcMedia/mdc2Protocol`, `${mdc2Protocol} is not served by this MF`);
}

export function readMdc2Sink(
  { dcMedia, media, pointer, terminationId }: StreamsEntry,
  stream: Pick<Mdc2Sink, 'label' | 'subprotocol'>,
  rules: Mdc2Rules,
): Mdc2Sink {
  const { imsdc, mdc2Protocol = 'TCP/TLS', remoteMdc2Endpoint } = dcMedia;
  const scheme = SCHEMES[mdc2Protocol];
  if (!scheme || !rules.protocols.has(mdc2Protocol)) refuseProtocol(dcMedia, pointer);
  const { address, port } = readEndpoint(remoteMdc2Endpoint!, `${pointer}/dcMedia/remoteMdc2Endpoint`);
  if (scheme === 'ws:' && !rules.allowPlain && !isLoopback(address)) {
    throw contextInvalid(`${pointer}/dcMedia/mdc2Protocol`, 'TCP without TLS is for loopback only');
  }
  const at = `${pointer}/dcMedia/imsdc/mdc2/url`;
  const text = imsdc?.mdc2?.url ?? `${scheme}//${isIP(address) === 6 ? `[${address}]` : address}:${port}/`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== scheme) throw contextInvalid(at, `is not a ${scheme} URL`);
  if (url.hash || url.username || url.password) throw contextInvalid(at, 'has a fragment or a user');
  const { ticket } = imsdc?.mdc2 ?? {};
  return { kind: 'mdc2', url: url.href, address, port, ticket, terminationId, mediaId: media.mediaId, ...stream };
}

/** UDP_PROXY: what the datagrams are is not our business, but DTLS is what makes them safe. */
export function checkDatagrams(dcMedia: DcMedia, pointer: string, rules: Mdc2Rules): void {
  const { mdc2Protocol = DTLS } = dcMedia;
  if (mdc2Protocol !== DTLS && mdc2Protocol !== 'UDP') refuseProtocol(dcMedia, pointer);
  if (!rules.protocols.has(mdc2Protocol)) refuseProtocol(dcMedia, pointer);
}

/**
 * DC_APPLICATION_PROXY over `UDP/DTLS/SCTP`: the MF's own association with the DC AS, whose streams are those of the UE's
 * (`ue`), each relayed to its twin. It starts at once: the DC AS's end is known before the UE's.
 */
export function readMdc2Association(
  entry: StreamsEntry,
  ue: Pick<DesiredAssociation, 'id' | 'streams'>,
  rules: Mdc2Rules,
): DesiredAssociation {
  const { dcMedia, media, pointer, terminationId } = entry;
  if (!rules.protocols.has(DTLS)) refuseProtocol(dcMedia, pointer);
  const { dcEndpoint, maxMessageSizeBytes } = dcMedia.imsdc?.mdc2 ?? {};
  const at = `${pointer}/dcMedia/imsdc/mdc2/dcEndpoint`;
  if (dcEndpoint === undefined) throw contextInvalid(at, 'missing: without its fingerprint the DC AS could be anybody');
  const dc = readRemoteDc(dcEndpoint, at);
  const id = mdc2AssociationOf(entry);
  return {
    id,
    entries: [],
    mdc2Of: entryId(terminationId, media.mediaId),
    remote: { ...readEndpoint(dcMedia.remoteMdc2Endpoint!, `${pointer}/dcMedia/remoteMdc2Endpoint`), ...dc },
    remoteDc: dc,
    peerSetup: dcEndpoint.securitySetup ?? 'PASSIVE',
    localSetup: undefined,
    tlsId: undefined,
    ice: false,
    multiplexing: false,
    streams: ue.streams
      .filter(({ sink }) => sink.kind === 'relay' && sink.association === id)
      .map((stream) => ({ ...stream, sink: { kind: 'relay', association: ue.id } })),
    peerMaxMessageSizeBytes: maxMessageSizeBytes ?? DEFAULT_MAX_MESSAGE_SIZE_BYTES,
    relayedMaxMessageSizeBytes: undefined,
    sharesPortOf: undefined,
    eventUri: undefined,
    usage: false,
    pointer,
  };
}

/** RFC 8841 6: when a=max-message-size is absent. */
const DEFAULT_MAX_MESSAGE_SIZE_BYTES = 65_536;
