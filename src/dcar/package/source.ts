import { readdir, readFile, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { ImsdcError } from '../../errors.ts';
import { DEFAULT_LIMITS, type PackageLimits } from './zip-read.ts';
import { writeZip, type ZipMember } from './zip-write.ts';

/** A ZIP file as it is, or a folder packed. Throws DCAR_PACKAGE_INVALID when `path` is neither or too large. */
export async function packageBytes(path: string, limits: PackageLimits = DEFAULT_LIMITS): Promise<Buffer> {
  const refuse = (problem: string, cause?: unknown) =>
    new ImsdcError('DCAR_PACKAGE_INVALID', { source: path, problem }, { cause });
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw refuse(error.code === 'ENOENT' ? 'no such file or folder' : error.message, error);
  });
  if (info.isDirectory()) return writeZip(await folderMembers(path, limits, refuse));
  if (!info.isFile()) throw refuse('neither a ZIP file nor a folder');
  if (info.size > limits.maxPackageBytes) {
    throw refuse(`${info.size} bytes, more than the ${limits.maxPackageBytes} allowed`);
  }
  return readFile(path);
}

async function folderMembers(
  folder: string,
  limits: PackageLimits,
  refuse: (problem: string) => Error,
): Promise<ZipMember[]> {
  const members: ZipMember[] = [];
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = relative(folder, path).split(sep).join('/');
    if (entry.isSymbolicLink()) throw refuse(`${name} is a symbolic link`);
    // Editors and version control leave these behind; they are never part of an application.
    if (!entry.isFile() || name.split('/').some((part) => part.startsWith('.'))) continue;
    if (members.length >= limits.maxEntries) throw refuse(`more than ${limits.maxEntries} files`);
    bytes += (await stat(path)).size;
    if (bytes > limits.maxUnpackedBytes) throw refuse(`more than ${limits.maxUnpackedBytes} bytes`);
    members.push({ name, content: await readFile(path) });
  }
  return members;
}
