import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as after } from 'node:timers';

export interface Weather {
  /** Shares of all datagrams, 0..1. */
  readonly loss: number;
  readonly duplicate: number;
  /** These take three times the delay, so later ones overtake them. */
  readonly reorder: number;
  readonly delayMs: number;
}

/** A small generator with a seed: a failing run can be repeated. */
function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A bad link between a UE and the MF: each end sees one of its two ports as the other end. No privileges needed. */
export class BadLink {
  lost = 0;
  carried = 0;
  readonly #weather: Weather;
  readonly #chance: () => number;
  readonly #sockets: [Socket, Socket];
  readonly #ends: [number, number] = [0, 0];

  private constructor(weather: Weather, seed: number, sockets: [Socket, Socket]) {
    this.#weather = weather;
    this.#chance = chance(seed);
    this.#sockets = sockets;
    for (const index of [0, 1] as const) {
      sockets[index].on('message', (datagram) => this.#carry(datagram, (1 - index) as 0 | 1));
      sockets[index].on('error', () => undefined); // an end has been released
    }
  }

  static async open(weather: Weather, seed: number): Promise<BadLink> {
    const sockets = [createSocket('udp4'), createSocket('udp4')] as [Socket, Socket];
    for (const socket of sockets) {
      socket.bind(0, '127.0.0.1');
      await once(socket, 'listening');
      socket.setRecvBufferSize(1 << 21);
    }
    return new BadLink(weather, seed, sockets);
  }

  /** What the UE takes for the MF, and the MF for the UE. */
  get ports(): readonly [number, number] {
    return [this.#sockets[0].address().port, this.#sockets[1].address().port];
  }

  join(uePort: number, mfPort: number): void {
    this.#ends[0] = uePort;
    this.#ends[1] = mfPort;
  }

  #carry(datagram: Buffer, to: 0 | 1): void {
    const { loss, duplicate, reorder, delayMs } = this.#weather;
    this.carried++;
    if (this.#chance() < loss) {
      this.lost++;
      return;
    }
    for (let copies = this.#chance() < duplicate ? 2 : 1; copies > 0; copies--) {
      const send = () => {
        try {
          this.#sockets[to].send(datagram, this.#ends[to], '127.0.0.1');
        } catch {
          // closed while the datagram was on its way
        }
      };
      after(send, this.#chance() < reorder ? delayMs * 3 : delayMs).unref();
    }
  }

  close(): void {
    for (const socket of this.#sockets) socket.close();
  }
}
