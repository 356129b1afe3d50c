import type { DataChannelMedia, DataChannelStream } from '../../sdp/types.ts';
import { canOpen } from './data-line.ts';

/** How this UE answers data channel lines. Everything but `accept` is there to show how the network copes. */
export type DataAnswer =
  | 'accept'
  /** Every data channel line with port 0: a peer without data channels (ue-side 8.4). */
  | 'portZero'
  /** An answer with fewer m-lines than the offer, as some legacy devices send. */
  | 'fewerLines'
  /** 488 to the whole offer at once, as devices do whose SDP parser knows no data channels. */
  | 'refuse488';

/** Whether a UE of that kind refuses this offer as a whole. */
export function refusesOffer(policy: DataAnswer, sdp: string): boolean {
  return policy === 'refuse488' && /^m=application [1-9]\d* UDP\/DTLS\/SCTP /m.test(sdp);
}

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
