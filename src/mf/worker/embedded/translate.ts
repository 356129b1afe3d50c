import type { ChannelSpec } from '../../../ndc/channel.ts';
import type { FarEnd } from '../../../ndc/types.ts';
import type { FrameBody } from '../codec.ts';

export type StreamSpec = FrameBody<'STREAMS'>['streams'][number];

export function channelSpec(spec: StreamSpec): ChannelSpec {
  const { streamId, ordered, reliability, reliabilityValue } = spec;
  return {
    streamId,
    ordered,
    ...(reliability === 'maxRetransmissions' ? { maxRetransmissions: reliabilityValue } : {}),
    ...(reliability === 'maxTimeMs' ? { maxTimeMs: reliabilityValue } : {}),
  };
}

export function farEnd(body: FrameBody<'START'>): FarEnd {
  return {
    address: body.remoteAddress,
    port: body.remotePort,
    sctpPort: body.remoteSctpPort,
    fingerprints: body.fingerprints.map(({ value }) => value),
    role: body.role,
    maxMessageSizeBytes: body.maxMessageSizeBytes,
    ice: body.ice,
    natLatch: body.natLatch,
    pinhole: body.pinhole,
  };
}
