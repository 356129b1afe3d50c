import { createSocket, type Socket } from 'node:dgram';
import { answerStun, type IceCredentials } from '../stun/responder.ts';
import { classifyDatagram } from './demultiplex.ts';
import { iceCredentials } from './ice-credentials.ts';
import { MAX_EARLY_DATAGRAMS } from './outer-port.ts';

const LOOPBACK = '127.0.0.1';
const SOCKET_BUFFER_BYTES = 2 << 20;

/**
 * The loopback socket on which libdatachannel believes to meet an ICE-lite peer. It answers the checks of libjuice and
 * carries DTLS both ways. What comes before ICE is connected is kept: libdatachannel has no DTLS transport until
 * then and would lose the first flight, which costs a retransmission of one second.
 */
export class InnerLeg {
  readonly port: number;
  readonly credentials: IceCredentials = iceCredentials();
  /** DTLS from libdatachannel, for the far end. */
  onDatagram: (datagram: Buffer) => void = () => undefined;
  dropped = 0;
  readonly #socket: Socket;
  readonly #kept: Buffer[] = [];
  /** Port of libjuice, known from its first authentic check. */
  #peerPort = 0;
  #ready = false;
  #closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.port = socket.address().port;
    socket.on('message', (datagram, source) => this.#onDatagram(datagram, source));
    socket.on('error', () => this.dropped++);
  }

  static bind(): Promise<InnerLeg> {
    const socket = createSocket({
      type: 'udp4',
      recvBufferSize: SOCKET_BUFFER_BYTES,
      sendBufferSize: SOCKET_BUFFER_BYTES,
    });
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ address: LOOPBACK, port: 0, exclusive: true }, () => {
        socket.off('error', reject);
        resolve(new InnerLeg(socket));
      });
    });
  }

  /** ICE is connected: libdatachannel takes DTLS from now on. */
  ready(): void {
    this.#ready = true;
    for (const datagram of this.#kept.splice(0)) this.#send(datagram);
  }

  /** A DTLS datagram of the far end. */
  deliver(datagram: Buffer): void {
    if (this.#ready) this.#send(datagram);
    else if (this.#kept.length < MAX_EARLY_DATAGRAMS) this.#kept.push(Buffer.from(datagram));
    else this.dropped++;
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    return new Promise((resolve) => this.#socket.close(resolve));
  }

  #send(datagram: Buffer): void {
    if (this.#closed) return;
    this.#socket.send(datagram, this.#peerPort, LOOPBACK, (error) => {
      if (error) this.dropped++;
    });
  }

  #onDatagram(datagram: Buffer, source: { address: string; port: number }): void {
    if (source.port === this.#peerPort && classifyDatagram(datagram) === 'dtls') {
      this.onDatagram(datagram);
      return;
    }
    const verdict = answerStun(datagram, source, this.credentials);
    // Only libjuice knows the password, so no other local process can take its place.
    if (!verdict.authenticated || !verdict.reply) {
      this.dropped++;
      return;
    }
    this.#peerPort = source.port;
    this.#socket.send(verdict.reply, source.port, LOOPBACK);
  }
}
