import type { Disk } from '../../src/store/disk.ts';

/** A disk in memory that can fail, or lose its power, after so many bytes. */
export class MemoryDisk implements Disk {
  readonly files = new Map<string, Buffer>();
  readonly setAsideNames: string[] = [];
  /** Bytes and operations that are still carried out; then everything fails, in the middle of a write. */
  budget = Number.POSITIVE_INFINITY;
  failing = false;
  appends = 0;

  constructor(files: Iterable<readonly [string, Buffer]> = []) {
    for (const [name, bytes] of files) this.files.set(name, Buffer.from(bytes));
  }

  get bytes(): number {
    return [...this.files.values()].reduce((sum, file) => sum + file.length, 0);
  }

  async list(): Promise<string[]> {
    return [...this.files.keys()];
  }

  async read(name: string): Promise<Buffer> {
    const file = this.files.get(name);
    if (!file) throw new Error(`no file ${name}`);
    return file;
  }

  async append(name: string, lines: readonly Buffer[]): Promise<void> {
    this.appends++;
    const bytes = Buffer.concat(lines);
    const taken = this.failing ? 0 : Math.min(bytes.length, this.budget);
    this.budget -= taken;
    this.files.set(name, Buffer.concat([this.files.get(name) ?? Buffer.alloc(0), bytes.subarray(0, taken)]));
    if (taken < bytes.length) throw new Error('no space left on device');
  }

  async readAt(name: string, offset: number, length: number): Promise<Buffer> {
    return (await this.read(name)).subarray(offset, offset + length);
  }

  async remove(name: string): Promise<void> {
    if (this.budget < 1 || this.failing) throw new Error('input/output error');
    this.budget--;
    this.files.delete(name);
  }

  async setAside(name: string): Promise<void> {
    this.setAsideNames.push(name);
    this.files.delete(name);
  }

  async close(): Promise<void> {}
}
