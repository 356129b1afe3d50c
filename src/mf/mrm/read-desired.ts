import type { DcMedia, MediaContext, MediaInfo } from '../../services/nmf-mrm.ts';
import {
  type Desired,
  type DesiredAssociation,
  type DesiredFlow,
  entryId,
  type FlowEnd,
  type Mdc2Rules,
  type ReadContext,
  type RequestedValues,
} from './desired.ts';
import { checkDatagrams, isDtls, readMdc2Association } from './read-mdc2.ts';
import { contextInvalid, isUnspecified, readEndpoint, readRemoteDc, readStreams } from './read-media.ts';

/** What becomes of a media entry: where its far end is, and whether it ends here. */
type EntryMode = 'flow' | 'http' | 'mdc2' | 'mdc2Flow' | 'relay';

interface Entry {
  readonly id: string;
  readonly terminationId: string;
  readonly media: MediaInfo;
  readonly dcMedia: DcMedia;
  readonly requested: RequestedValues;
  readonly pointer: string;
  readonly mode: EntryMode;
  /** Where it says its port is; entries that say the same share it. */
  readonly port: string | undefined;
}

/** @throws ImsdcError MF_CONTEXT_INVALID with a JSON pointer */
export function readDesired(document: MediaContext, context: ReadContext): Desired {
  const entries = readEntries(document, context);
  const groups = groupByPort(
    entries.filter(({ mode }) => mode !== 'flow' && mode !== 'mdc2Flow'),
    context,
  );
  const associationOf = new Map<string, string>();
  for (const group of groups) for (const entry of group.entries) associationOf.set(entry.id, group.id);
  const far = farEnds(groups, associationOf);
  const read = new Map(groups.map((group) => [group.id, readAssociation(group, far, context.mdc2)]));
  const associations = new Map<string, DesiredAssociation>();
  for (const [id, association] of read) {
    const limits = association.streams.flatMap(({ sink }) => {
      const other = sink.kind === 'relay' ? read.get(sink.association) : undefined;
      return other?.knowsPeerSize && other.peerMaxMessageSizeBytes > 0 ? [other.peerMaxMessageSizeBytes] : [];
    });
    const { knowsPeerSize: _, ...rest } = association;
    associations.set(id, { ...rest, relayedMaxMessageSizeBytes: limits.length ? Math.min(...limits) : undefined });
  }
  for (const group of groups) {
    for (const entry of group.entries) {
      if (entry.mode !== 'mdc2' || !isDtls(entry.dcMedia)) continue;
      const towards = readMdc2Association(entry, associations.get(group.id)!, context.mdc2);
      associations.set(towards.id, towards);
    }
  }
  const flows = readFlows(entries.filter(({ mode }) => mode === 'flow'));
  for (const entry of entries) if (entry.mode === 'mdc2Flow') flows.set(entry.id, readMdc2Flow(entry, context.mdc2));
  return { associations, flows };
}

function readEntries(document: MediaContext, context: ReadContext): Entry[] {
  const entries: Omit<Entry, 'mode'>[] = [];
  const seen = new Set<string>();
  for (const [t, { terminationId, medias }] of document.terminations.entries()) {
    if (seen.has(terminationId)) throw contextInvalid(`/terminations/${t}/terminationId`, 'appears twice');
    seen.add(terminationId);
    for (const [m, media] of medias.entries()) {
      const pointer = `/terminations/${t}/medias/${m}`;
      const id = entryId(terminationId, media.mediaId);
      if (seen.has(id)) throw contextInvalid(`${pointer}/mediaId`, 'appears twice in its termination');
      seen.add(id);
      const { dcMedia } = media;
      if (media.mediaResourceType !== 'DC') {
        throw contextInvalid(`${pointer}/mediaResourceType`, 'only DC is anchored by this MF');
      }
      if (!dcMedia) throw contextInvalid(`${pointer}/dcMedia`, 'missing');
      const local = media.localMbEndpoint && readEndpoint(media.localMbEndpoint, `${pointer}/localMbEndpoint`);
      const port = local && `${local.address} ${local.port}`;
      const requested = context.requested(id, dcMedia);
      entries.push({ id, terminationId, media, dcMedia, requested, pointer, port });
    }
  }
  const byMedia = Map.groupBy(entries, (entry) => entry.media.mediaId);
  return entries.map((entry) => ({ ...entry, mode: modeOf(entry, byMedia.get(entry.media.mediaId)!) }));
}

