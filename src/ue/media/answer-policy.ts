import type { DataChannelMedia, DataChannelStream } from '../../sdp/types.ts';
import { canOpen } from './data-line.ts';

/** How this UE answers data channel lines. Everything but `accept` is there to show how the network copes. */
export type DataAnswer =
  | 'accept'
  /** Every data channel line with port 0: a peer without data channels (ue-side 8.4). */
  | 'portZero'
  /** An answer with fewer m-lines than the offer, as some legacy devices send. */
  | 'fewerLines';

/** TS 26.114 table 6.2.10.1-2; deployed handsets know only 0 and 100, the standard's UE takes all four. */
const BOOTSTRAP_LIMIT = 1000;
const REMOTE_BOOTSTRAP = new Set([100, 110]);

/**
 * The streams of an offered line that this UE takes. Bootstrap channels that the offerer wants to use itself
 * (`sender`) would make us the HTTP server, which is the network's part (TS 26.114 6.2.10.1): none of those.
 */
export function acceptableStreams(offered: DataChannelMedia): readonly DataChannelStream[] {
  return offered.streams.filter((stream) => {
    if (!canOpen(stream)) return false;
    if (stream.streamId >= BOOTSTRAP_LIMIT) return true;
    return !REMOTE_BOOTSTRAP.has(stream.streamId) || offered.bootstrapUsedBy === 'receiver';
  });
}
