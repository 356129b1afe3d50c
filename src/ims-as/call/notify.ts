import { dictionary } from '../../base/dictionary.ts';
import { isRejection, readDataChannelMedia } from '../../sdp/data-channel.ts';
import { toAppBindingInfo, toDcEndpoint, toMaxMessageSizeKiB, toSecuritySetup } from '../../sdp/service-mapping.ts';
import type { SessionDescription } from '../../sdp/types.ts';
import type { NotifiedMedia, SessionEventNotification, SessionEventType } from '../../services/nimsas.ts';
import { supportsDataChannel } from '../b2bua/party.ts';
import { streamsAt } from '../media/multiplex.ts';
import { joinedStreams } from '../media/streams.ts';
import type { MediaLine, MediaState } from '../media/types.ts';
import type { Turn } from './turn.ts';
import type { CallConfig, LegName } from './types.ts';

/** How long a notification that nobody waits for may take. */
const REPORT_DEADLINE_MS = 10_000;

/**
 * Tells the DCSF. Only calls that have, or had, a data channel line are told of; only `*_REQUEST` events are waited
 * for (R15), by the id that is returned.
 */
export function notify(
  turn: Turn,
  eventType: SessionEventType,
  initiator: LegName,
  media: Record<string, NotifiedMedia>,
  deadlineMs?: number,
): string {
  const { call, env } = turn;
  const id = `n${call.serial++}`;
  const notification: SessionEventNotification = {
    notificationEvent: {
      eventType,
      eventInitiator: initiator === 'served' ? 'SERVED_IMS_SUBSCRIBER' : 'REMOTE_IMS_SUBSCRIBER',
    },
    sessionId: call.sessionId,
    sessionInfo: {
      callingIdentity: call.identities.calling,
      calledIdentity: call.identities.called,
      sessionCase: call.sessionCase === 'originating' ? 'ORIGINATING_IMS_SESSION' : 'TERMINATING_IMS_SESSION',
      peerSupportsDc: peerSupport(turn),
      offererMultiplexes: call.media?.multiplexing[initiator] || undefined,
    },
    mediaInfoList: Object.keys(media).length === 0 ? undefined : media,
  };
  turn.out.emit({ kind: 'notify', id, notification, deadlineMs: deadlineMs ?? env.nowMs + REPORT_DEADLINE_MS });
  return id;
}

/** The DCSF asks about the other side of the served user; a caller that offers data channels has them. */
function peerSupport({ call }: Turn): boolean | undefined {
  return call.caller === 'served'
    ? call.calleeSupportsDataChannel
    : supportsDataChannel(call.legs.served.contactParams) || undefined;
}

/** Every m-line of an offer (network-side.md 3.1: all on a REQUEST); data channels with what their sections say. */
export function offeredMedia(
  media: MediaState,
  leg: LegName,
  offer: SessionDescription,
  { acceptSha1 }: Pick<CallConfig, 'acceptSha1'>,
): Record<string, NotifiedMedia> {
  const list = dictionary<NotifiedMedia>();
  for (const line of media.lines) {
    const slot = line.slots[leg];
    if (slot < 0 || line.state !== 'open' || (line.dataChannel && line.treatment === 'refused')) continue;
    list[line.id] = line.dataChannel
      ? offeredChannel(media, line, leg, offer, slot, acceptSha1)
      : { mediaId: line.id, mediaType: line.media.toUpperCase() };
  }
  return list;
}

function offeredChannel(
  media: MediaState,
  line: MediaLine,
  leg: LegName,
  offer: SessionDescription,
  slot: number,
  acceptSha1: boolean,
): NotifiedMedia {
  const read = readDataChannelMedia(offer, slot, { as: 'offer', acceptSha1 });
  if (isRejection(read)) return knownChannel(line);
  const setup = read.setup === 'holdconn' ? undefined : toSecuritySetup(read.setup);
  return {
    mediaId: line.id,
    mediaType: 'DC',
    dcMediaSpecification: {
      streams: joinedStreams(streamsAt(media, line, leg), line.proposed),
      maxMessageSize: toMaxMessageSizeKiB(read.maxMessageSizeBytes),
      remoteDcEndpoint: toDcEndpoint(read),
      securitySetup: setup,
      bdcUsedBy: read.bootstrapUsedBy?.toUpperCase(),
      appBindingInfos: read.applications.length === 0 ? undefined : read.applications.map(toAppBindingInfo),
    },
  };
}

/** The data channel lines by what is kept of them: for reports. */
export function channels(lines: readonly MediaLine[]): Record<string, NotifiedMedia> {
  const list = dictionary<NotifiedMedia>();
  for (const line of lines) {
    if (line.dataChannel && line.state !== 'closed' && line.treatment !== 'refused') list[line.id] = knownChannel(line);
  }
  return list;
}

export function knownChannel(line: MediaLine): NotifiedMedia {
  return { mediaId: line.id, mediaType: 'DC', dcMediaSpecification: { streams: line.streams } };
}
