import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** Where segments lie: files in a process, memory in tests. */
export interface Disk {
  list(): Promise<string[]>;
  read(name: string): Promise<Buffer>;
  /** Makes the file when it is not there. What is written survives the end of this process, at any moment. */
  append(name: string, lines: readonly Buffer[]): Promise<void>;
  readAt(name: string, offset: number, length: number): Promise<Buffer>;
  remove(name: string): Promise<void>;
  /** Out of the way, for people: it is not listed any more. */
  setAside(name: string): Promise<void>;
  close(): Promise<void>;
}

const SEGMENT = /^journal-\d{8}$/;

/** Segments as files of one directory, which is made when it is not there. Rejects with what the system says. */
export async function openDirectory(directory: string): Promise<Disk> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  /** Of the segment that is being written. */
  let current: { name: string; file: Awaited<ReturnType<typeof open>> } | undefined;
  const path = (name: string) => join(directory, name);
  const closeCurrent = async () => {
    const { file } = current ?? {};
    current = undefined;
    await file?.close();
  };
  return {
    list: async () => (await readdir(directory)).filter((name) => SEGMENT.test(name)),
    read: (name) => readFile(path(name)),
    append: async (name, lines) => {
      if (current?.name !== name) {
        await closeCurrent();
        current = { name, file: await open(path(name), 'a', 0o600) };
      }
      const bytes = lines.reduce((sum, line) => sum + line.length, 0);
      const { bytesWritten } = await current.file.writev([...lines]);
      if (bytesWritten !== bytes) throw new Error(`${bytesWritten} of ${bytes} bytes were written`);
    },
    readAt: async (name, offset, length) => {
      const file = await open(path(name), 'r');
      try {
        const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, offset);
        return buffer.subarray(0, bytesRead);
      } finally {
        await file.close();
      }
    },
    remove: (name) => rm(path(name), { force: true }),
    setAside: (name) => rename(path(name), path(`${name}.unread`)),
    close: closeCurrent,
  };
}
