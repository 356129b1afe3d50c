import type { Socket } from 'node:net';
import type { Flow } from '../sip/types.ts';
import { FRAME, FrameLink } from './frame-link.ts';
import type { FlowFrame } from './types.ts';

/** About what a worker does in half a second. */
const BUSY_BYTES = 1 << 20;
/** Above it nothing is handed to it any more: what it would read then has been given up by its sender. */
const FULL_BYTES = 4 << 20;
/** What is kept for a worker while it starts again. */
const HELD_BYTES = 1 << 20;

/** A flow with the number that workers know it by. */
export interface NumberedFlow extends FlowFrame {
  readonly number: number;
}

/** The dispatcher's end of one worker: what goes to it, what waits while it is away. */
export class WorkerLine {
  #link: FrameLink | undefined;
  /** Flows that this process of the worker has been told of. */
  readonly #told = new Set<number>();
  #held: { readonly source: NumberedFlow; readonly bytes: Buffer }[] = [];
  #heldBytes = 0;

  /** So far behind that new calls had better go elsewhere. */
  get isBusy(): boolean {
    return this.#link !== undefined && this.#link.backlogBytes > BUSY_BYTES;
  }

  get isUp(): boolean {
    return this.#link !== undefined;
  }

  get backlogBytes(): number {
    return (this.#link?.backlogBytes ?? 0) + this.#heldBytes;
  }

  /** A process of this worker serves from now on. What was held for it goes first. */
  attach(
    socket: Socket,
    onFrame: (kind: number, body: Buffer) => void,
    onClosed: (problem: string | undefined) => void,
  ): FrameLink {
    const link = new FrameLink(socket, {
      maxBacklogBytes: FULL_BYTES,
      onFrame,
      onClosed: (problem) => {
        if (this.#link === link) this.#link = undefined;
        onClosed(problem);
      },
    });
    this.#link = link;
    this.#told.clear();
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    for (const { source, bytes } of held) this.deliver(source, bytes);
    return link;
  }

  /** False: there is no room for it. `bytes` are copied. */
  deliver(source: NumberedFlow, bytes: Buffer): boolean {
    const link = this.#link;
    if (link === undefined) return this.#hold(source, bytes);
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

  tellName(listener: number, name: string): void {
    this.#link?.sendText(FRAME.name, listener, name);
  }

  /** Comes out at the other end after everything that waits there. */
  tick(nowMs: number): void {
    const link = this.#link;
    const at = link === undefined ? -1 : link.begin(FRAME.tick, 8);
    if (at >= 0) link?.slab.writeDoubleLE(nowMs, at);
  }

  forgetFlows(): void {
    this.#told.clear();
    this.#link?.sendText(FRAME.forgetFlows, 0, '');
  }

  close(): void {
    this.#link?.close();
    this.#link = undefined;
  }

  #hold(source: NumberedFlow, bytes: Buffer): boolean {
    if (this.#heldBytes + bytes.length > HELD_BYTES) return false;
    this.#held.push({ source, bytes: Buffer.from(bytes) });
    this.#heldBytes += bytes.length;
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
