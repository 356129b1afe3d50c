import { ImsdcError } from '../errors.ts';
import type { Disk } from './disk.ts';
import { readLines, VERSION } from './line.ts';

/** Where the newest line of a record stands. */
export interface Location {
  readonly segment: string;
  readonly offset: number;
  /** Bytes, with the line break. */
  readonly length: number;
}

export interface StoredRecord {
  readonly text: string;
  readonly at: Location;
}

export interface Replayed {
  /** By space, by id. */
  readonly spaces: ReadonlyMap<string, ReadonlyMap<string, StoredRecord>>;
  /** Segments that are there, oldest first. */
  readonly segments: readonly string[];
  readonly bytes: number;
  /** STATE_CORRUPT, STATE_VERSION, STATE_DIRECTORY: what could not be used. A torn end is none: that is how a kill looks. */
  readonly problems: readonly ImsdcError[];
}

type Spaces = Map<string, Map<string, StoredRecord>>;

/** Reads everything that is good. Rejects STATE_DIRECTORY when the directory itself cannot be read. */
export async function replay(disk: Disk): Promise<Replayed> {
  const spaces: Spaces = new Map();
  const segments: string[] = [];
  const problems: ImsdcError[] = [];
  let bytes = 0;
  const names = await disk.list().catch((error: Error) => {
    throw new ImsdcError('STATE_DIRECTORY', { directory: '', problem: error.message }, { cause: error });
  });
  for (const name of names.toSorted()) {
    // Even when it cannot be read: nothing else may be written under its name.
    segments.push(name);
    try {
      const segment = await disk.read(name);
      const version = versionOf(segment);
      if (version !== undefined && version !== VERSION) {
        problems.push(new ImsdcError('STATE_VERSION', { file: name, version, expected: VERSION }));
        await disk.setAside(name);
        segments.pop();
        continue;
      }
      bytes += segment.length;
      const problem = takeSegment(spaces, name, segment);
      if (problem !== undefined) problems.push(problem);
    } catch (error) {
      problems.push(new ImsdcError('STATE_DIRECTORY', { directory: name, problem: (error as Error).message }));
    }
  }
  return { spaces, segments, bytes, problems };
}

/** Undefined: the header is not readable either; what follows it may be. */
function versionOf(segment: Buffer): number | undefined {
  const { value, done } = readLines(segment).next();
  return !done && value.line?.kind === 'header' ? value.line.version : undefined;
}

function takeSegment(spaces: Spaces, name: string, segment: Buffer): ImsdcError | undefined {
  let unreadable = 0;
  let first = 0;
  for (const { line, offset, length } of readLines(segment)) {
    switch (line?.kind) {
      case undefined:
        if (unreadable++ === 0) first = offset;
        break;
      case 'header':
        break;
      case 'put': {
        let space = spaces.get(line.space);
        if (space === undefined) spaces.set(line.space, (space = new Map()));
        space.set(line.id, { text: line.text, at: { segment: name, offset, length } });
        break;
      }
      case 'remove':
        spaces.get(line.space)?.delete(line.id);
        break;
      case 'checkpoint':
        for (const space of spaces.values())
          for (const [id, { at }] of space) if (at.segment !== name) space.delete(id);
        break;
      default:
        line satisfies never;
    }
  }
  return unreadable === 0
    ? undefined
    : new ImsdcError('STATE_CORRUPT', { file: name, lines: unreadable, offset: first });
}
