import type { TransportAddress } from '../stun/message.ts';
import { type Leg, type OuterPort, sameAddress } from './outer-port.ts';

/**
 * While paused, datagrams are held back, the oldest first to go on. Dropping them instead would cost the far end a
 * retransmission time-out per pause, doubling up to ten seconds. Above this bound they are dropped.
 */
const MAX_HELD_BYTES = 1 << 19;
/**
 * Even while paused one datagram in this time passes: it keeps heartbeats and acknowledgements alive, so that the far
 * end's SCTP does not give up however long its reader is slow. At 1,200 octets this is 5 KB/s.
 */
const TRICKLE_INTERVAL_MS = 250;
/** Held datagrams let go per turn of the event loop: the socket of libjuice has a small buffer. */
const RELEASE_BATCH = 32;
/** A close follows what the far end sent; silence of this length before it means that it is gone. */
const HEARD_LATELY_MS = 2_000;
/** First octet of a DTLS handshake record. */
const DTLS_HANDSHAKE = 22;

/**
 * Who the far end is, and whether its datagrams are let in: only the SDP's address (R10); with ICE, where authentic
 * checks come from; with natLatch, whoever answers the handshake, fixed once its certificate has matched.
 */
export class RemoteGate implements Leg {
  remote: TransportAddress;
  readonly #port: OuterPort;
  readonly #options: { ice: boolean; natLatch: boolean; deliver: (datagram: Buffer) => void };
  #proved = false;
  #paused = false;
  #nominated = false;
  readonly #held: Buffer[] = [];
  #heldBytes = 0;
  #lettingGo = false;
  #lastPassedAtMs = 0;
  #lastHeardAtMs = 0;

  constructor(
    port: OuterPort,
    remote: TransportAddress,
    options: { ice: boolean; natLatch: boolean; deliver: (datagram: Buffer) => void },
  ) {
    this.#port = port;
    this.remote = remote;
    this.#options = options;
  }

  /** Takes datagrams from now on. */
  open(): void {
    this.#port.attach(this);
  }

  close(): void {
    this.#port.detach(this);
    this.#held.length = 0;
  }

  /** The certificate matched: no other source is accepted any more. */
  proved(): void {
    this.#proved = true;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#letGo();
  }

  moveTo(remote: TransportAddress): void {
    this.remote = remote;
    this.#nominated = false;
    this.#port.replay(this);
  }

  heardLately(): boolean {
    return performance.now() - this.#lastHeardAtMs < HEARD_LATELY_MS;
  }

  accepts(source: TransportAddress): boolean {
    return sameAddress(source, this.remote) || (this.#options.natLatch && !this.#proved);
  }

  deliver(datagram: Buffer, source: TransportAddress): void {
    // Unproved sources may only bring a handshake, and it is the one we answer until another one comes.
    if (!sameAddress(source, this.remote)) {
      if (datagram[0] !== DTLS_HANDSHAKE) {
        this.#port.counters.datagramsIgnored++;
        return;
      }
      this.remote = { address: source.address, port: source.port };
    }
    const nowMs = performance.now();
    this.#lastHeardAtMs = nowMs;
    if (!this.#paused && this.#held.length === 0) {
      this.#options.deliver(datagram);
      return;
    }
    this.#hold(datagram);
    if (!this.#paused || nowMs - this.#lastPassedAtMs < TRICKLE_INTERVAL_MS) return;
    this.#lastPassedAtMs = nowMs;
    this.#pass();
  }

  #hold(datagram: Buffer): void {
    if (this.#heldBytes + datagram.length > MAX_HELD_BYTES) {
      this.#port.counters.datagramsIgnored++;
      return;
    }
    this.#held.push(datagram);
    this.#heldBytes += datagram.length;
  }

  #pass(): void {
    const datagram = this.#held.shift();
    if (!datagram) return;
    this.#heldBytes -= datagram.length;
    this.#options.deliver(datagram);
  }

  /** What was held goes first, so that nothing overtakes it. */
  #letGo(): void {
    if (this.#lettingGo) return;
    this.#lettingGo = true;
    const batch = () => {
      for (let left = RELEASE_BATCH; left > 0 && this.#held.length > 0 && !this.#paused; left--) this.#pass();
      this.#lettingGo = this.#held.length > 0 && !this.#paused;
      if (this.#lettingGo) setImmediate(batch);
    };
    batch();
  }

  checked(source: TransportAddress, nominated: boolean): void {
    if (!this.#options.ice) return;
    // Before a nomination any valid pair will do (RFC 8445 12.1); afterwards only another nomination moves us.
    if (!nominated && this.#nominated) return;
    this.#nominated ||= nominated;
    if (sameAddress(source, this.remote)) return;
    this.remote = { address: source.address, port: source.port };
    this.#port.replay(this);
  }

  send(datagram: Buffer): void {
    this.#port.send(datagram, this.remote);
  }
}
