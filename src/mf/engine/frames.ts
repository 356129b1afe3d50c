import type { FrameBody, ReplyBody } from '../worker/codec.ts';
import type {
  Counters,
  FlowEndpoints,
  FlowOptions,
  FlowSide,
  LocalEndpoint,
  RemoteEndpoint,
  StreamSpec,
} from './types.ts';

export const ZERO_COUNTERS: Counters = {
  bytesReceived: 0,
  bytesSent: 0,
  messagesReceived: 0,
  messagesSent: 0,
  dropped: 0,
};

export function startBody(remote: RemoteEndpoint): FrameBody<'START'> {
  return {
    remoteAddress: remote.address,
    remotePort: remote.port,
    remoteSctpPort: remote.sctpPort,
    role: remote.role,
    streams: remote.streams,
    maxMessageSizeBytes: remote.maxMessageSizeBytes,
    ice: remote.ice,
    natLatch: remote.natLatch ?? false,
    pinhole: remote.pinhole ?? false,
    fingerprints: remote.fingerprints.map(normalFingerprint),
  };
}

export function streamsBody(streams: readonly StreamSpec[]): FrameBody<'STREAMS'> {
  return {
    streams: streams.map((spec) => ({
      streamId: spec.streamId,
      ordered: spec.ordered,
      // RFC 8864 5.1.8: never both.
      ...(spec.maxRetransmissions !== undefined
        ? { reliability: 'maxRetransmissions' as const, reliabilityValue: spec.maxRetransmissions }
        : spec.maxTimeMs !== undefined
          ? { reliability: 'maxTimeMs' as const, reliabilityValue: spec.maxTimeMs }
          : { reliability: 'reliable' as const, reliabilityValue: 0 }),
      priority: spec.priority,
    })),
  };
}

export function flowBody(options: FlowOptions): FrameBody<'FLOW'> {
  const side = ({ bindAddress, port, remote, fingerprints }: FlowSide) => ({
    bindAddress,
    port,
    remoteAddress: remote?.address ?? '',
    remotePort: remote?.port ?? 0,
    fingerprints: (fingerprints ?? []).map(normalFingerprint),
  });
  return {
    path: options.path ?? 'auto',
    ice: options.ice ?? false,
    natLatch: options.natLatch ?? false,
    sides: [side(options.a), side(options.b)],
  };
}

export function localEndpoint(reply: ReplyBody<'RESERVE'>): LocalEndpoint {
  const { iceUfrag, icePwd, ...rest } = reply;
  return { ...rest, ...(iceUfrag === '' ? {} : { iceUfrag, icePwd }) };
}

export function flowEndpoints(reply: ReplyBody<'FLOW'>): FlowEndpoints {
  const [a, b] = reply.sides.map(({ iceUfrag, icePwd, ...rest }) => ({
    ...rest,
    ...(iceUfrag === '' ? {} : { iceUfrag, icePwd }),
  }));
  return { a: a!, b: b!, path: reply.path };
}

/** SDP may write the hash function in any case; frames carry it in lower case, the value in upper case. */
function normalFingerprint(fingerprint: string): { value: string } {
  const [hash = '', value = ''] = fingerprint.trim().split(/[ \t]+/);
  return { value: `${hash.toLowerCase()} ${value.toUpperCase()}` };
}
