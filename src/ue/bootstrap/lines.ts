import type { DataChannelStream } from '../../sdp/types.ts';
import type { DataChannelContent } from '../../sdp/write-data-channel.ts';

/** b=AS of the examples (TS 26.114 A.17), kbit/s. */
const BOOTSTRAP_KBPS = 500;

function httpStream(streamId: number): DataChannelStream {
  return { streamId, label: '', subprotocol: 'http', ordered: true, priority: 256, dcsa: [] };
}

/** The two bootstrap lines of an offer: our own network and user, and the far ones (E1). */
export const BOOTSTRAP_LINES: readonly DataChannelContent[] = [
  { streams: [httpStream(0), httpStream(10)], bandwidthKbps: BOOTSTRAP_KBPS },
  { streams: [httpStream(100), httpStream(110)], bandwidthKbps: BOOTSTRAP_KBPS, bootstrapUsedBy: 'sender' },
];
