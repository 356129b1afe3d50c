import { createSocket, type Socket } from 'node:dgram';
import { isIPv6, type LocalAddress } from './transport.ts';

/** Where a datagram came from. */
export interface DatagramSource {
  readonly address: string;
  readonly port: number;
}

export interface DatagramReader {
  /** `bytes` are valid during the call only. */
  received(bytes: Buffer, from: DatagramSource): void;
  /** Something went wrong that concerns no single datagram, or one that the network may lose as well. */
  trouble(what: 'socketError' | 'backlogFull', detail: string): void;
}

/** A UDP socket as SIP needs it. */
export interface DatagramSocket {
  /** Resolves with the bound port. Rejects with what the system says. */
  bind(): Promise<number>;
  /** Text is latin1. `onFailed` is called at most once, never before `send` has returned. */
  send(wire: string | Buffer, port: number, address: string, onFailed: (error: Error) => void): void;
  close(): Promise<void>;
}

export type OpenDatagramSocket = (local: LocalAddress, reader: DatagramReader) => DatagramSocket;

/**
 * Asked of the kernel, which silently grants at most net.core.rmem_max: a burst of calls must fit while the event loop
 * is busy. Raise the sysctl in production.
 */
export const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;

/** Node's own: a call of the kernel, and of a listener, for each datagram. */
export class NodeDatagramSocket implements DatagramSocket {
  readonly #local: LocalAddress;
  readonly #reader: DatagramReader;
  readonly #socket: Socket;

  constructor(local: LocalAddress, reader: DatagramReader) {
    this.#local = local;
    this.#reader = reader;
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

  bind(): Promise<number> {
    return new Promise((resolve, reject) => {
      const failed = (error: Error): void => {
        this.#socket.close();
        reject(error);
      };
      this.#socket.once('error', failed);
      this.#socket.bind(this.#local.port, this.#local.address, () => {
        this.#socket.off('error', failed);
        this.#socket.on('error', (error) => this.#reader.trouble('socketError', error.message));
        this.#socket.on('message', (bytes, from) => this.#reader.received(bytes, from));
        resolve(this.#socket.address().port);
      });
    });
  }

  send(wire: string | Buffer, port: number, address: string, onFailed: (error: Error) => void): void {
    this.#socket.send(typeof wire === 'string' ? Buffer.from(wire, 'latin1') : wire, port, address, (error) => {
      if (error !== null) onFailed(error);
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(resolve));
  }
}
