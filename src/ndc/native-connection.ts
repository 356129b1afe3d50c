import { type DataChannel, PeerConnection } from 'node-datachannel';
import { type Certificate, MAX_MESSAGE_BYTES } from './types.ts';

export interface ConnectionHandlers {
  /** libdatachannel has a DTLS transport from now on. */
  iceConnected(): void;
  state(state: string): void;
  /** Whatever goes wrong inside a callback: the native caller would skip its own cleanup. */
  fault(error: unknown): void;
}

/** A PeerConnection of libdatachannel that does nothing by itself and talks to loopback only. */
export function openConnection(
  certificate: Certificate,
  mtuBytes: number,
  handlers: ConnectionHandlers,
): PeerConnection {
  const pc = new PeerConnection('imsdc', {
    iceServers: [],
    bindAddress: '127.0.0.1',
    disableAutoNegotiation: true,
    // More than this is cut silently by libdatachannel, so it is the most there can be, not what SDP says.
    maxMessageSize: MAX_MESSAGE_BYTES,
    mtu: mtuBytes,
    // PEM text is taken as well as a file name.
    certificatePemFile: certificate.certificatePem,
    keyPemFile: certificate.keyPem,
  });
  const guard =
    <A>(callback: (value: A) => void) =>
    (value: A) => {
      try {
        callback(value);
      } catch (error) {
        handlers.fault(error);
      }
    };
  pc.onIceStateChange(guard((state) => state === 'connected' && handlers.iceConnected()));
  pc.onStateChange(guard((state) => handlers.state(state)));
  // Negotiated streams only: a DCEP OPEN is not ours to serve.
  pc.onDataChannel(guard((channel: DataChannel) => channel.close()));
  return pc;
}
