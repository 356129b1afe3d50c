import { type FileHandle, mkdir, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Logger } from './log.ts';
import type { Counter, Metrics } from './metrics.ts';

export interface JsonLinesFileOptions {
  readonly file: string;
  /** A file that has grown to so many bytes is renamed to `file.1`; 0: somebody else rotates it, and tells us by `reopen`. */
  readonly maxBytes: number;
  /** Renamed files kept, `file.1` the newest. */
  readonly keep: number;
  /** Lines that wait for the disk; more are dropped and counted. */
  readonly maxQueued: number;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Names the metrics: `imsdc_<metric>_written_total`, ... */
  readonly metric: string;
}

/**
 * Appends JSON lines to a file. `write` never waits and never throws: a disk that is slow or full costs lines, which are
 * counted, and nothing else. Lines of one turn of the event loop go out in one write.
 */
export class JsonLinesFile {
  readonly #options: JsonLinesFileOptions;
  readonly #written: Counter;
  readonly #dropped: Counter;
  #queue: string[] = [];
  #handle: FileHandle | undefined;
  #size = 0;
  #reopen = false;
  #failing = false;
  #writing: Promise<void> | undefined;

  constructor(options: JsonLinesFileOptions) {
    this.#options = options;
    const { metric, metrics } = options;
    this.#written = metrics.counter(`imsdc_${metric}_written_total`, `lines written to the file of ${metric}`);
    this.#dropped = metrics.counter(`imsdc_${metric}_dropped_total`, `lines of ${metric} that could not be written`);
    metrics.gauge(`imsdc_${metric}_queued`, `lines of ${metric} that wait for the disk`, () => this.#queue.length);
  }

  write(value: object): void {
    if (this.#queue.length >= this.#options.maxQueued) {
      this.#dropped.value++;
      return;
    }
    this.#queue.push(`${JSON.stringify(value)}\n`);
    this.#start();
  }

  /** The file was moved away (SIGHUP): the next line goes to a new one of the old name. */
  reopen(): void {
    this.#reopen = true;
    this.#start();
  }

  /** Resolves when everything queued so far is with the operating system, or was dropped. */
  async flush(): Promise<void> {
    while (this.#writing) await this.#writing;
  }

  async close(): Promise<void> {
    await this.flush();
    await this.#handle?.close();
    this.#handle = undefined;
  }

  #start(): void {
    this.#writing ??= this.#drain().finally(() => {
      this.#writing = undefined;
      // What came after the last look at the queue.
      if (this.#queue.length > 0 || this.#reopen) this.#start();
    });
  }

  /** One writer at a time; what is queued meanwhile goes with the next write. */
  async #drain(): Promise<void> {
    // The turn that wrote first is let finish: its other lines go with this write.
    await Promise.resolve();
    while (this.#queue.length > 0 || this.#reopen) {
      const lines = this.#queue;
      this.#queue = [];
      try {
        await this.#append(lines);
        this.#written.value += lines.length;
        this.#failing = false;
      } catch (error) {
        this.#dropped.value += lines.length;
        this.#forget();
        // Once per trouble, not once per line.
        if (!this.#failing) this.#options.log.error({ err: error, file: this.#options.file }, 'lines are lost');
        this.#failing = true;
      }
    }
  }

  async #append(lines: readonly string[]): Promise<void> {
    const { file, maxBytes } = this.#options;
    if (this.#reopen || (maxBytes > 0 && this.#size >= maxBytes)) {
      const isOurs = !this.#reopen;
      this.#reopen = false;
      await this.#handle?.close();
      this.#handle = undefined;
      if (isOurs) await this.#shift();
    }
    if (this.#handle === undefined) {
      await mkdir(dirname(file), { recursive: true });
      // 0640: the lines name people.
      this.#handle = await open(file, 'a', 0o640);
      this.#size = (await this.#handle.stat()).size;
    }
    const text = lines.join('');
    if (text === '') return;
    await this.#handle.appendFile(text);
    this.#size += Buffer.byteLength(text);
  }

  /** file.1 -> file.2, ..., file -> file.1; the last one falls off. */
  async #shift(): Promise<void> {
    const { file, keep } = this.#options;
    const name = (index: number) => (index === 0 ? file : `${file}.${index}`);
    for (let index = keep - 1; index >= 0; index--) {
      await rename(name(index), name(index + 1)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
    }
    this.#size = 0;
  }

  #forget(): void {
    this.#handle?.close().catch((error: Error) => this.#options.log.debug({ reason: error.message }, 'close'));
    this.#handle = undefined;
  }
}
