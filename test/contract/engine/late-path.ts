import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

const HEADER_BYTES = 13;
const CHANGE_CIPHER_SPEC = 20;
const HANDSHAKE = 22;

/**
 * A path between an active engine and a passive UE on which the UE's last flight is late: it is held until the engine
 * has repeated its own and the UE therefore its last one again. Then both arrive.
 */
export class LatePath {
  readonly #engine: Socket;
  readonly #ue: Socket;
  readonly #enginePort: number;
  readonly #held: Buffer[] = [];
  #finished = 0;

  private constructor(engine: Socket, ue: Socket, enginePort: number, uePort: number) {
    this.#engine = engine;
    this.#ue = ue;
    this.#enginePort = enginePort;
    engine.on('message', (datagram) => ue.send(datagram, uePort, '127.0.0.1'));
    ue.on('message', (datagram) => this.#fromUe(datagram));
  }

  static async between(enginePort: number, uePort: number): Promise<LatePath> {
    const sockets = [createSocket('udp4'), createSocket('udp4')] as const;
    for (const socket of sockets) await once(socket.bind(0, '127.0.0.1'), 'listening');
    return new LatePath(...sockets, enginePort, uePort);
  }

  /** Where the engine is to send to. */
  get engineSide(): number {
    return this.#engine.address().port;
  }

  /** Where the UE is to send to. */
  get ueSide(): number {
    return this.#ue.address().port;
  }

  get held(): number {
    return this.#held.length;
  }

  async close(): Promise<void> {
    await Promise.all(
      [this.#engine, this.#ue].map((socket) => new Promise<void>((done) => socket.close(() => done()))),
    );
  }

  #fromUe(datagram: Buffer): void {
    if (this.#finished === 2 || !this.#isLastFlight(datagram)) {
      this.#deliver(datagram);
      return;
    }
    this.#held.push(datagram);
    if (this.#finished === 2) for (const late of this.#held.splice(0)) this.#deliver(late);
  }

  /** ChangeCipherSpec, or Finished: a handshake record under the final keys. Counts the latter. */
  #isLastFlight(datagram: Buffer): boolean {
    let isLast = false;
    for (let at = 0; at + HEADER_BYTES <= datagram.length; at += HEADER_BYTES + datagram.readUInt16BE(at + 11)) {
      const [type, epoch] = [datagram[at], datagram.readUInt16BE(at + 3)];
      const isFinished = type === HANDSHAKE && epoch === 1;
      if (isFinished) this.#finished++;
      isLast ||= isFinished || type === CHANGE_CIPHER_SPEC;
    }
    return isLast;
  }

  #deliver(datagram: Buffer): void {
    this.#engine.send(datagram, this.#enginePort, '127.0.0.1');
  }
}