/** Both vocabularies (R3); without a value, by what the entry carries. */
function modeOf(entry: Omit<Entry, 'mode'>, same: readonly Omit<Entry, 'mode'>[]): Entry['mode'] {
  const { mediaProxyConfig, remoteMdc2Endpoint, replaceHttpUrl } = entry.dcMedia;
  // R2: such a medium has a far end of its own in each of its terminations.
  if (remoteMdc2Endpoint) return mediaProxyConfig === 'UDP_PROXY' ? 'mdc2Flow' : 'mdc2';
  switch (mediaProxyConfig) {
    case 'HTTP':
    case 'HTTP_PROXY':
      // R2: in two terminations it is relayed; the URL would say that it ends here after all.
      return same.length > 1 && !replaceHttpUrl ? 'relay' : 'http';
    case 'DC_APPLICATION_PROXY':
      return 'relay';
    case 'UDP_PROXY':
      return 'flow';
    case 'UDP':
      return same.some((other) => other.dcMedia.remoteDcEndpoint) ? 'relay' : 'flow';
    case undefined:
      if (replaceHttpUrl) return 'http';
      return same.some((other) => other.dcMedia.remoteDcEndpoint) ? 'relay' : 'flow';
  }
}

/** Entries on one port and one far end: one association. Branches share a port but not an association (R20). */
interface Group {
  readonly id: string;
  readonly terminationId: string;
  readonly entries: Entry[];
  readonly sharesPortOf: string | undefined;
}

function groupByPort(entries: readonly Entry[], context: ReadContext): Group[] {
  const groups: Group[] = [];
  for (const entry of entries) {
    const onPort = entry.port === undefined ? [] : groups.filter((group) => group.entries[0]!.port === entry.port);
    const same = onPort.find((group) => group.terminationId === entry.terminationId);
    if (same) same.entries.push(entry);
    else {
      groups.push({
        id: context.associationOf(entry.id) ?? entry.id,
        terminationId: entry.terminationId,
        entries: [entry],
        sharesPortOf: onPort[0]?.id,
      });
    }
  }
  return groups;
}

/** Entry -> association its streams are relayed to: the newest branch on the other port of the same media (R2, R20). */
function farEnds(groups: readonly Group[], associationOf: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const far = new Map<string, string>();
  const portOf = (group: Group) => group.sharesPortOf ?? group.id;
  const all = groups.flatMap((group) => group.entries.map((entry) => ({ entry, group })));
  const relayed = all.filter(({ entry }) => entry.mode === 'relay');
  for (const same of Map.groupBy(relayed, ({ entry }) => entry.media.mediaId).values()) {
    const ports = new Set(same.map(({ group }) => portOf(group)));
    if (ports.size > 2) {
      throw contextInvalid(
        `${same.at(-1)!.entry.pointer}/mediaId`,
        'is in more than two terminations that share no port',
      );
    }
    for (const { entry, group } of same) {
      const other = same.findLast((candidate) => portOf(candidate.group) !== portOf(group));
      if (other) far.set(entry.id, associationOf.get(other.entry.id)!);
    }
  }
  return far;
}

type ReadAssociation = Omit<DesiredAssociation, 'relayedMaxMessageSizeBytes'> & { knowsPeerSize: boolean };

