import type { Disk } from './disk.ts';
import { headerLine } from './line.ts';
import type { Replayed } from './replay.ts';

const DIGITS = 8;
const numberOf = (name: string) => Number(name.slice(-DIGITS));

/** The files of a journal: lines go to the end of the newest one, which is new with each process. */
export class Segments {
  readonly #disk: Disk;
  #current = '';
  #currentBytes = 0;
  /** Oldest first. */
  #older: string[];
  #bytes: number;

  constructor(disk: Disk, found: Pick<Replayed, 'segments' | 'bytes'>) {
    this.#disk = disk;
    this.#older = [...found.segments];
    this.#bytes = found.bytes;
    this.begin();
  }

  /** The name of the newest one. */
  get current(): string {
    return this.#current;
  }

  /** Of all of them. */
  get bytes(): number {
    return this.#bytes;
  }

  /** From now on lines go to another one. One that nothing was written to does not count. */
  begin(): void {
    if (this.#currentBytes > 0) this.#older.push(this.#current);
    const newest = Math.max(0, numberOf(this.#current), ...this.#older.map(numberOf));
    this.#current = `journal-${String(newest + 1).padStart(DIGITS, '0')}`;
    this.#currentBytes = 0;
  }

  /** `offset`: of the first of these lines; `bytes`: what was written in all. Rejects with what the disk says. */
  async append(lines: readonly Buffer[]): Promise<{ readonly offset: number; readonly bytes: number }> {
    const isNew = this.#currentBytes === 0;
    const all = isNew ? [headerLine(), ...lines] : lines;
    const bytes = all.reduce((sum, line) => sum + line.length, 0);
    await this.#disk.append(this.#current, all);
    const offset = this.#currentBytes + (isNew ? all[0]!.length : 0);
    this.#currentBytes += bytes;
    this.#bytes += bytes;
    return { offset, bytes };
  }

  /** A write that failed may have left half a line: the file counts, though nothing of it was acknowledged. */
  distrust(): void {
    if (this.#currentBytes === 0) this.#currentBytes = 1;
  }

  /** Removes all but the current one; tells of each that stays. */
  async dropOlder(stays: (name: string, error: Error) => void): Promise<void> {
    for (const name of this.#older.splice(0)) {
      try {
        await this.#disk.remove(name);
      } catch (error) {
        stays(name, error as Error);
      }
    }
    this.#bytes = this.#currentBytes;
  }
}
