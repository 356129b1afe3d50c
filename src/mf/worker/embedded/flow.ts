import { isIPv6 } from 'node:net';
import { canonicalAddress, type Leg, OuterPort, sameAddress } from '../../../ndc/outer-port.ts';
import type { TransportAddress } from '../../../stun/message.ts';
import type { FrameBody, ReplyBody } from '../codec.ts';
import { Refusal } from './limits.ts';

type FlowBody = FrameBody<'FLOW'>;

/** A socket reaches its own family only. */
function checkRemote({ bindAddress, remoteAddress }: FlowBody['sides'][number]): void {
  if (remoteAddress === '' || isIPv6(canonicalAddress(remoteAddress)) === isIPv6(bindAddress)) return;
  throw new Refusal('BAD_REMOTE', `address ${remoteAddress}`);
}

/** As for associations (R5). */
const MAX_EARLY_DATAGRAMS = 4;

/** One side of a flow: what comes from its remote leaves from the other side. */
class Side implements Leg {
  readonly port: OuterPort;
  remote: TransportAddress | null = null;
  other: Side | null = null;
  bytesReceived = 0;
  messagesReceived = 0;
  dropped = 0;
  /** Came before the other side's remote was known: a ClientHello that overtakes the answer must not cost a second. */
  #early: Buffer[] = [];

  constructor(port: OuterPort) {
    this.port = port;
    port.attach(this);
  }

  accepts(source: TransportAddress): boolean {
    return this.remote !== null && sameAddress(source, this.remote);
  }

  deliver(datagram: Buffer): void {
    this.messagesReceived++;
    this.bytesReceived += datagram.length;
    const to = this.other?.remote;
    if (to) this.other?.port.send(datagram, to);
    else if (this.#early.length < MAX_EARLY_DATAGRAMS) this.#early.push(Buffer.from(datagram));
    else this.dropped++;
  }

  /** The other side's remote is known now. */
  release(to: TransportAddress): void {
    for (const datagram of this.#early.splice(0)) this.other?.port.send(datagram, to);
  }

  checked(source: TransportAddress): void {
    if (this.remote && sameAddress(this.remote, source)) return;
    this.#found({ address: source.address, port: source.port });
  }

  setRemote(address: string, port: number): void {
    if (address === '' || port === 0) this.remote = null;
    else this.#found({ address: canonicalAddress(address), port });
  }

  #found(remote: TransportAddress): void {
    this.remote = remote;
    this.port.replay(this);
    this.other?.release(remote);
  }
}

/**
 * e2e datagrams in user space (R10): DTLS of the allowed source passes untouched, STUN is answered by each side
 * itself, all else is dropped and counted.
 */
export class Flow {
  readonly #a: Side;
  readonly #b: Side;

  private constructor(a: OuterPort, b: OuterPort) {
    this.#a = new Side(a);
    this.#b = new Side(b);
    this.#a.other = this.#b;
    this.#b.other = this.#a;
  }

  static async open(body: FlowBody): Promise<Flow> {
    const [a, b] = Flow.#sidesOf(body);
    if (body.natLatch) throw new Refusal('UNSUPPORTED', 'natLatch of a flow');
    if (body.path === 'kernel') throw new Refusal('KERNEL_PATH_UNAVAILABLE', 'embedded worker');
    // Before anything is bound.
    for (const side of [a, b]) checkRemote(side);
    const first = await OuterPort.bind({ address: a.bindAddress, port: a.port, ice: body.ice });
    try {
      const second = await OuterPort.bind({ address: b.bindAddress, port: b.port, ice: body.ice });
      const flow = new Flow(first, second);
      flow.update(body);
      return flow;
    } catch (error) {
      await first.release();
      throw error;
    }
  }

  update(body: FlowBody): void {
    const [a, b] = Flow.#sidesOf(body);
    // Both or neither.
    for (const side of [a, b]) checkRemote(side);
    this.#a.setRemote(a.remoteAddress, a.remotePort);
    this.#b.setRemote(b.remoteAddress, b.remotePort);
  }

  endpoints(): ReplyBody<'FLOW'> {
    return {
      path: 'user',
      sides: [this.#a, this.#b].map(({ port }) => ({
        address: port.address,
        port: port.port,
        iceUfrag: port.credentials?.ufrag ?? '',
        icePwd: port.credentials?.password ?? '',
      })),
    };
  }

  /** Received and handed on, both directions together; `sides` each by itself. */
  counters(): ReplyBody<'RELEASE'> {
    const [a, b] = this.sides();
    return {
      bytesReceived: a.bytesReceived + b.bytesReceived,
      bytesSent: a.bytesSent + b.bytesSent,
      messagesReceived: a.messagesReceived + b.messagesReceived,
      messagesSent: a.messagesSent + b.messagesSent,
      dropped: a.dropped + b.dropped,
    };
  }

  sides(): [ReplyBody<'RELEASE'>, ReplyBody<'RELEASE'>] {
    const figures = (side: Side, from: Side) => ({
      bytesReceived: side.bytesReceived,
      bytesSent: from.bytesReceived,
      messagesReceived: side.messagesReceived,
      messagesSent: from.messagesReceived - from.dropped,
      dropped: side.dropped + side.port.counters.datagramsIgnored,
    });
    return [figures(this.#a, this.#b), figures(this.#b, this.#a)];
  }

  get ports(): readonly [OuterPort, OuterPort] {
    return [this.#a.port, this.#b.port];
  }

  async close(): Promise<void> {
    await Promise.all([this.#a.port.release(), this.#b.port.release()]);
  }

  static #sidesOf(body: FlowBody) {
    const [a, b] = body.sides;
    if (!a || !b) throw new Refusal('BAD_FRAME', `${body.sides.length} sides`);
    return [a, b] as const;
  }
}
