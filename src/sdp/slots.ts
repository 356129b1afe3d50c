import { ImsdcError } from '../errors.ts';
import type { SessionDescription } from './types.ts';

/**
 * One m-line position of a leg over its life (R8). The array index is the slot and never moves (RFC 3264 8); a slot
 * whose port went to 0 may be taken over by other media, which is its next generation.
 */
export interface Slot {
  /** `m<serial>`, or `d-<uuid>` for lines born at the DCSF. Never used again for other media. */
  readonly mediaId: string;
  readonly generation: number;
  /** False once the m-line has port 0 in an agreed description. */
  readonly live: boolean;
}

/**
 * Puts `mediaId` into `slot`: a new slot at the end, or the next generation of one that is no longer live.
 *
 * @throws ImsdcError SDP_SLOT_IN_USE when the slot is live, or lies beyond the end
 */
export function occupySlot(slots: readonly Slot[], slot: number, mediaId: string): readonly Slot[] {
  const old = slots[slot];
  if (!old && slot === slots.length) return [...slots, { mediaId, generation: 0, live: true }];
  if (!old || old.live) throw new ImsdcError('SDP_SLOT_IN_USE', { slot, mediaId: old?.mediaId ?? 'nobody yet' });
  return slots.with(slot, { mediaId, generation: old.generation + 1, live: true });
}

/** The m-line in `slot` is at port 0 now. Its mediaId stays readable until the slot is taken over. */
export function vacateSlot(slots: readonly Slot[], slot: number): readonly Slot[] {
  const old = slots[slot];
  return old?.live ? slots.with(slot, { ...old, live: false }) : slots;
}

/** Where a line that we add goes: the first vacant slot (chipsets allow few m-lines), else the end. */
export function vacantSlot(slots: readonly Slot[]): number {
  const vacant = slots.findIndex((s) => !s.live);
  return vacant === -1 ? slots.length : vacant;
}

/** The slots after an offer of the peer: which are new on this leg and need a mediaId. */
export interface OfferedSlots {
  readonly slots: readonly Slot[];
  /** Slots that the offer takes for new media. */
  readonly taken: readonly number[];
  /** The next serial, to be kept by the call: both legs count with it. */
  readonly nextSerial: number;
}

/**
 * Gives `m<serial>` to every slot that an offer opens: those at its end, and vacant ones that come with a port again
 * (RFC 3264 8.1). A new line with port 0 gets its slot too, but not live. Slots that the offer sets to port 0 stay
 * live until the answer is agreed: vacate them then.
 */
export function takeOfferedSlots(
  slots: readonly Slot[],
  offer: Pick<SessionDescription, 'media'>,
  nextSerial: number,
): OfferedSlots {
  const taken: number[] = [];
  for (const [slot, section] of offer.media.entries()) {
    const known = slots[slot];
    if (known?.live || (known && section.port === 0)) continue;
    slots = occupySlot(slots, slot, `m${nextSerial++}`);
    if (section.port === 0) slots = vacateSlot(slots, slot);
    else taken.push(slot);
  }
  return { slots, taken, nextSerial };
}

/** Vacates the slots that one of the two descriptions has at port 0 or lacks (an answer with fewer m-lines). */
export function vacateRefused(
  slots: readonly Slot[],
  local: Pick<SessionDescription, 'media'>,
  remote: Pick<SessionDescription, 'media'>,
): readonly Slot[] {
  return slots.reduce((all, _, slot) => {
    const dead = !local.media[slot]?.port || !remote.media[slot]?.port;
    return dead ? vacateSlot(all, slot) : all;
  }, slots);
}
