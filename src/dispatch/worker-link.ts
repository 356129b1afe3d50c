import type { Socket } from 'node:net';
import type { SipTransport, TransportFactory, TransportSink } from '../sip/transport/index.ts';
import type { LocalAddress } from '../sip/transport/transport.ts';
import type { Destination, Flow, Transport } from '../sip/types.ts';
import { FRAME, FrameLink } from './frame-link.ts';
import type { AliasFrame, ClaimFrame, FlowFrame } from './types.ts';

/** What the worker may have on its way to the dispatcher. */
const MAX_BACKLOG_BYTES = 8 << 20;
/** Messages whose failure is still heard of, per listener: the last ones. A failure that comes later is timer B's. */
const REMEMBERED_SENDS = 1024;
/** Of a datagram's address: its length is one octet. */
const MAX_ADDRESS_CHARS = 255;
/** Names of WebSocket clients remembered. */
const MAX_NAMES = 10_000;

interface KnownFlow {
  readonly transport: RelayedTransport;
  readonly flow: Flow;
}

/** The worker's end: its listeners are the dispatcher's, and this is how they look to a `SipEndpoint`. */
export class WorkerLink {
  /** For `SipEndpointOptions.transports`: listeners in the order of the configuration. */
  readonly transports: TransportFactory;
  readonly #link: FrameLink;
  readonly #all: RelayedTransport[] = [];
  readonly #flows = new Map<number, KnownFlow>();
  /** `.invalid` names, lower case, to the listener that has their connection. */
  readonly #names = new Map<string, number>();
  readonly #socket: Socket;
  #observeLag: ((lagMs: number) => void) | undefined;

  /** Nothing is read before `serve`. */
  constructor(socket: Socket, onClosed: (problem: string | undefined) => void) {
    this.#link = new FrameLink(socket, {
      maxBacklogBytes: MAX_BACKLOG_BYTES,
      onFrame: (kind, body) => this.#frame(kind, body),
      onClosed,
    });
    this.#socket = socket;
    socket.pause();
    this.transports = (transport, local, sink) => {
      const made = new RelayedTransport(this.#all.length, transport, local, sink, this.#link, this.#names);
      this.#all.push(made);
      return made;
    };
  }

  /**
   * The listeners are there: what the dispatcher has held while this process started is asked for. Before, it would be
   * lost, and the flows that it tells of only once as well.
   */
  serve(): void {
    this.#socket.resume();
    this.#link.begin(FRAME.serving, 0);
  }

  /** How late this process reads what the dispatcher gives it: its event loop, and all that waits before it. */
  lag(observe: (lagMs: number) => void): { close(): void } {
    this.#observeLag = observe;
    return {
      close: () => {
        this.#observeLag = undefined;
      },
    };
  }

  close(): void {
    this.#link.close();
  }

  /** The one that was heard of longest ago makes room: clients come back under new names, and the old ones stay. */
  #learnName(name: string, listener: number): void {
    this.#names.delete(name);
    if (this.#names.size >= MAX_NAMES) {
      const oldest = this.#names.keys().next();
      if (oldest.done !== true) this.#names.delete(oldest.value);
    }
    this.#names.set(name, listener);
  }

  #frame(kind: number, body: Buffer): void {
    const number = body.readUInt32LE(0);
    switch (kind) {
      case FRAME.tick:
        this.#observeLag?.(Math.max(0, Date.now() - body.readDoubleLE(0)));
        return;
      case FRAME.received: {
        const known = this.#flows.get(number);
        if (known !== undefined) known.transport.sink.received(body.subarray(4), known.flow);
        return;
      }
      case FRAME.flow: {
        const { listener, flow } = JSON.parse(body.toString('utf8', 4)) as FlowFrame;
        const transport = this.#all[listener];
        if (transport !== undefined) this.#flows.set(number, { transport, flow });
        return;
      }
      case FRAME.forgetFlows:
        this.#flows.clear();
        return;
      case FRAME.failed:
        for (const transport of this.#all) transport.failed(number, body.toString('utf8', 4));
        return;
      case FRAME.name:
        this.#learnName(body.toString('utf8', 4), number);
        return;
      default:
    }
  }
}

