import type {
  MediaInstruction,
  MediaInstructionData,
  NotifiedMedia,
  SessionEventNotification,
} from '../../src/services/nimsas.ts';
import type { Random } from './random.ts';

export interface DcsfBehaviour {
  readonly mode: 'works' | 'rejects' | 'throws' | 'slow' | 'never' | 'silent';
  readonly delayMs: number;
  /** What becomes of application lines between the UEs. */
  readonly applications: 'pass' | 'relay' | 'flow' | 'terminate';
  readonly transit: 'anchor' | 'pass';
}

/** What the DCSF of one network decides, as agreed in rules.md R1; enough of it to drive the AS. */
export function instructionsFor(
  behaviour: DcsfBehaviour,
  notification: SessionEventNotification,
  known: Set<string>,
  random: Random,
): MediaInstructionData | undefined {
  const set: Record<string, MediaInstruction> = {};
  const originating = notification.sessionInfo?.sessionCase === 'ORIGINATING_IMS_SESSION';
  let bootstrap = false;
  for (const [mediaId, media] of Object.entries(notification.mediaInfoList ?? {})) {
    // A DCSF decides on what is new to it.
    if (media.mediaType !== 'DC' || known.has(mediaId)) continue;
    known.add(mediaId);
    const ids = Object.keys(media.dcMediaSpecification?.streams ?? {}).map(Number);
    if (ids.some((id) => id < 1000)) {
      bootstrap = true;
      const instruction = bootstrapLine(behaviour, mediaId, media, originating);
      if (instruction !== undefined) set[mediaId] = instruction;
    } else set[mediaId] = applicationLine(behaviour, mediaId, media);
  }
  if (
    behaviour.mode !== 'rejects' &&
    bootstrap &&
    notification.notificationEvent.eventType === 'SESSION_ESTABLISHMENT_REQUEST'
  ) {
    const id = `d-${random.hex(8)}`;
    known.add(id);
    const streamId = originating ? 100 : 0;
    set[id] = {
      mediaId: id,
      mediaResourceType: 'DC',
      mediaInstruction: 'ORIGINATE_MEDIA',
      dcMediaSpecification: http(
        streamId,
        { [streamId]: { streamId, subprotocol: 'http' } },
        originating ? 'remote' : 'served',
      ),
    };
  }
  return Object.keys(set).length === 0 ? undefined : { sessionId: notification.sessionId, mediaInstructionSet: set };
}

function http(
  streamId: number,
  streams: Record<string, { streamId: number; subprotocol?: string }>,
  towards?: 'served' | 'remote',
): NonNullable<MediaInstruction['dcMediaSpecification']> {
  return {
    mediaProxyConfig: 'HTTP_PROXY',
    replaceHttpUrls: { [streamId]: { streamId, replaceHttpUrl: 'http://127.0.0.1:9/' } },
    mdc1EndpointDcsf: { ip: { ipv4Addr: '127.0.0.1' }, transport: 'TCP', portNumber: 9 },
    streams,
    ...(towards === undefined ? {} : { imsdcTowards: towards }),
  };
}

function bootstrapLine(
  behaviour: DcsfBehaviour,
  mediaId: string,
  media: NotifiedMedia,
  originating: boolean,
): MediaInstruction | undefined {
  const streams = media.dcMediaSpecification?.streams ?? {};
  const line = { mediaId, mediaResourceType: 'DC' };
  if (behaviour.mode === 'rejects') return { ...line, mediaInstruction: 'REJECT_MEDIA' };
  const sender = media.dcMediaSpecification?.bdcUsedBy !== 'RECEIVER';
  const ends = '0' in streams || (!originating && sender);
  const kept = '0' in streams ? 0 : 100;
  if (!(kept in streams)) return { ...line, mediaInstruction: 'REJECT_MEDIA' };
  if (ends)
    return {
      ...line,
      mediaInstruction: 'TERMINATE_MEDIA',
      dcMediaSpecification: http(kept, { [kept]: streams[kept]! }),
    };
  if (behaviour.transit === 'pass') return line;
  return {
    ...line,
    mediaInstruction: 'TERMINATE_AND_ORIGINATE_MEDIA',
    dcMediaSpecification: { mediaProxyConfig: 'DC_APPLICATION_PROXY', streams: { [kept]: streams[kept]! } },
  };
}

function applicationLine(behaviour: DcsfBehaviour, mediaId: string, media: NotifiedMedia): MediaInstruction {
  const streams = media.dcMediaSpecification?.streams ?? {};
  const line = { mediaId, mediaResourceType: 'DC' };
  if (behaviour.mode === 'rejects') return { ...line, mediaInstruction: 'REJECT_MEDIA' };
  switch (behaviour.applications) {
    case 'pass':
      return line;
    case 'relay':
      return {
        ...line,
        mediaInstruction: 'TERMINATE_AND_ORIGINATE_MEDIA',
        dcMediaSpecification: { mediaProxyConfig: 'DC_APPLICATION_PROXY', streams },
      };
    case 'flow':
      return {
        ...line,
        mediaInstruction: 'TERMINATE_AND_ORIGINATE_MEDIA',
        dcMediaSpecification: { mediaProxyConfig: 'UDP_PROXY', streams },
      };
    case 'terminate':
      return {
        ...line,
        mediaInstruction: 'TERMINATE_MEDIA',
        dcMediaSpecification: {
          mediaProxyConfig: 'DC_APPLICATION_PROXY',
          mdc2EndpointDcAs: { ip: { ipv4Addr: '127.0.0.1' }, transport: 'TCP', portNumber: 10 },
          streams,
        },
      };
  }
}