function readAssociation(group: Group, far: ReadonlyMap<string, string>, mdc2: Mdc2Rules): ReadAssociation {
  const first = group.entries[0]!;
  const { dcMedia, requested } = first;
  const dc =
    dcMedia.remoteDcEndpoint && readRemoteDc(dcMedia.remoteDcEndpoint, `${first.pointer}/dcMedia/remoteDcEndpoint`);
  const mb = first.media.remoteMbEndpoint;
  const address = mb && readEndpoint(mb, `${first.pointer}/remoteMbEndpoint`);
  const size = peerSize(requested);
  const streams = group.entries.flatMap((entry) => readStreams(entry, entry.mode, far.get(entry.id), mdc2));
  const twice = streams.find((stream, i) => streams.findIndex((other) => other.streamId === stream.streamId) < i);
  if (twice)
    throw contextInvalid(`${first.pointer}/dcMedia/streams/${twice.streamId}`, 'is in two media of one association');
  return {
    id: group.id,
    entries: group.entries.map((entry) => entry.id),
    // 0.0.0.0 is how SDP says "not now" (RFC 3264 8.4): nothing can be started towards it.
    remote: dc && address && !isUnspecified(address.address) ? { ...address, ...dc } : undefined,
    remoteDc: dc,
    peerSetup: dcMedia.remoteDcEndpoint?.securitySetup ?? requested.securitySetup,
    localSetup: dcMedia.imsdc?.localSetup,
    tlsId: dcMedia.localDcEndpoint?.tlsId,
    ice: dcMedia.imsdc?.ice ?? false,
    multiplexing: dcMedia.imsdc?.multiplexing ?? false,
    streams: streams.sort((a, b) => a.streamId - b.streamId),
    peerMaxMessageSizeBytes: size ?? DEFAULT_MAX_MESSAGE_SIZE_BYTES,
    knowsPeerSize: size !== undefined,
    sharesPortOf: group.sharesPortOf,
    eventUri: dcMedia.imsdc?.eventUri,
    usage: dcMedia.imsdc?.usage ?? false,
    mdc2Of: undefined,
    pointer: first.pointer,
  };
}

/** RFC 8841 6: when a=max-message-size is absent. */
const DEFAULT_MAX_MESSAGE_SIZE_BYTES = 65_536;

/** Bytes where the vendor member says so; the standard field counts KiB, and above 1,024 only bytes make sense (network-side.md 3.6). */
function peerSize(requested: RequestedValues): number | undefined {
  if (requested.maxMessageSizeBytes !== undefined) return requested.maxMessageSizeBytes;
  const { maxMessageSize } = requested;
  if (maxMessageSize === undefined) return undefined;
  return maxMessageSize > 1_024 ? maxMessageSize : maxMessageSize * 1_024;
}

function readFlows(entries: readonly Entry[]): Map<string, DesiredFlow> {
  const flows = new Map<string, DesiredFlow>();
  for (const [mediaId, same] of Map.groupBy(entries, (entry) => entry.media.mediaId)) {
    const ends: [Entry, ...Entry[]][] = [];
    for (const entry of same) {
      const end = ends.find(([first]) => entry.port !== undefined && first.port === entry.port);
      if (end) end.push(entry);
      else ends.push([entry]);
    }
    const [a, b] = ends;
    if (!a || !b || ends.length > 2) {
      const problem = 'relays datagrams, so it must be in two terminations';
      throw contextInvalid(`${same.at(-1)!.pointer}/mediaId`, problem);
    }
    const ice = same.some((entry) => entry.dcMedia.imsdc?.ice);
    flows.set(mediaId, { id: mediaId, ice, a: readFlowEnd(a), b: readFlowEnd(b), pointer: a[0].pointer });
  }
  return flows;
}

function readFlowEnd(branches: readonly [Entry, ...Entry[]]): FlowEnd {
  const remotes = branches.map(({ media, pointer }) => {
    const remote = media.remoteMbEndpoint && readEndpoint(media.remoteMbEndpoint, `${pointer}/remoteMbEndpoint`);
    return remote && !isUnspecified(remote.address) ? remote : undefined;
  });
  return {
    entries: branches.map(({ id }) => id),
    remote: remotes.findLast((remote) => remote !== undefined),
    eventUri: branches[0].dcMedia.imsdc?.eventUri,
    usage: branches[0].dcMedia.imsdc?.usage ?? false,
  };
}

/** Datagrams between the UE and a DC AS, where DTLS ends (23.228 AC.7.2.2). */
function readMdc2Flow(entry: Entry, rules: Mdc2Rules): DesiredFlow {
  const { dcMedia, id, pointer } = entry;
  checkDatagrams(dcMedia, pointer, rules);
  const remote = readEndpoint(dcMedia.remoteMdc2Endpoint!, `${pointer}/dcMedia/remoteMdc2Endpoint`);
  const b = { entries: [], remote, eventUri: undefined, usage: false };
  return { id, ice: dcMedia.imsdc?.ice ?? false, a: readFlowEnd([entry]), b, pointer };
}
