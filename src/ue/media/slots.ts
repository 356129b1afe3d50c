import { refusedSection } from '../../sdp/edit.ts';
import type { MediaSection } from '../../sdp/types.ts';
import type { AudioLine } from './audio-line.ts';
import type { DataLine } from './data-line.ts';

/** Our half of one slot: what runs there, or the m-line that is (or was) refused. */
export type Slot =
  | { readonly kind: 'audio'; readonly line: AudioLine }
  | { readonly kind: 'data'; readonly line: DataLine }
  | { readonly kind: 'dead'; readonly section: MediaSection };

/** The m-lines of one session by position, which never moves (RFC 3264 8). */
export class Slots {
  readonly #slots: Slot[] = [];
  /** Slots that the open offer takes for new lines, with what was there before. */
  #taken: { readonly slot: number; readonly before: Slot | undefined }[] = [];
  /** Slots that the open offer sets to port 0. */
  readonly #leaving = new Set<number>();

  get size(): number {
    return this.#slots.length;
  }

  at(slot: number): Slot | undefined {
    return this.#slots[slot];
  }

  entries(): IterableIterator<[number, Slot]> {
    return this.#slots.entries();
  }

  get audio(): AudioLine | undefined {
    return this.#slots.find((slot) => slot.kind === 'audio')?.line;
  }

  /** The line of a data channel slot; undefined for any other. */
  dataLine(slot: number): DataLine | undefined {
    const known = this.#slots[slot];
    return known?.kind === 'data' ? known.line : undefined;
  }

  /** Takes a slot for the next offer: the first that `isVacant`, else the end (chipsets have few m-lines). */
  take(line: Slot, isVacant: (slot: number) => boolean): number {
    const vacant = this.#slots.findIndex((known, slot) => known.kind === 'dead' && isVacant(slot));
    const slot = vacant === -1 ? this.#slots.length : vacant;
    this.#taken.push({ slot, before: this.#slots[slot] });
    this.#slots[slot] = line;
    return slot;
  }

  /** Puts the peer's new line, or its refusal, into its slot. */
  put(slot: number, line: Slot): void {
    this.#slots[slot] = line;
  }

  /** The next offer sets this slot to port 0; it ends when both ends have agreed. */
  leave(slot: number): void {
    this.#leaving.add(slot);
  }

  isLeaving(slot: number): boolean {
    return this.#leaving.has(slot);
  }

  /** The slot is dead from now on. What ran there is still to be closed: call the result. */
  kill(slot: number, section: MediaSection): () => Promise<void> {
    const known = this.#slots[slot];
    this.#slots[slot] = { kind: 'dead', section: refusedSection(section) };
    return async () => {
      if (known && known.kind !== 'dead') await known.line.close();
    };
  }

  /** The open offer was agreed. */
  commit(): void {
    this.#taken = [];
    this.#leaving.clear();
  }

  /** The open offer failed: what was there before is there again. */
  async rollback(): Promise<void> {
    this.#leaving.clear();
    for (const { slot, before } of this.#taken.splice(0).toReversed()) {
      const known = this.#slots[slot]!;
      if (known.kind !== 'dead') await known.line.close();
      if (before) this.#slots[slot] = before;
      else this.#slots.pop();
    }
    for (const known of this.#slots) if (known.kind === 'data') await known.line.rollback();
  }

  async close(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => (slot.kind === 'dead' ? undefined : slot.line.close())));
  }
}
