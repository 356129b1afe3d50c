import { MAX_MESSAGE_BYTES } from '../message/index.ts';

/** What a stream connection carried. `bytes` are valid during the call only. */
export interface FramerSink {
  message(bytes: Buffer): void;
  /** Double CRLF between messages: answer one CRLF (RFC 5626 3.5.1). */
  ping(): void;
  /** The stream cannot be followed any further: answer `status` to what `bytes` hold, if they can be read, and close. */
  broken(status: number, reason: string, bytes: Buffer): void;
}

const CR = 13;
const LF = 10;
const FIRST_CAPACITY_BYTES = 4096;
const CONTENT_LENGTH = /\r\n(?:content-length|l)[ \t]*:[ \t]*([0-9]{1,9})[ \t]*(?=\r\n)/i;

/** Cuts messages out of a byte stream by Content-Length (RFC 3261 18.3). Holds at most one message of the largest size. */
export class StreamFramer {
  #buffer = Buffer.allocUnsafe(FIRST_CAPACITY_BYTES);
  #start = 0;
  #end = 0;
  /** From here on the end of the headers has not been looked for. */
  #scanned = 0;
  /** Length of the message that begins at #start; 0 until its headers are complete. */
  #needed = 0;
  #broken = false;
  #messages = 0;

  /** Bytes that wait for the rest of their message. */
  get pendingBytes(): number {
    return this.#end - this.#start;
  }

  /** Whole ones so far. */
  get messages(): number {
    return this.#messages;
  }

  /** A message has begun and not ended; line ends between messages are none. */
  get isMidMessage(): boolean {
    return !this.#broken && this.pendingBytes > 0 && this.#buffer[this.#start] !== CR;
  }

  push(chunk: Buffer, sink: FramerSink): void {
    // A chunk may hold several messages: take it in pieces, so that the buffer never outgrows one message.
    for (let at = 0; at < chunk.length && !this.#broken; ) {
      const room = Math.min(chunk.length - at, MAX_MESSAGE_BYTES + 4 - this.pendingBytes);
      this.#append(chunk, at, at + room);
      at += room;
      while (!this.#broken && this.#step(sink));
    }
  }

  /** The rest of the message does not come. */
  giveUp(sink: FramerSink): void {
    if (!this.#broken) this.#fail(sink, 408, 'Request Timeout');
  }

  #append(chunk: Buffer, from: number, to: number): void {
    const length = to - from;
    if (this.#end + length > this.#buffer.length) {
      let capacity = this.#buffer.length;
      while (capacity < this.pendingBytes + length) capacity *= 2;
      const next = capacity === this.#buffer.length ? this.#buffer : Buffer.allocUnsafe(capacity);
      this.#buffer.copy(next, 0, this.#start, this.#end);
      this.#buffer = next;
      this.#end -= this.#start;
      this.#scanned -= this.#start;
      this.#start = 0;
    }
    chunk.copy(this.#buffer, this.#end, from, to);
    this.#end += length;
  }

  /** Takes one thing off the front; false when more bytes are needed. */
  #step(sink: FramerSink): boolean {
    const buffer = this.#buffer;
    if (this.#needed === 0) {
      const first = buffer[this.#start];
      if (this.pendingBytes > 0 && first === CR) return this.#skipLineEnd(sink);
      const headersEnd = buffer
        .subarray(0, this.#end)
        .indexOf('\r\n\r\n', Math.max(this.#start, this.#scanned - 3), 'latin1');
      if (headersEnd < 0) {
        this.#scanned = this.#end;
        if (this.pendingBytes > MAX_MESSAGE_BYTES) this.#fail(sink, 513, 'Message Too Large');
        return false;
      }
      const head = buffer.toString('latin1', this.#start, headersEnd + 2);
      const length = CONTENT_LENGTH.exec(head)?.[1];
      const total = headersEnd + 4 - this.#start + Number(length ?? 0);
      // RFC 3261 20.14: over a stream the header is mandatory, and without it the next message cannot be found.
      if (length === undefined) return this.#fail(sink, 400, 'Missing Content-Length');
      if (total > MAX_MESSAGE_BYTES) return this.#fail(sink, 513, 'Message Too Large');
      this.#needed = total;
    }
    if (this.pendingBytes < this.#needed) return false;
    const end = this.#start + this.#needed;
    const bytes = buffer.subarray(this.#start, end);
    this.#consume(end);
    this.#messages++;
    sink.message(bytes);
    return this.pendingBytes > 0;
  }

  #skipLineEnd(sink: FramerSink): boolean {
    if (this.pendingBytes < 2) return false;
    if (this.#buffer[this.#start + 1] !== LF) return this.#fail(sink, 400, 'Bad Start Line');
    if (this.pendingBytes >= 4 && this.#buffer[this.#start + 2] === CR && this.#buffer[this.#start + 3] === LF) {
      this.#consume(this.#start + 4);
      sink.ping();
      return this.pendingBytes > 0;
    }
    // The second half of a ping may still be on its way.
    if (this.pendingBytes === 2 || (this.pendingBytes === 3 && this.#buffer[this.#start + 2] === CR)) return false;
    this.#consume(this.#start + 2); // A pong, or the line end that some put after a message (RFC 3261 7.5).
    return this.pendingBytes > 0;
  }

  #consume(end: number): void {
    this.#start = end;
    this.#needed = 0;
    this.#scanned = end;
    if (this.#start === this.#end) {
      this.#start = this.#end = this.#scanned = 0;
    }
  }

  #fail(sink: FramerSink, status: number, reason: string): false {
    this.#broken = true;
    sink.broken(status, reason, this.#buffer.subarray(this.#start, this.#end));
    return false;
  }
}
