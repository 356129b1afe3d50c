import { parseRequestedApplication } from '../../sdp/requested-application.ts';
import type { DataChannelMedia } from '../../sdp/types.ts';
import type { DataChannelContent } from '../../sdp/write-data-channel.ts';

/** What a line of ours carries when it answers this offer. */
export function contentOf(offered: DataChannelMedia): DataChannelContent {
  return {
    streams: offered.streams,
    ...(offered.bandwidthKbps === undefined ? {} : { bandwidthKbps: offered.bandwidthKbps }),
    ...(offered.bootstrapUsedBy === undefined ? {} : { bootstrapUsedBy: offered.bootstrapUsedBy }),
    applicationLines: offered.applicationLines,
    ...(offered.qosHint === undefined ? {} : { qosHint: offered.qosHint.text }),
    ...(offered.mid === undefined ? {} : { mid: offered.mid }),
  };
}

/** With these streams alone; the bindings go with their channels. */
export function withOnly(content: DataChannelContent, streams: DataChannelContent['streams']): DataChannelContent {
  const isBound = (text: string): boolean => {
    const channels = parseRequestedApplication(text)?.channels ?? [];
    return channels.length === 0 || channels.some((one) => streams.some(({ streamId }) => streamId === one.streamId));
  };
  const { applicationLines } = content;
  return { ...content, streams, ...(applicationLines && { applicationLines: applicationLines.filter(isBound) }) };
}

/** With the streams and bindings of `more` as well. */
export function extended(before: DataChannelContent, more: DataChannelContent): DataChannelContent {
  const known = new Set(before.streams.map(({ streamId }) => streamId));
  const applicationLines = [...(before.applicationLines ?? []), ...(more.applicationLines ?? [])];
  return {
    ...before,
    streams: [...before.streams, ...more.streams.filter(({ streamId }) => !known.has(streamId))],
    ...(applicationLines.length === 0 ? {} : { applicationLines: [...new Set(applicationLines)] }),
  };
}

/** 3gpp-bdc-used-by is relative to who sends the offer: an answer echoes it, our own offer turns it round (R8). */
export function asOurOffer(content: DataChannelContent): DataChannelContent {
  if (content.bootstrapUsedBy === undefined) return content;
  return { ...content, bootstrapUsedBy: content.bootstrapUsedBy === 'sender' ? 'receiver' : 'sender' };
}
