/**
 * The peer: an MF in Node on node-datachannel, as one would write it. Relays in JavaScript between two channels, or
 * discards. A child process, driven by messages from `ndc-peer.ts`. It is a full ICE agent; the UEs are ICE-lite.
 */
import ndc from 'node-datachannel';

export interface AddRequest {
  readonly kind: 'add';
  readonly key: string;
  readonly remoteSdp: string;
  /** Messages of this leg go to that one. */
  readonly relayTo?: string;
}
export interface AddReply {
  readonly kind: 'added';
  readonly key: string;
  readonly sdp: string;
}

const channels = new Map<string, ndc.DataChannel>();
const connections = new Map<string, ndc.PeerConnection>();
ndc.setSctpSettings({ sendBufferSize: 1 << 20, recvBufferSize: 1 << 20 });

process.on('message', (request: AddRequest | { kind: 'open'; key: string }) => {
  if (request.kind !== 'add') return;
  const { key, remoteSdp, relayTo } = request;
  const connection = new ndc.PeerConnection(key, {
    iceServers: [],
    bindAddress: '127.0.0.1',
    disableAutoNegotiation: true,
    maxMessageSize: 262_144,
  });
  connections.set(key, connection);
  const channel = connection.createDataChannel('bench', { negotiated: true, id: 0 } as never);
  channels.set(key, channel);
  channel.onMessage((message) => {
    const target = relayTo ? channels.get(relayTo) : undefined;
    if (!target) return;
    if (typeof message === 'string') target.sendMessage(message);
    else target.sendMessageBinary(message as Buffer);
  });
  channel.onOpen(() => process.send?.({ kind: 'open', key }));
  connection.onGatheringStateChange((state) => {
    if (state === 'complete')
      process.send?.({ kind: 'added', key, sdp: connection.localDescription()?.sdp } as AddReply);
  });
  connection.setRemoteDescription(remoteSdp, 'offer' as never);
  connection.setLocalDescription('answer' as never);
});
process.on('disconnect', () => process.exit(0));
