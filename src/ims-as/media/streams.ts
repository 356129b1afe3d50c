import { entriesOf, sparse } from '../../base/dictionary.ts';
import type { MediaLine } from './types.ts';

/** Streams by id; replaced and never changed, so whoever wants the same ones has the same object. */
type Streams = MediaLine['streams'];

/** Those that `isKept` names. */
export function keptStreams(streams: Streams, isKept: (streamId: string) => boolean): Streams {
  const ids = Object.keys(streams);
  const kept = ids.filter(isKept);
  return kept.length === ids.length ? streams : sparse(kept.map((id) => [id, streams[id]!]));
}

/** Those of both; what `added` says of a stream counts. */
export function joinedStreams(streams: Streams, added: Streams): Streams {
  if (streams === added || hasNone(added)) return streams;
  return hasNone(streams) ? added : sparse([...entriesOf(streams), ...entriesOf(added)]);
}

export function hasNone(streams: Streams): boolean {
  return Object.keys(streams).length === 0;
}
