import type { TransportAddress } from '../stun/message.ts';
import { type Leg, type OuterPort, sameAddress } from './outer-port.ts';

/**
 * While paused, datagrams are held back, the oldest first to go on. Dropping them instead would cost the far end a
 * retransmission time-out per pause, doubling up to ten seconds. Above this bound they are dropped.
 */
const MAX_HELD_BYTES = 1 << 19;
/** What carries no message, an acknowledgement above all, is this small, and has some room of its own behind the rest. */
const SMALL_DATAGRAM_BYTES = 200;
const MAX_HELD_WITH_SMALL_BYTES = MAX_HELD_BYTES + (1 << 16);
/**
 * Even while paused one datagram in this time passes: it keeps heartbeats and acknowledgements alive, so that the far
 * end's SCTP does not give up however long its reader is slow. At 1,200 octets this is 5 KB/s.
 */
const TRICKLE_INTERVAL_MS = 250;
/**
 * Among the held ones are the acknowledgements of what we send ourselves; encrypted, they cannot be told from the rest.
 * An echo whose way out is full reads nothing until they come: so while something waits to go out, a few pass.
 */
const ACKNOWLEDGE_INTERVAL_MS = 5;
const ACKNOWLEDGE_BATCH = 8;
/** So long after data went out, or went out again; enough for all that can be held. */
const ACKNOWLEDGED_WITHIN_MS = 300;
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
  #acknowledging: NodeJS.Timeout | undefined;
  #lastPassedAtMs = 0;
  #lastDataSentAtMs = 0;
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
    clearInterval(this.#acknowledging);
    this.#port.detach(this);
    this.#held.length = 0;
  }

  /** The certificate matched: no other source is accepted any more. */
  proved(): void {
    this.#proved = true;
  }

  /** While `mayRead`, and something that went out, or `isSending` wants to, is not acknowledged, held ones pass slowly. */
  pause({ isSending, mayRead }: { isSending: () => boolean; mayRead: () => boolean }): void {
    if (this.#paused) return;
    this.#paused = true;
    const isWaiting = () => isSending() || performance.now() - this.#lastDataSentAtMs < ACKNOWLEDGED_WITHIN_MS;
    this.#acknowledging = setInterval(() => {
      if (this.#held.length === 0 || !isWaiting()) return;
      for (let left = ACKNOWLEDGE_BATCH; left > 0 && mayRead(); left--) this.#pass();
    }, ACKNOWLEDGE_INTERVAL_MS);
  }

  resume(): void {
    clearInterval(this.#acknowledging);
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
    const limit = datagram.length <= SMALL_DATAGRAM_BYTES ? MAX_HELD_WITH_SMALL_BYTES : MAX_HELD_BYTES;
    if (this.#heldBytes + datagram.length > limit) {
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
    if (datagram.length > SMALL_DATAGRAM_BYTES) this.#lastDataSentAtMs = performance.now();
    this.#port.send(datagram, this.remote);
  }
}
