import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ImsdcError } from '../errors.ts';

/**
 * One process per directory. The lock is SQLite's, which is the kernel's: it goes with the process that holds it,
 * however that ends, and holds between containers that share the directory. Throws STATE_LOCKED, STATE_DIRECTORY.
 */
export function lockDirectory(directory: string): { release(): void } {
  let database: DatabaseSync | undefined;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    database = new DatabaseSync(join(directory, 'lock'));
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    const { errcode, message } = error as Error & { errcode?: number };
    if (errcode === SQLITE_BUSY) throw new ImsdcError('STATE_LOCKED', { directory });
    throw new ImsdcError('STATE_DIRECTORY', { directory, problem: message }, { cause: error });
  }
  const held = database;
  return { release: () => held.close() };
}

const SQLITE_BUSY = 5;
