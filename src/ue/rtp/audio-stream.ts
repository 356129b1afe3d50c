import { randomInt } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expectedFrame, readRtp, TIMESTAMP_STEP, writeRtp } from './packet.ts';

const PACKET_INTERVAL_MS = 20;

export interface AudioCounters {
  readonly sent: number;
  readonly received: number;
  /** Packets whose payload differs from what that sender must have sent. */
  readonly corrupt: number;
  /** Sequence numbers that were skipped. */
  readonly lost: number;
  /** From another source than the peer's c=/m= lines say: RTP flows between the UEs directly, or it counts here. */
  readonly strangers: number;
  /** Where the accepted packets came from, `address:port`; '' before the first. */
  readonly source: string;
}

/** One audio m-line's RTP: a real UDP socket, a frame every 20 ms, everything received checked byte for byte. */
export class AudioStream {
  readonly address: string;
  readonly port: number;
  readonly #socket: Socket;
  readonly #ssrc = randomInt(1, 2 ** 32 - 1);
  #remote: { address: string; port: number } | null = null;
  #payloadType = 104;
  #timer: NodeJS.Timeout | null = null;
  #sequence = randomInt(0, 2 ** 16 - 1);
  #timestamp = randomInt(0, 2 ** 31);
  #expected = -1;
  #counters = { sent: 0, received: 0, corrupt: 0, lost: 0, strangers: 0, source: '' };
  readonly #waiting = new Set<{ packets: number; resolve: () => void }>();

  private constructor(socket: Socket) {
    this.#socket = socket;
    ({ address: this.address, port: this.port } = socket.address() as AddressInfo);
    socket.on('message', (bytes, from) => this.#receive(bytes, from.address, from.port));
    // A peer that is gone answers with ICMP; RTP has no use for that news.
    socket.on('error', () => this.stop());
  }

  /** Binds a free port of `address`. */
  static async open(address: string): Promise<AudioStream> {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.bind(0, address);
    await once(socket, 'listening');
    return new AudioStream(socket);
  }

  get counters(): AudioCounters {
    return { ...this.#counters };
  }

  /** Starts, or goes on, sending to the peer. Idempotent: a re-INVITE that changes nothing changes nothing here. */
  start(remote: { address: string; port: number }, payloadType: number): void {
    this.#remote = remote;
    this.#payloadType = payloadType;
    this.#timer ??= setInterval(() => this.#send(), PACKET_INTERVAL_MS);
  }

  /** Hold: we keep listening. */
  stop(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Resolves once `packets` good packets have been received in all. */
  received(packets: number): Promise<void> {
    if (this.#counters.received >= packets) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.add({ packets, resolve }));
  }

  close(): void {
    this.stop();
    this.#socket.close();
  }

  #send(): void {
    if (!this.#remote) return;
    const payload = expectedFrame(this.#ssrc, this.#sequence);
    const packet = writeRtp({
      payloadType: this.#payloadType,
      sequence: this.#sequence,
      timestamp: this.#timestamp,
      ssrc: this.#ssrc,
      payload,
    });
    this.#sequence = (this.#sequence + 1) & 0xffff;
    this.#timestamp = (this.#timestamp + TIMESTAMP_STEP) >>> 0;
    this.#socket.send(packet, this.#remote.port, this.#remote.address);
    this.#counters.sent++;
  }

  /** RFC 3550 A.1: a step forward of less than half the number space is a gap, anything else a late packet. */
  #countGap(sequence: number): void {
    const step = (sequence - this.#expected) & 0xffff;
    if (this.#expected >= 0 && step >= 0x8000) return;
    if (this.#expected >= 0) this.#counters.lost += step;
    this.#expected = (sequence + 1) & 0xffff;
  }

  #receive(bytes: Uint8Array, address: string, port: number): void {
    const remote = this.#remote;
    // Before the answer we do not know the peer: such packets are early, not foreign.
    if (remote && (remote.address !== address || remote.port !== port)) {
      this.#counters.strangers++;
      return;
    }
    const packet = readRtp(bytes);
    if (!packet || !expectedFrame(packet.ssrc, packet.sequence).equals(packet.payload)) {
      this.#counters.corrupt++;
      return;
    }
    this.#countGap(packet.sequence);
    this.#counters.received++;
    this.#counters.source = `${address}:${port}`;
    for (const waiter of this.#waiting) {
      if (this.#counters.received < waiter.packets) continue;
      this.#waiting.delete(waiter);
      waiter.resolve();
    }
  }
}