/** A listener whose socket is the dispatcher's. */
class RelayedTransport implements SipTransport {
  readonly transport: Transport;
  readonly local: LocalAddress;
  /** They are the dispatcher's. */
  readonly connections = 0;
  readonly sink: TransportSink;
  readonly #listener: number;
  readonly #link: FrameLink;
  readonly #names: ReadonlyMap<string, number>;
  /** By sequence number modulo its length; numbers of different listeners never meet. */
  readonly #sent: ({ readonly sequence: number; readonly onFailed: (error: Error) => void } | undefined)[] = [];
  #sequence = 0;

  constructor(
    listener: number,
    transport: Transport,
    local: LocalAddress,
    sink: TransportSink,
    link: FrameLink,
    names: ReadonlyMap<string, number>,
  ) {
    this.#listener = listener;
    this.transport = transport;
    this.local = local;
    this.sink = sink;
    this.#link = link;
    this.#names = names;
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  send(wire: string | Buffer, to: Destination, onFailed: (error: Error) => void): void {
    const sequence = this.#next();
    const written = this.transport === 'udp' ? this.#datagram(sequence, wire, to) : this.#onStream(sequence, wire, to);
    if (written === 'unaddressable') {
      queueMicrotask(() => onFailed(new Error('the address is too long')));
      return;
    }
    if (written) {
      this.#sent[sequence % REMEMBERED_SENDS] = { sequence, onFailed };
      return;
    }
    this.sink.trouble('backlogFull', 'the dispatcher');
    queueMicrotask(() => onFailed(new Error('the dispatcher is too far behind')));
  }

  /** The listener stands in the upper byte. */
  #next(): number {
    this.#sequence = (this.#sequence + 1) & 0xffffff;
    return this.#listener * 0x1000000 + this.#sequence;
  }

  #datagram(sequence: number, wire: string | Buffer, { address, port }: Destination): boolean | 'unaddressable' {
    // Before there is a frame that could not be finished.
    if (address.length > MAX_ADDRESS_CHARS) return 'unaddressable';
    let at = this.#link.begin(FRAME.datagram, 8 + address.length + wire.length);
    if (at < 0) return false;
    const { slab } = this.#link;
    at = slab.writeUInt32LE(sequence, at);
    at = slab.writeUInt8(this.#listener, at);
    at = slab.writeUInt16LE(port, at);
    at = slab.writeUInt8(address.length, at);
    at += slab.write(address, at, 'latin1');
    put(slab, at, wire);
    return true;
  }

  #onStream(sequence: number, wire: string | Buffer, to: Destination): boolean {
    const destination = Buffer.from(JSON.stringify(to), 'utf8');
    let at = this.#link.begin(FRAME.stream, 7 + destination.length + wire.length);
    if (at < 0) return false;
    const { slab } = this.#link;
    at = slab.writeUInt32LE(sequence, at);
    at = slab.writeUInt8(this.#listener, at);
    at = slab.writeUInt16LE(destination.length, at);
    at += destination.copy(slab, at);
    put(slab, at, wire);
    return true;
  }

  failed(sequence: number, problem: string): void {
    const sent = this.#sent[sequence % REMEMBERED_SENDS];
    if (sent?.sequence !== sequence) return;
    this.#sent[sequence % REMEMBERED_SENDS] = undefined;
    sent.onFailed(new Error(problem));
  }

  alias(connection: string, address: string, port: number): void {
    const frame: AliasFrame = { listener: this.#listener, connection, address, port };
    this.#link.sendText(FRAME.alias, 0, JSON.stringify(frame));
  }

  claimName(connection: string, name: string): void {
    const frame: ClaimFrame = { listener: this.#listener, connection, name };
    this.#link.sendText(FRAME.claim, 0, JSON.stringify(frame));
  }

  holdsName(name: string): boolean {
    return this.#names.get(name.toLowerCase()) === this.#listener;
  }

  close(): Promise<void> {
    this.#sent.length = 0;
    return Promise.resolve();
  }
}

function put(slab: Buffer, at: number, wire: string | Buffer): void {
  if (typeof wire === 'string') slab.write(wire, at, 'latin1');
  else wire.copy(slab, at);
}
