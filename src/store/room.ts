import type { Location } from './replay.ts';

/** One kind of record: who owns them says what they are, when they are asked for. */
export interface Space {
  /**
   * The record as it is now, without line breaks. null: not at rest; what was stored before stays, and the owner says
   * `touch` again later. undefined: gone.
   */
  render(id: string): string | null | undefined;
  /** Of every record there is. */
  ids(): Iterable<string>;
}

/** What the journal knows of the records of one space. */
export class Room {
  readonly name: string;
  readonly space: Space;
  /** To be looked at. */
  readonly dirty = new Set<string>();
  /** Not at rest when they were asked for: what is stored of them is older than they are. */
  readonly behind = new Set<string>();
  /** Not yet in the segment that everything is being written to anew. */
  readonly owed = new Set<string>();
  readonly stored = new Map<string, Location>();

  constructor(name: string, space: Space) {
    this.name = name;
    this.space = space;
  }

  /** As `Space.render`. */
  render(id: string): string | null | undefined {
    const text = this.space.render(id);
    if (text === null) this.behind.add(id);
    else this.behind.delete(id);
    return text;
  }
}
