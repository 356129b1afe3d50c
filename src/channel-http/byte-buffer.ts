const LF = 10;
const CR = 13;
const INITIAL_BYTES = 1024;

/**
 * The unread bytes of one direction. Grows with what has come, never with what was announced, and a stream that comes
 * byte by byte costs no more than one that comes at once.
 */
export class ByteBuffer {
  #bytes = new Uint8Array(INITIAL_BYTES);
  #start = 0;
  #end = 0;
  /** Up to here no end of a head was found. */
  #scanned = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  append(more: Uint8Array): void {
    if (this.#end + more.length > this.#bytes.length) this.#makeRoom(more.length);
    this.#bytes.set(more, this.#end);
    this.#end += more.length;
  }

  /** Removes `count` bytes from the front and gives a copy. `count` is at most `length`. */
  take(count: number): Uint8Array {
    const taken = this.#bytes.slice(this.#start, this.#start + count);
    this.skip(count);
    return taken;
  }

  skip(count: number): void {
    this.#start += count;
    this.#scanned = this.#start;
    if (this.#start < this.#end) return;
    this.#start = this.#end = this.#scanned = 0;
    if (this.#bytes.length > 64 * INITIAL_BYTES) this.#bytes = new Uint8Array(INITIAL_BYTES);
  }

  /** Removes line ends from the front: some clients put one between messages (RFC 9112 2.2). */
  skipLineEnds(): void {
    let at = this.#start;
    while (at < this.#end && (this.#bytes[at] === CR || this.#bytes[at] === LF)) at++;
    if (at > this.#start) this.skip(at - this.#start);
  }

  /** Bytes up to and with the empty line that ends a head; 0 if it has not come yet. Bare LFs count (RFC 9112 2.2). */
  headLength(): number {
    const bytes = this.#bytes;
    for (;;) {
      const lf = bytes.indexOf(LF, this.#scanned);
      if (lf === -1 || lf >= this.#end) {
        this.#scanned = this.#end;
        return 0;
      }
      this.#scanned = lf;
      const next = lf + 1 < this.#end && bytes[lf + 1] === CR ? lf + 2 : lf + 1;
      if (next >= this.#end) return 0;
      if (bytes[next] === LF) return next + 1 - this.#start;
      this.#scanned = lf + 1;
    }
  }

  #makeRoom(more: number): void {
    const needed = this.length + more;
    const target =
      needed * 2 <= this.#bytes.length ? this.#bytes : new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    target.set(this.#bytes.subarray(this.#start, this.#end));
    this.#bytes = target;
    this.#scanned -= this.#start;
    this.#end -= this.#start;
    this.#start = 0;
  }
}
