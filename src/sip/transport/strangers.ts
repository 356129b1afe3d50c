import type { Server, Socket } from 'node:net';
import type { StreamLimits } from './stream.ts';
import { hostPort, type TransportSink } from './transport.ts';

/** Of `maxConnections`, on top of it: what nobody vouches for has its own room, and takes none from whom we trust. */
const SHARE = 1 / 4;
/** Even of a small listener: a few handshakes at once. */
const MIN_STRANGERS = 16;

interface Stranger {
  readonly socket: Socket;
  readonly timer: NodeJS.Timeout;
}

/**
 * Connections to one listener from addresses that are not trusted, from their first segment on, handshakes of TLS and HTTP
 * included. They are few, few per address, and short: the oldest makes room for the newest, and all end after
 * `strangerTimeoutMs` unless a certificate has shown a trusted name by then. Requests of a stranger get 403 in any case.
 */
export class Strangers {
  readonly #sink: TransportSink;
  readonly #limits: StreamLimits;
  /** By remote address and port, oldest first. */
  readonly #all = new Map<string, Stranger>();
  readonly #perAddress = new Map<string, number>();
  readonly #max: number;

  /** Watches `server`, and bounds what it takes in all. Before anything else listens to it. */
  constructor(server: Server, sink: TransportSink, limits: StreamLimits) {
    this.#sink = sink;
    this.#limits = limits;
    this.#max = Math.max(MIN_STRANGERS, Math.ceil(limits.maxConnections * SHARE));
    // One more: who comes to a full house may be somebody for whom a silent one goes.
    server.maxConnections = limits.maxConnections + this.#max + 1;
    server.prependListener('connection', (socket: Socket) => this.#came(socket));
  }

  get size(): number {
    return this.#all.size;
  }

  /** Its certificate has shown who it is. */
  vouch(address: string, port: number): void {
    const peer = hostPort(address, port);
    const known = this.#all.get(peer);
    if (known !== undefined) this.#forget(address, peer, known);
  }

  close(): void {
    for (const { socket } of this.#all.values()) socket.destroy();
  }

  #came(socket: Socket): void {
    const { remoteAddress: address, remotePort: port } = socket;
    // It has gone again, or is one of ours.
    if (address === undefined || port === undefined || this.#sink.trusts?.({ remoteAddress: address }) !== false)
      return;
    const { strangerTimeoutMs, maxStrangersPerAddress } = this.#limits;
    const sameAddress = this.#perAddress.get(address) ?? 0;
    if (sameAddress >= maxStrangersPerAddress) {
      this.#sink.trouble('strangerCut', `${address}: ${sameAddress} connections`);
      // Whoever listens after us still takes it for a connection.
      setImmediate(() => socket.destroy());
      return;
    }
    if (this.#all.size >= this.#max) this.#cutOldest();
    const peer = hostPort(address, port);
    const timer = setTimeout(() => this.#cut(peer, 'its time is over'), strangerTimeoutMs);
    const stranger = { socket, timer };
    this.#all.set(peer, stranger);
    this.#perAddress.set(address, sameAddress + 1);
    socket.once('close', () => this.#forget(address, peer, stranger));
  }

  #cutOldest(): void {
    const oldest = this.#all.keys().next();
    if (oldest.done !== true) this.#cut(oldest.value, 'it makes room');
  }

  #cut(peer: string, reason: string): void {
    const known = this.#all.get(peer);
    if (known === undefined) return;
    this.#sink.trouble('strangerCut', `${peer}: ${reason}`);
    const { remoteAddress } = known.socket;
    if (remoteAddress !== undefined) this.#forget(remoteAddress, peer, known);
    known.socket.destroy();
  }

  #forget(address: string, peer: string, stranger: Stranger): void {
    if (this.#all.get(peer) !== stranger) return;
    clearTimeout(stranger.timer);
    this.#all.delete(peer);
    const left = (this.#perAddress.get(address) ?? 1) - 1;
    if (left === 0) this.#perAddress.delete(address);
    else this.#perAddress.set(address, left);
  }
}
