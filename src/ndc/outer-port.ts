import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIP, isIPv6, SocketAddress } from 'node:net';
import { ImsdcError } from '../errors.ts';
import type { TransportAddress } from '../stun/message.ts';
import { answerStun, type IceCredentials } from '../stun/responder.ts';
import { classifyDatagram } from './demultiplex.ts';
import { iceCredentials } from './ice-credentials.ts';

/** R5: DTLS datagrams that come before anybody can take them. */
export const MAX_EARLY_DATAGRAMS = 4;
/** Room for a burst while the event loop is busy; the kernel clamps it to net.core.{r,w}mem_max. */
const SOCKET_BUFFER_BYTES = 2 << 20;

/** What takes the DTLS datagrams of one far end. Several legs share a port while a call forks (R20). */
export interface Leg {
  /** Whether `source` is the far end of this leg. */
  accepts(source: TransportAddress): boolean;
  deliver(datagram: Buffer, source: TransportAddress): void;
  /** An ICE check with our credentials came from `source`. */
  checked(source: TransportAddress, nominated: boolean): void;
}

export interface PortCounters {
  datagramsReceived: number;
  datagramsSent: number;
  /** Wrong source, wrong first octet, early ones beyond the bound, failed sends. */
  datagramsIgnored: number;
  stunAnswered: number;
}

/**
 * A UDP port of a media line: answers STUN itself, hands DTLS to the leg whose source it is, and keeps the first few
 * DTLS datagrams while there is no leg yet. It never sends anything on its own.
 */
export class OuterPort {
  readonly counters: PortCounters = { datagramsReceived: 0, datagramsSent: 0, datagramsIgnored: 0, stunAnswered: 0 };
  readonly address: string;
  readonly port: number;
  readonly credentials: IceCredentials | null;
  /** Sees every datagram on the wire, for traces. */
  onTrace: ((sent: boolean, datagram: Buffer, remote: TransportAddress) => void) | null = null;
  readonly #socket: Socket;
  readonly #legs: Leg[] = [];
  readonly #early: { datagram: Buffer; source: TransportAddress }[] = [];
  #users = 1;
  #closed = false;

  private constructor(socket: Socket, ice: boolean) {
    this.#socket = socket;
    ({ address: this.address, port: this.port } = socket.address());
    this.credentials = ice ? iceCredentials() : null;
    socket.on('message', (datagram, source) => this.#onDatagram(datagram, source));
    // An ICMP error of a past send; the far end being away is found out by DTLS and SCTP.
    socket.on('error', () => this.counters.datagramsIgnored++);
  }

  /** Throws PORT_UNAVAILABLE. `port` 0 takes any. */
  static bind(options: { address: string; port: number; ice: boolean }): Promise<OuterPort> {
    const socket = createSocket({
      type: isIPv6(options.address) ? 'udp6' : 'udp4',
      recvBufferSize: SOCKET_BUFFER_BYTES,
      sendBufferSize: SOCKET_BUFFER_BYTES,
    });
    return new Promise((resolve, reject) => {
      socket.once('error', (cause: NodeJS.ErrnoException) => {
        socket.close();
        const details = { address: options.address, port: options.port, problem: cause.code };
        reject(new ImsdcError('PORT_UNAVAILABLE', details, { cause }));
      });
      socket.bind({ address: options.address, port: options.port, exclusive: true }, () => {
        socket.removeAllListeners('error');
        resolve(new OuterPort(socket, options.ice));
      });
    });
  }

  /** From now on `leg` gets its datagrams, the kept ones first. */
  attach(leg: Leg): void {
    this.#legs.push(leg);
    this.replay(leg);
  }

  /** Hands `leg` what was kept from its far end; called again when the far end becomes known by ICE. */
  replay(leg: Leg): void {
    for (let index = 0; index < this.#early.length; ) {
      const { datagram, source } = this.#early[index]!;
      if (!leg.accepts(source)) index++;
      else {
        this.#early.splice(index, 1);
        leg.deliver(datagram, source);
      }
    }
  }

  detach(leg: Leg): void {
    const index = this.#legs.indexOf(leg);
    if (index >= 0) this.#legs.splice(index, 1);
  }

  send(datagram: Buffer, to: TransportAddress): void {
    if (this.#closed) return;
    // Node throws.
    if (to.port === 0) {
      this.counters.datagramsIgnored++;
      return;
    }
    this.counters.datagramsSent++;
    this.onTrace?.(true, datagram, to);
    this.#socket.send(datagram, to.port, to.address, (error) => {
      if (error) this.counters.datagramsIgnored++;
    });
  }

  /** One more user; each calls `release` once. */
  share(): OuterPort {
    this.#users++;
    return this;
  }

  /** Resolves when this was the last user and the socket is closed, or at once. */
  release(): Promise<void> {
    if (--this.#users > 0 || this.#closed) return Promise.resolve();
    this.#closed = true;
    this.#early.length = 0;
    return new Promise((resolve) => this.#socket.close(resolve));
  }

  #onDatagram(datagram: Buffer, source: RemoteInfo): void {
    this.counters.datagramsReceived++;
    this.onTrace?.(false, datagram, source);
    // RFC 768 allows it; whoever it is, nothing can be sent there.
    if (source.port === 0) {
      this.counters.datagramsIgnored++;
      return;
    }
    switch (classifyDatagram(datagram)) {
      case 'stun':
        this.#onStun(datagram, source);
        return;
      case 'dtls':
        this.#onDtls(datagram, source);
        return;
      case 'other':
        this.counters.datagramsIgnored++;
    }
  }

  #onStun(datagram: Buffer, source: TransportAddress): void {
    const verdict = answerStun(datagram, source, this.credentials);
    if (!verdict.reply) {
      this.counters.datagramsIgnored++;
      return;
    }
    this.counters.stunAnswered++;
    this.send(verdict.reply, source);
    if (!verdict.authenticated) return;
    const leg = this.#legs.find((candidate) => candidate.accepts(source)) ?? this.#legs.at(-1);
    leg?.checked(source, verdict.nominated);
  }

  #onDtls(datagram: Buffer, source: TransportAddress): void {
    for (const leg of this.#legs) {
      if (!leg.accepts(source)) continue;
      leg.deliver(datagram, source);
      return;
    }
    // Early: before the start of the association, or (ICE) before the first check.
    if (this.#early.length < MAX_EARLY_DATAGRAMS) {
      this.#early.push({ datagram: Buffer.from(datagram), source: { address: source.address, port: source.port } });
    } else this.counters.datagramsIgnored++;
  }
}

/** The literal as sockets report it, so that addresses of SDP compare. @throws MEDIA_BAD_REMOTE */
export function canonicalAddress(literal: string): string {
  if (!isIP(literal)) throw new ImsdcError('MEDIA_BAD_REMOTE', { problem: `address ${literal}` });
  return new SocketAddress({ address: literal, family: isIPv6(literal) ? 'ipv6' : 'ipv4' }).address;
}

/** Whether two canonical transport addresses are the same. */
export function sameAddress(a: TransportAddress, b: TransportAddress): boolean {
  return a.port === b.port && a.address === b.address;
}
