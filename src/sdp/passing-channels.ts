import { attributes } from './lines.ts';
import { readStreams } from './streams.ts';
import type { DataChannelStream, MediaSection } from './types.ts';
import { withoutStreams, withStreams } from './write-data-channel.ts';

/**
 * Channels of a line that somebody else ends. Nobody but us looks at them against the policy of the network, so what we
 * could not read, and what was never offered, must not reach a peer who may be less careful (ue-side.md 9).
 */

/** An offered section without the channels that cannot be used: nobody has decided on them. Else the same object. */
export function withoutUnusable(offered: MediaSection): MediaSection {
  const dcmaps = attributes(offered.lines, 'dcmap');
  const usable = idsOf(readStreams(dcmaps, [], []));
  const dropped = droppedIds(dcmaps, usable);
  return dropped.size === 0 ? offered : withStreams(offered, (id) => !dropped.has(id));
}

/**
 * An answered section without the channels that `offered` does not have, or for which `keep` says no; bindings are
 * repeated as they are (TS 26.114 6.2.10.3). Undefined: none is left, and the line is refused.
 */
export function withoutUnoffered(
  answered: MediaSection,
  offered: MediaSection,
  keep: (streamId: number) => boolean,
): MediaSection | undefined {
  const ids = idsOf(readStreams(attributes(offered.lines, 'dcmap'), [], []));
  const dcmaps = attributes(answered.lines, 'dcmap');
  const kept = new Set([...idsOf(readStreams(dcmaps, [], []))].filter((id) => ids.has(id) && keep(id)));
  const dropped = droppedIds(dcmaps, kept);
  if (dropped.size === 0) return answered;
  if (kept.size === 0) return undefined;
  return { ...answered, lines: withoutStreams(answered.lines, (id) => !dropped.has(id)) };
}

function idsOf(streams: readonly DataChannelStream[]): ReadonlySet<number> {
  return new Set(streams.map(({ streamId }) => streamId));
}

/** NaN stands for lines that do not even have an id. */
function droppedIds(dcmaps: readonly string[], kept: ReadonlySet<number>): ReadonlySet<number> {
  return new Set(dcmaps.map((value) => Number.parseInt(value, 10)).filter((id) => !kept.has(id)));
}
