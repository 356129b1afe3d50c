import type { DataChannelStream } from '../../sdp/types.ts';
import type { DataChannelContent } from '../../sdp/write-data-channel.ts';

/** One channel that a mini-app asks for. */
export interface ApplicationChannel {
  readonly streamId: number;
  /** Who talks at the far end: the other UE (P2P) or the network's application server (P2A). */
  readonly endpoint: 'UE' | 'SERVER';
  /** The last part of the label: the app's own name of the channel. */
  readonly name: string;
  readonly subprotocol?: string;
  readonly ordered?: boolean;
  readonly maxRetransmissions?: number;
  readonly maxTimeMs?: number;
}

export interface ApplicationRequest {
  readonly applicationId: string;
  readonly channels: readonly ApplicationChannel[];
  /** `attribute`: a=3gpp-req-app beside the label, as E6; `label`: the label alone, as deployed handsets. */
  readonly boundBy: 'attribute' | 'label';
  readonly bandwidthKbps?: number;
  readonly qosHint?: string;
}

/** b=AS of E6, kbit/s. */
const DEFAULT_KBPS = 1000;
/** The use case in the label: 0 = P2A, 1 = P2P (ue-side 2.4). */
const USE_CASE = { SERVER: 0, UE: 1 } as const;

/** The m-line of E6 for an application. */
export function applicationContent(request: ApplicationRequest): DataChannelContent {
  const bindings = request.channels.map(
    ({ streamId, endpoint }) => `${streamId}-${endpoint === 'UE' ? 'UE' : 'Server'}`,
  );
  return {
    streams: request.channels.map((channel) => stream(request.applicationId, channel)),
    bandwidthKbps: request.bandwidthKbps ?? DEFAULT_KBPS,
    ...(request.boundBy === 'attribute'
      ? { applicationLines: [`${request.applicationId};adc-stream-id-endpoint=${bindings.join(',')}`] }
      : {}),
    ...(request.qosHint === undefined ? {} : { qosHint: request.qosHint }),
  };
}

function stream(applicationId: string, channel: ApplicationChannel): DataChannelStream {
  return {
    streamId: channel.streamId,
    label: `local_${applicationId}_${USE_CASE[channel.endpoint]}_${channel.name}`,
    subprotocol: channel.subprotocol ?? '',
    ordered: channel.ordered ?? true,
    ...(channel.maxRetransmissions === undefined ? {} : { maxRetransmissions: channel.maxRetransmissions }),
    ...(channel.maxTimeMs === undefined ? {} : { maxTimeMs: channel.maxTimeMs }),
    priority: 256,
    dcsa: [],
  };
}
