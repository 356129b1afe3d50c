import type { AppBindingInfo, DcStream } from '../../services/common-data.ts';
import type { NotifiedMedia } from '../../services/nimsas.ts';

export interface StreamBinding {
  readonly applicationId: string;
  readonly endpoint: 'UE' | 'SERVER';
}

/**
 * Which application each stream belongs to. Sources in this order: the Rel-19 list beside the streams, the Rel-18
 * member of the stream (object or JSON text; network-side.md 3.6 row 10), the label of deployed handsets
 * (`local_<appId>_<useCase>_<dcId>`, ue-side.md 2.4). Unbound streams are absent from the map.
 */
export function bindings(media: NotifiedMedia): Map<number, StreamBinding> {
  const bound = new Map<number, StreamBinding>();
  const specification = media.dcMediaSpecification;
  if (!specification) return bound;
  for (const info of specification.appBindingInfos ?? []) addInfo(bound, info);
  for (const [key, stream] of Object.entries(specification.streams)) {
    const streamId = Number(key);
    if (!bound.has(streamId)) addInfo(bound, parsed(stream.appBindingInfo));
    const labelled = bound.has(streamId) ? undefined : fromLabel(stream);
    if (labelled) bound.set(streamId, labelled);
  }
  return bound;
}

function addInfo(bound: Map<number, StreamBinding>, info: AppBindingInfo | undefined): void {
  for (const channel of info?.appDcInfoList ?? []) {
    if (info && !bound.has(channel.streamId)) {
      bound.set(channel.streamId, { applicationId: info.applicationId, endpoint: channel.adcEndpointType });
    }
  }
}

/** Reads somebody else's JSON: anything that is not the expected shape counts as no binding. */
function parsed(value: unknown): AppBindingInfo | undefined {
  const candidate = typeof value === 'string' ? jsonOrNothing(value) : value;
  if (typeof candidate !== 'object' || candidate === null) return undefined;
  const { applicationId, appDcInfoList } = candidate as { applicationId?: unknown; appDcInfoList?: unknown };
  if (typeof applicationId !== 'string' || !applicationId || !Array.isArray(appDcInfoList)) return undefined;
  const channels = appDcInfoList.filter(isChannel);
  return { applicationId, appDcInfoList: channels };
}

function jsonOrNothing(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // raw SDP text is legal here (row 10); the AS has then bound by label
  }
}

function isChannel(value: unknown): value is { streamId: number; adcEndpointType: 'UE' | 'SERVER' } {
  if (typeof value !== 'object' || value === null) return false;
  const { streamId, adcEndpointType } = value as Record<string, unknown>;
  return Number.isInteger(streamId) && (adcEndpointType === 'UE' || adcEndpointType === 'SERVER');
}

/** Use case 0 = P2A and 2 = A2P end at a server, 1 = P2P at the other UE (miniapp-runtime.md 5). */
const LABEL = /^(?:local|remote)_([^_]+)_([012])_[^_]+$/;

function fromLabel(stream: DcStream): StreamBinding | undefined {
  const match = LABEL.exec(stream.label ?? '');
  return match ? { applicationId: match[1]!, endpoint: match[2] === '1' ? 'UE' : 'SERVER' } : undefined;
}
