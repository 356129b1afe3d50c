import { type Leg, type OuterPort, sameAddress } from './outer-port.ts';
import type { TransportAddress } from './stun.ts';

/**
 * While paused, one datagram in this time still passes: it keeps heartbeats and acknowledgements alive, so that the
 * far end's SCTP does not give up however long its reader is slow. At 1,200 octets this is 5 KB/s.
 */
const TRICKLE_INTERVAL_MS = 250;
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
    if (this.#paused && nowMs - this.#lastPassedAtMs < TRICKLE_INTERVAL_MS) {
      this.#port.counters.datagramsIgnored++;
      return;
    }
    this.#lastPassedAtMs = nowMs;
    this.#options.deliver(datagram);
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
