import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Timer, Timers } from '../base/timers.ts';
import type { ImsdcError } from '../errors.ts';
import type { Disk } from './disk.ts';
import { checkpointLine, putLine, readLines, removeLine } from './line.ts';
import { type Location, type Replayed, replay } from './replay.ts';
import { Room, type Space } from './room.ts';
import { Segments } from './segments.ts';

export interface JournalOptions {
  readonly disk: Disk;
  readonly timers: Timers;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly writeEveryMs: number;
  readonly maxPending: number;
  /** Smaller files are not worth being written anew. Default 8 MiB. */
  readonly rewriteFromBytes?: number;
}

/** The end of a `Space` that its owner holds. */
export interface Touch {
  /** The record has changed, or has come, or is gone: it is looked at within `writeEveryMs`. */
  touch(id: string): void;
}

/** What one line of a batch does to the index once it is written; `from`: an older line, to be copied. */
interface Entry {
  readonly room: Room;
  readonly id: string;
  readonly line: Buffer | undefined;
  readonly from: Location | undefined;
}

export interface JournalStatus {
  /** Records that a restart would find. */
  readonly stored: number;
  /** Changes that are not on the disk yet. */
  readonly pending: number;
  /** Records that were not at rest when they were asked for: a restart would find what was stored before, or nothing. */
  readonly behind: number;
  readonly bytes: number;
  readonly failed: boolean;
}

/** Records of one batch: the event loop has a turn after each. */
const BATCH = 64;
/** Records written anew per round, so that ten thousand calls do not take a core for themselves. */
const REWRITE_BATCH = 256;
const REWRITE_FROM_BYTES = 8 << 20;
/** After the disk has failed. */
const RETRY_MS = 5_000;
/** Copied lines longer than this are none of ours. */
const MAX_LINE_BYTES = 16 << 20;

/**
 * Records that outlive this process: an append-only journal, written in batches beside the work. Owners only say which
 * record has changed; it is rendered when it is written, so what lives shorter costs nothing. A disk that fails or falls
 * behind costs a counter and, later, one writing of everything anew; it never makes anybody wait.
 */
export class Journal {
  readonly #options: JournalOptions;
  readonly #rooms: Room[] = [];
  readonly #found: Replayed;
  readonly #counters;
  readonly #segments: Segments;
  /** Of the lines that a restart would use. */
  #liveBytes = 0;
  #pending = 0;
  /** Lines that are being written. */
  #writing = 0;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #rewriteWanted = false;
  #rewriting = false;
  #failed = false;
  #closed = false;

  /** Reads what there is. Rejects STATE_DIRECTORY. */
  static async open(options: JournalOptions): Promise<Journal> {
    return new Journal(options, await replay(options.disk));
  }

  private constructor(options: JournalOptions, found: Replayed) {
    this.#options = options;
    this.#found = found;
    this.#segments = new Segments(options.disk, found);
    const { metrics } = options;
    const counter = (name: string, help: string) => metrics.counter(`imsdc_state_${name}_total`, help);
    this.#counters = {
      records: counter('records', 'records written to the state directory, removals included'),
      bytes: counter('bytes', 'bytes written to the state directory'),
      failures: counter('failures', 'times that the state directory failed or fell behind and is written anew'),
      rewrites: counter('rewrites', 'times that the journal was written anew without what is gone'),
    };
    metrics.gauge('imsdc_state_pending', 'changes that wait for the disk', () => this.#waiting);
    metrics.gauge('imsdc_state_behind', 'records older than what they are of, until it is at rest', () => this.#behind);
    metrics.gauge('imsdc_state_stored', 'records that a restart would find', () => this.stored);
  }

  get problems(): readonly ImsdcError[] {
    return this.#found.problems;
  }

  get stored(): number {
    return this.#rooms.reduce((sum, { stored }) => sum + stored.size, 0);
  }

  get #behind(): number {
    return this.#rooms.reduce((sum, { behind }) => sum + behind.size, 0);
  }

