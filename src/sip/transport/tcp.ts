import { connect, createServer } from 'node:net';
import { STREAM_LIMITS, type StreamBinding, type StreamLimits, StreamTransport } from './stream.ts';
import type { LocalAddress, TransportSink } from './transport.ts';

export const TCP_LIMITS: StreamLimits = STREAM_LIMITS;

const TCP: StreamBinding = {
  transport: 'tcp',
  readyEvent: 'connect',
  listen: (onConnection) => createServer({ noDelay: true }, onConnection),
  connect: (to, localAddress) => connect({ host: to.address, port: to.port, localAddress, noDelay: true }),
  peerNames: () => undefined,
};

/** SIP over TCP. */
export class TcpTransport extends StreamTransport {
  constructor(local: LocalAddress, sink: TransportSink, limits: StreamLimits = TCP_LIMITS) {
    super(TCP, local, sink, limits);
  }
}
