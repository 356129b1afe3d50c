import { crc32 } from 'node:zlib';
import { type Entry, fromBufferPromise, type ZipFile } from 'yauzl';
import { ImsdcError } from '../../errors.ts';

/** Limits on an uploaded package. Handsets hold the whole body in memory (miniapp-runtime.md 1.1). */
export interface PackageLimits {
  readonly maxPackageBytes: number;
  /** All entries unpacked. */
  readonly maxUnpackedBytes: number;
  readonly maxEntries: number;
  /** Unpacked by packed bytes of one entry, where the entry is larger than RATIO_FREE_BYTES. */
  readonly maxRatio: number;
}

export const DEFAULT_LIMITS: PackageLimits = {
  maxPackageBytes: 16 << 20,
  maxUnpackedBytes: 64 << 20,
  maxEntries: 2_000,
  maxRatio: 200,
};

/** Small files may compress as well as they like. */
const RATIO_FREE_BYTES = 1 << 20;
const MAX_NAME_BYTES = 255;
const FILE_TYPE_MASK = 0o170000;
const FILE_TYPES_ALLOWED = new Set([0, 0o100000, 0o040000]);

/**
 * Reads a package that a stranger uploaded and returns its files by name. Throws DCAR_PACKAGE_INVALID with the entry
 * and the reason; nothing is unpacked to disk.
 */
export async function readZip(zip: Buffer, source: string, limits = DEFAULT_LIMITS): Promise<Map<string, Buffer>> {
  const refuse = (problem: string, cause?: unknown) =>
    new ImsdcError('DCAR_PACKAGE_INVALID', { source, problem }, { cause });
  if (zip.length > limits.maxPackageBytes) {
    throw refuse(`${zip.length} bytes, more than the ${limits.maxPackageBytes} allowed`);
  }
  let archive: ZipFile;
  try {
    archive = await fromBufferPromise(zip, { lazyEntries: true, strictFileNames: true, validateEntrySizes: true });
  } catch (error) {
    throw refuse(`not a ZIP file: ${(error as Error).message}`, error);
  }
  if (archive.entryCount > limits.maxEntries) {
    throw refuse(`${archive.entryCount} entries, more than the ${limits.maxEntries} allowed`);
  }
  try {
    return await new Reader(archive, zip.length, limits, refuse).files();
  } catch (error) {
    // What yauzl finds (absolute paths, `..`, backslashes, sizes that lie, broken deflate) it says in plain words.
    throw error instanceof ImsdcError ? error : refuse((error as Error).message, error);
  }
}

type Refuse = (problem: string, cause?: unknown) => ImsdcError;

class Reader {
  readonly #archive: ZipFile;
  readonly #zipBytes: number;
  readonly #limits: PackageLimits;
  readonly #refuse: Refuse;
  readonly #names = new Map<string, string>();
  #packedBytes = 0;
  #unpackedBytes = 0;

  constructor(archive: ZipFile, zipBytes: number, limits: PackageLimits, refuse: Refuse) {
    this.#archive = archive;
    this.#zipBytes = zipBytes;
    this.#limits = limits;
    this.#refuse = refuse;
  }

  async files(): Promise<Map<string, Buffer>> {
    const files = new Map<string, Buffer>();
    for await (const entry of this.#archive.eachEntry()) {
      this.#admit(entry);
      if (!entry.fileName.endsWith('/')) files.set(entry.fileName, await this.#content(entry));
    }
    return files;
  }

  /** Everything that the directory alone can tell. */
  #admit(entry: Entry): void {
    const refuse = (problem: string) => this.#refuse(`${printable(entry.fileName)}: ${problem}`);
    const { fileName } = entry;
    if (entry.fileNameLength > MAX_NAME_BYTES) throw refuse(`the name is longer than ${MAX_NAME_BYTES} bytes`);
    if (/[\u0000-\u001f\u007f]/.test(fileName)) throw refuse('control characters in the name');
    if (
      fileName
        .replace(/\/$/, '')
        .split('/')
        .some((part) => part === '' || part === '.')
    ) {
      throw refuse('empty or "." path segments');
    }
    // Handsets unpack to file systems that may fold case; two names must not become one file.
    const folded = fileName.replace(/\/$/, '').normalize('NFC').toLowerCase();
    const twin = this.#names.get(folded);
    if (twin !== undefined)
      throw refuse(twin === fileName ? 'is there twice' : `is the same name as ${printable(twin)}`);
    this.#names.set(folded, fileName);
    const type = (entry.externalFileAttributes >>> 16) & FILE_TYPE_MASK;
    if (!FILE_TYPES_ALLOWED.has(type)) throw refuse(type === 0o120000 ? 'is a symbolic link' : 'is a special file');
    if (entry.isEncrypted()) throw refuse('is encrypted');
    if (entry.compressionMethod !== 0 && entry.compressionMethod !== 8) {
      throw refuse(`compression method ${entry.compressionMethod}; only stored and deflate are known to handsets`);
    }
    const { compressedSize, uncompressedSize } = entry;
    if (uncompressedSize > RATIO_FREE_BYTES && uncompressedSize > compressedSize * this.#limits.maxRatio) {
      throw refuse(`unpacks to more than ${this.#limits.maxRatio} times its size`);
    }
    this.#packedBytes += compressedSize;
    this.#unpackedBytes += uncompressedSize;
    if (this.#packedBytes > this.#zipBytes) throw refuse('entries overlap');
    if (this.#unpackedBytes > this.#limits.maxUnpackedBytes) {
      throw refuse(`the package unpacks to more than ${this.#limits.maxUnpackedBytes} bytes`);
    }
  }

  /** Sizes are checked by yauzl while inflating, so a lie in the directory ends here and not in memory. */
  async #content(entry: Entry): Promise<Buffer> {
    const header = await this.#archive.readLocalFileHeaderPromise(entry, { minimal: false });
    if (!header.fileName.equals(entry.fileNameRaw)) {
      throw this.#refuse(`${printable(entry.fileName)}: the local header has another name`);
    }
    const chunks: Buffer[] = [];
    for await (const chunk of await this.#archive.openReadStreamPromise(entry)) chunks.push(chunk as Buffer);
    const content = Buffer.concat(chunks);
    if (crc32(content) !== entry.crc32 >>> 0) throw this.#refuse(`${printable(entry.fileName)}: checksum mismatch`);
    return content;
  }
}

/** A stranger's file name, fit for a log line. */
function printable(name: string): string {
  return JSON.stringify(name.slice(0, 100)).slice(1, -1);
}