  /** With what is on its way to the disk right now. */
  get #waiting(): number {
    return this.#pending + this.#writing;
  }

  status(): JournalStatus {
    return {
      stored: this.stored,
      pending: this.#waiting,
      behind: this.#behind,
      bytes: this.#segments.bytes,
      failed: this.#failed,
    };
  }

  /** What a former process left in the space `name`. */
  *found(name: string): Iterable<readonly [id: string, text: string]> {
    for (const [id, { text }] of this.#found.spaces.get(name) ?? []) yield [id, text];
  }

  /** Takes a space over. What was found in it and is not there any more is removed with the next `rewrite`. */
  own(name: string, space: Space): Touch {
    const room = new Room(name, space);
    for (const [id, { at }] of this.#found.spaces.get(name) ?? []) this.#place(room, id, at);
    this.#rooms.push(room);
    return { touch: (id) => this.#touch(room, id) };
  }

  /** Writes all that there is into a new segment, and then drops the others. */
  rewrite(): void {
    this.#rewriteWanted = true;
    if (this.#running === undefined) this.#schedule();
  }

  /** Resolves when everything that has changed so far is written, or cannot be. */
  async flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    do {
      await (this.#running ?? this.#run());
    } while (!this.#failed && this.#hasWork);
  }

  async close(): Promise<void> {
    await this.flush();
    this.#closed = true;
    this.#timer?.cancel();
    await this.#options.disk.close();
  }

  #touch(room: Room, id: string): void {
    if (this.#failed || room.dirty.has(id)) return;
    if (this.#pending >= this.#options.maxPending) {
      this.#fail(`more than ${this.#options.maxPending} changes wait`);
      return;
    }
    room.dirty.add(id);
    this.#pending++;
    if (this.#timer === undefined && this.#running === undefined) this.#schedule();
  }

  #schedule(delayMs = this.#options.writeEveryMs): void {
    if (this.#closed || this.#timer !== undefined) return;
    this.#timer = this.#options.timers.after(delayMs, () => {
      this.#timer = undefined;
      if (this.#failed) {
        this.#failed = false;
        this.#rewriteWanted = true;
      }
      void (this.#running ?? this.#run());
    });
  }

  async #run(): Promise<void> {
    const run = this.#round().catch((error: Error) => this.#fail(error.message));
    this.#running = run;
    await run;
    this.#running = undefined;
    if (this.#failed) this.#schedule(RETRY_MS);
    else if (this.#hasWork) this.#schedule();
  }

  get #hasWork(): boolean {
    return this.#pending > 0 || this.#rewriting || this.#rewriteWanted;
  }

  async #round(): Promise<void> {
    if (this.#rewriteWanted) this.#beginRewrite();
    for (let batch = this.#changed(); batch.length > 0; batch = this.#changed()) await this.#write(batch);
    if (this.#failed) return;
    const worthBytes = Math.max(this.#options.rewriteFromBytes ?? REWRITE_FROM_BYTES, 2 * this.#liveBytes);
    if (!this.#rewriting) {
      this.#rewriteWanted ||= this.#segments.bytes > worthBytes;
      return;
    }
    await this.#write(this.#owed());
    if (this.#failed || this.#rooms.some(({ owed }) => owed.size > 0)) return;
    await this.#append([checkpointLine()]);
    await this.#dropOlder();
  }

  #beginRewrite(): void {
    this.#rewriteWanted = false;
    this.#rewriting = true;
    this.#segments.begin();
    for (const { space, owed } of this.#rooms) for (const id of space.ids()) owed.add(id);
  }

  /** The next lines of records that have changed; none while the disk is not trusted. */
  #changed(): Entry[] {
    const batch: Entry[] = [];
    for (const room of this.#rooms) {
      for (const id of room.dirty) {
        if (batch.length === BATCH || this.#failed) return batch;
        room.dirty.delete(id);
        this.#pending--;
        const text = room.render(id);
        if (text === null) continue;
        room.owed.delete(id);
        const line = text === undefined ? removeLine(room.name, id) : putLine(room.name, id, text);
        // What was never stored need not be removed: a short call leaves no trace.
        if (text !== undefined || room.stored.has(id)) batch.push({ room, id, line, from: undefined });
      }
    }
    return batch;
  }

  #owed(): Entry[] {
    const batch: Entry[] = [];
    for (const room of this.#rooms) {
      for (const id of room.owed) {
        if (batch.length === REWRITE_BATCH) return batch;
        room.owed.delete(id);
        const text = room.render(id);
        if (text === undefined) continue;
        const line = text === null ? undefined : putLine(room.name, id, text);
        const from = line === undefined ? room.stored.get(id) : undefined;
        if (line !== undefined || (from !== undefined && from.segment !== this.#segments.current))
          batch.push({ room, id, line, from });
      }
    }
    return batch;
  }

  async #write(batch: readonly Entry[]): Promise<void> {
    const written: (Entry & { line: Buffer })[] = [];
    for (const entry of batch) {
      const line = entry.line ?? (await this.#copy(entry));
      if (line !== undefined) written.push({ ...entry, line });
    }
    if (written.length === 0) return;
    let offset = await this.#append(written.map(({ line }) => line));
    const segment = this.#segments.current;
    for (const { room, id, line } of written) {
      const removed = line[REMOVE_SIGN_AT] === REMOVE_SIGN;
      this.#place(room, id, removed ? undefined : { segment, offset, length: line.length });
      offset += line.length;
    }
    this.#counters.records.value += written.length;
  }

  /** The line that stands in an older segment; undefined: it cannot be read any more. */
  async #copy({ from, room, id }: Entry): Promise<Buffer | undefined> {
    if (from === undefined || from.length > MAX_LINE_BYTES) return undefined;
    const bytes = await this.#options.disk.readAt(from.segment, from.offset, from.length);
    const { value, done } = readLines(bytes).next();
    const isSame = !done && value.line?.kind === 'put' && value.line.space === room.name && value.line.id === id;
    return isSame ? bytes : undefined;
  }

  /** The offset of the first of these lines. */
  async #append(lines: readonly Buffer[]): Promise<number> {
    this.#writing = lines.length;
    try {
      const { offset, bytes } = await this.#segments.append(lines);
      this.#counters.bytes.value += bytes;
      return offset;
    } finally {
      this.#writing = 0;
    }
  }

  /** All of it is in the current segment. */
  async #dropOlder(): Promise<void> {
    this.#rewriting = false;
    this.#counters.rewrites.value++;
    for (const room of this.#rooms)
      for (const [id, at] of room.stored) if (at.segment !== this.#segments.current) this.#place(room, id, undefined);
    await this.#segments.dropOlder((name, { message }) => {
      // Void all the same: the checkpoint says so.
      this.#options.log.warn({ name, reason: message }, 'old state not removed');
    });
  }

  #place(room: Room, id: string, at: Location | undefined): void {
    this.#liveBytes += (at?.length ?? 0) - (room.stored.get(id)?.length ?? 0);
    if (at === undefined) room.stored.delete(id);
    else room.stored.set(id, at);
  }

  /** What waits is let go; everything is written anew once the disk takes it. */
  #fail(problem: string): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#rewriting = false;
    this.#counters.failures.value++;
    this.#options.log.error({ code: 'STATE_WRITE', problem }, 'state cannot be kept up; it is written anew later');
    for (const room of this.#rooms) {
      room.dirty.clear();
      room.owed.clear();
    }
    this.#pending = 0;
    this.#segments.distrust();
    if (this.#running === undefined) this.#schedule(RETRY_MS);
  }
}

/** After the checksum and a blank. */
const REMOVE_SIGN_AT = 9;
const REMOVE_SIGN = 0x2d;
