import type { Socket } from 'node:net';
import type { Flow } from '../sip/types.ts';
import { FRAME, FrameLink } from './frame-link.ts';
import type { FlowFrame, NameOfListener } from './types.ts';

/** About what a worker does in half a second. */
const BUSY_BYTES = 1 << 20;
/** Above it nothing is handed to it any more: what it would read then has been given up by its sender. */
const FULL_BYTES = 4 << 20;
/** What is kept for a worker while it starts again; handed over at once, it must fit below FULL_BYTES. */
const HELD_BYTES = 2 << 20;
/** Of one message that is held, beside its bytes: here, and then as the frame that tells of its flow. */
const HELD_OVERHEAD_BYTES = 256;

/** A flow with the number that workers know it by. */
export interface NumberedFlow extends FlowFrame {
  readonly number: number;
}

/**
 * The dispatcher's end of one worker: what goes to it, what waits while it is away. A process that has been started is
 * away until it says that it serves: it may never come so far.
 */
export class WorkerLine {
  readonly #names: () => Iterable<NameOfListener>;
  #link: FrameLink | undefined;
  #serves = false;
  /** Flows that this process of the worker has been told of. */
  readonly #told = new Set<number>();
  /** There was no room to say that the flows told before are void: nothing of a flow may go before that. */
  #owesForget = false;
  /** There was no room for a name: all of them are told anew. */
  #owesNames = false;
  #untold: NameOfListener[] = [];
  #held: { readonly source: NumberedFlow; readonly bytes: Buffer }[] = [];
  #heldBytes = 0;

  /** `names`: every name that is known now, for a process that knows none. */
  constructor(names: () => Iterable<NameOfListener>) {
    this.#names = names;
  }

  /** So far behind that new calls had better go elsewhere. */
  get isBusy(): boolean {
    return this.#link !== undefined && this.#link.backlogBytes > BUSY_BYTES;
  }

  get isUp(): boolean {
    return this.#serves;
  }

  get backlogBytes(): number {
    return (this.#link?.backlogBytes ?? 0) + this.#heldBytes;
  }

  /** A process of this worker has been started. When it serves, what was held for it goes first. */
  attach(
    socket: Socket,
    onFrame: (kind: number, body: Buffer) => void,
    onClosed: (problem: string | undefined) => void,
  ): FrameLink {
    const link: FrameLink = new FrameLink(socket, {
      maxBacklogBytes: FULL_BYTES,
      onFrame: (kind, body) => {
        if (kind !== FRAME.serving) onFrame(kind, body);
        else if (this.#link === link) this.#onServing(link);
      },
      onClosed: (problem) => {
        if (this.#link === link) this.#detach();
        onClosed(problem);
      },
    });
    this.#detach();
    this.#link = link;
    return link;
  }

  /** False: there is no room for it. `bytes` are copied. */
  deliver(source: NumberedFlow, bytes: Buffer): boolean {
    const link = this.#link;
    return link !== undefined && this.#serves ? this.#hand(link, source, bytes) : this.#hold(source, bytes);
  }

  tellName(listener: number, name: string): void {
    if (this.#serves && this.#link?.sendText(FRAME.name, listener, name) !== true) this.#owesNames = true;
  }

  /** Comes out at the other end after everything that waits there. */
  tick(nowMs: number): void {
    const link = this.#link;
    if (link === undefined || !this.#serves) return;
    this.#tellRest(link);
    const at = link.begin(FRAME.tick, 8);
    if (at >= 0) link.slab.writeDoubleLE(nowMs, at);
  }

  forgetFlows(): void {
    this.#told.clear();
    if (this.#serves) this.#owesForget = this.#link?.sendText(FRAME.forgetFlows, 0, '') !== true;
  }

  close(): void {
    this.#link?.close();
    this.#detach();
  }

  #detach(): void {
    this.#link = undefined;
    this.#serves = false;
  }

  #onServing(link: FrameLink): void {
    this.#serves = true;
    this.#told.clear();
    this.#owesForget = false;
    this.#untold = [];
    this.#owesNames = true;
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    for (const { source, bytes } of held) this.#hand(link, source, bytes);
    this.#tellRest(link);
  }

  #hand(link: FrameLink, source: NumberedFlow, bytes: Buffer): boolean {
    if (this.#owesForget) {
      if (!link.sendText(FRAME.forgetFlows, 0, '')) return false;
      this.#owesForget = false;
    }
    if (!this.#told.has(source.number)) {
      const { listener, flow } = source;
      if (!link.sendText(FRAME.flow, source.number, JSON.stringify({ listener, flow } satisfies FlowFrame)))
        return false;
      this.#told.add(source.number);
    }
    const at = link.begin(FRAME.received, 4 + bytes.length);
    if (at < 0) return false;
    link.slab.writeUInt32LE(source.number, at);
    bytes.copy(link.slab, at + 4);
    return true;
  }

  #tellRest(link: FrameLink): void {
    if (this.#owesNames && this.#untold.length === 0) {
      this.#owesNames = false;
      this.#untold = [...this.#names()];
    }
    for (let next = this.#untold.at(-1); next !== undefined; next = this.#untold.at(-1)) {
      if (!link.sendText(FRAME.name, next.listener, next.name)) return;
      this.#untold.pop();
    }
  }

  #hold(source: NumberedFlow, bytes: Buffer): boolean {
    const costBytes = bytes.length + HELD_OVERHEAD_BYTES;
    if (this.#heldBytes + costBytes > HELD_BYTES) return false;
    this.#held.push({ source, bytes: Buffer.from(bytes) });
    this.#heldBytes += costBytes;
    return true;
  }
}

/** The flows of all listeners, numbered, so that a message carries four bytes instead of two addresses. */
export class FlowNumbers {
  readonly #known = new Map<string, NumberedFlow>();
  readonly #max: number;
  readonly #onForgotten: () => void;
  #next = 1;

  /** `onForgotten`: there were too many, and all numbers given so far are void. */
  constructor(onForgotten: () => void, max = MAX_FLOWS) {
    this.#onForgotten = onForgotten;
    this.#max = max;
  }

  of(listener: number, flow: Flow): NumberedFlow {
    const key = `${listener} ${flow.connection ?? `${flow.remoteAddress} ${flow.remotePort}`}`;
    const known = this.#known.get(key);
    // A connection replaces its flow when its peer has proven a name.
    if (known !== undefined && (flow.connection === undefined || known.flow === flow)) return known;
    if (this.#known.size >= this.#max) {
      this.#known.clear();
      this.#onForgotten();
    }
    const numbered = { listener, flow, number: this.#next++ % 0xffffffff };
    this.#known.set(key, numbered);
    return numbered;
  }
}

/** S-CSCFs are a handful; WebSocket clients and floods of source ports are not. */
const MAX_FLOWS = 8192;
