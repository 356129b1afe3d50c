import { isRejection, readDataChannelMedia } from '../../sdp/data-channel.ts';
import { parseSessionDescription } from '../../sdp/parse.ts';
import type { DcStream } from '../../services/common-data.ts';
import { sessionFork } from '../call/turn.ts';
import type { Call, LegName } from '../call/types.ts';
import { endOf, slotOf } from '../media/multiplex.ts';
import type { MediaLine, MediaState } from '../media/types.ts';
import type { ChannelRecord } from './channel-record.ts';

const LEGS = ['served', 'remote'] as const;

/** What a call says of one of its channels while it is open. */
export interface OpenChannel {
  readonly line: MediaLine;
  readonly streamId: number;
  readonly stream: DcStream;
}

/** By `mediaId/streamId`: the channels that both peers have agreed on, or that an early answer lets begin (R5). */
export function openChannels(call: Call): Map<string, OpenChannel> {
  const open = new Map<string, OpenChannel>();
  for (const line of call.media?.lines ?? []) {
    if (!line.dataChannel || line.state === 'closed' || !hasBegun(call, line)) continue;
    for (const [id, stream] of Object.entries(line.streams)) {
      open.set(`${line.id}/${id}`, { line, streamId: Number(id), stream });
    }
  }
  return open;
}

function hasBegun(call: Call, line: MediaLine): boolean {
  switch (line.treatment) {
    case 'pass':
      return call.state === 'established';
    case 'refused':
    case 'undecided':
      return false;
    default:
      return anchoredLegs(call, line).length > 0 || line.closedBy === 'mf' || wasReanchored(line);
  }
}

/** Between two MFs it is with none, and goes on (R25). */
function wasReanchored(line: MediaLine): boolean {
  return LEGS.some((leg) => line.ends[leg]?.firstFork !== undefined);
}

/** Legs on which the MF was told where the peer is: it counts there. */
export function anchoredLegs({ media }: Call, line: MediaLine): LegName[] {
  if (media === null) return [];
  const isStarted = (leg: LegName) =>
    endOf(media, line, leg)?.peers.some((peer) => typeof peer === 'object' && peer.started) === true;
  return LEGS.filter(isStarted);
}

export function modeOf(line: MediaLine, streamId: number): ChannelRecord['mode'] {
  if (streamId < 1_000) return 'bootstrap';
  if (line.spec?.mdc2 === undefined) return 'P2P';
  if (line.treatment === 'originate') return 'A2P';
  return line.treatment === 'terminate' ? 'P2A' : 'P2A2P';
}

export function proxyOf(line: MediaLine): ChannelRecord['proxy'] {
  switch (line.spec?.proxy) {
    case 'HTTP':
    case 'HTTP_PROXY':
      return 'HTTP_PROXY';
    case 'UDP_PROXY':
      return 'UDP_PROXY';
    case 'UDP':
    case 'DC_APPLICATION_PROXY':
      return line.treatment === 'flow' ? 'UDP_PROXY' : 'DC_APPLICATION_PROXY';
    case undefined:
      return null;
  }
}

/** The application that the stream is bound to: what its offerer said, or what the DCSF did. */
export function applicationOf(call: Call, { line, streamId }: OpenChannel): string | null {
  const bound = line.spec?.applications?.find(({ appDcInfoList = [] }) =>
    appDcInfoList.some((info) => info.streamId === streamId),
  );
  if (bound !== undefined) return bound.applicationId;
  const { media } = call;
  if (media === null) return null;
  const text = offererSaid(media, line, sessionFork(call));
  if (text === undefined) return null;
  const slot = slotOf(media, line, line.born);
  const read = readDataChannelMedia(parseSessionDescription(text), slot, { as: 'offer', acceptSha1: true });
  if (isRejection(read)) return null;
  const named = read.applications.find(({ channels }) => channels.some((channel) => channel.streamId === streamId));
  return named?.applicationId ?? null;
}

function offererSaid(media: MediaState, line: MediaLine, fork: number): string | undefined {
  const state = media.sdp[fork]?.[line.born].offerAnswer;
  if (state === undefined || slotOf(media, line, line.born) < 0) return undefined;
  if (state.state === 'offerReceived') return state.offer;
  return state.agreed?.remote;
}
