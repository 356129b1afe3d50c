import { ImsdcError } from '../../errors.ts';
import { answerStun } from '../../stun/responder.ts';
import type { Destination } from '../types.ts';
import {
  type DatagramSocket,
  type DatagramSource,
  NodeDatagramSocket,
  type OpenDatagramSocket,
} from './datagram-socket.ts';
import type { LocalAddress, SipTransport, TransportSink } from './transport.ts';

/** STUN messages begin with two zero bits (RFC 8489 5); SIP begins with a letter or CRLF. */
const isStun = (bytes: Buffer): boolean => bytes.length >= 20 && bytes[0]! < 2;

const openNodeSocket: OpenDatagramSocket = (local, reader) => new NodeDatagramSocket(local, reader);

/** One UDP socket. It answers STUN Binding requests by itself (RFC 5626 4.4.2, 5.4). */
export class UdpTransport implements SipTransport {
  readonly transport = 'udp';
  readonly connections = 0;
  local: LocalAddress;
  readonly #sink: TransportSink;
  readonly #socket: DatagramSocket;

  constructor(local: LocalAddress, sink: TransportSink, open: OpenDatagramSocket = openNodeSocket) {
    this.local = local;
    this.#sink = sink;
    this.#socket = open(local, {
      received: (bytes, from) => this.#received(bytes, from),
      trouble: (what, detail) => sink.trouble(what, detail),
    });
  }

  async start(): Promise<void> {
    const { address, port } = this.local;
    try {
      this.local = { address, port: await this.#socket.bind() };
    } catch (cause) {
      throw new ImsdcError(
        'SIP_LISTEN',
        { transport: 'udp', address, port, problem: (cause as Error).message },
        { cause },
      );
    }
  }

  #received(bytes: Buffer, { address, port }: DatagramSource): void {
    // RFC 768 allows it, and nothing can be sent there: Node throws.
    if (port === 0) {
      this.#sink.trouble('socketError', `a datagram from port 0 of ${address}`);
      return;
    }
    if (isStun(bytes)) {
      const { reply } = answerStun(bytes, { address, port }, null);
      const failed = (error: Error) => this.#sink.trouble('socketError', `STUN: ${error.message}`);
      if (reply !== null) this.#socket.send(reply, port, address, failed);
      return;
    }
    this.#sink.received(bytes, {
      transport: 'udp',
      remoteAddress: address,
      remotePort: port,
      localAddress: this.local.address,
      localPort: this.local.port,
    });
  }

  send(wire: string | Buffer, { address, port }: Destination, onFailed: (error: Error) => void): void {
    if (port === 0) queueMicrotask(() => onFailed(new Error('nobody is reached at port 0')));
    else this.#socket.send(wire, port, address, onFailed);
  }

  close(): Promise<void> {
    return this.#socket.close();
  }
}
