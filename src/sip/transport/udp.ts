import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { ImsdcError } from '../../errors.ts';
import { answerStun } from '../../stun/responder.ts';
import type { Destination } from '../types.ts';
import { isIPv6, type LocalAddress, type SipTransport, type TransportSink } from './transport.ts';

/**
 * Asked of the kernel, which silently grants at most net.core.rmem_max: a burst of calls must fit while the event loop
 * is busy. Raise the sysctl in production.
 */
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;

/** STUN messages begin with two zero bits (RFC 8489 5); SIP begins with a letter or CRLF. */
const isStun = (bytes: Buffer): boolean => bytes.length >= 20 && bytes[0]! < 2;

/** One UDP socket. It answers STUN Binding requests by itself (RFC 5626 4.4.2, 5.4). */
export class UdpTransport implements SipTransport {
  readonly transport = 'udp';
  readonly connections = 0;
  local: LocalAddress;
  readonly #sink: TransportSink;
  readonly #socket: Socket;

  constructor(local: LocalAddress, sink: TransportSink) {
    this.local = local;
    this.#sink = sink;
    const ipv6 = isIPv6(local.address);
    this.#socket = createSocket({
      type: ipv6 ? 'udp6' : 'udp4',
      ipv6Only: ipv6,
      recvBufferSize: SOCKET_BUFFER_BYTES,
      sendBufferSize: SOCKET_BUFFER_BYTES,
      // Destinations are resolved already; the default would go through a tick per datagram.
      lookup: (address, _options, callback) => callback(null, address, ipv6 ? 6 : 4),
    });
  }

  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      const failed = (error: Error): void => {
        const { address, port } = this.local;
        this.#socket.close();
        reject(
          new ImsdcError('SIP_LISTEN', { transport: 'udp', address, port, problem: error.message }, { cause: error }),
        );
      };
      this.#socket.once('error', failed);
      this.#socket.bind(this.local.port, this.local.address, () => {
        this.#socket.off('error', failed);
        this.#socket.on('error', (error) => this.#sink.trouble('socketError', error.message));
        this.#socket.on('message', (bytes, remote) => this.#onMessage(bytes, remote));
        this.local = { address: this.local.address, port: this.#socket.address().port };
        resolve();
      });
    });
  }

  #onMessage(bytes: Buffer, remote: RemoteInfo): void {
    // RFC 768 allows it, and nothing can be sent there: Node throws.
    if (remote.port === 0) {
      this.#sink.trouble('socketError', `a datagram from port 0 of ${remote.address}`);
      return;
    }
    if (isStun(bytes)) {
      const { reply } = answerStun(bytes, remote, null);
      if (reply !== null) this.#socket.send(reply, remote.port, remote.address, (error) => this.#stunFailed(error));
      return;
    }
    this.#sink.received(bytes, {
      transport: 'udp',
      remoteAddress: remote.address,
      remotePort: remote.port,
      localAddress: this.local.address,
      localPort: this.local.port,
    });
  }

  #stunFailed(error: Error | null): void {
    if (error !== null) this.#sink.trouble('socketError', `STUN: ${error.message}`);
  }

  send(wire: string | Buffer, to: Destination, onFailed: (error: Error) => void): void {
    if (to.port === 0) {
      queueMicrotask(() => onFailed(new Error('nobody is reached at port 0')));
      return;
    }
    this.#socket.send(typeof wire === 'string' ? Buffer.from(wire, 'latin1') : wire, to.port, to.address, (error) => {
      if (error !== null) onFailed(error);
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(resolve));
  }
}
