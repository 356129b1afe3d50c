import type { DataChannelMedia, SessionDescription } from './types.ts';

/**
 * An answered section against what was offered (ue-side.md 9): streams that were not offered or come back with other
 * reliability or order are taken out, each with a note; a tls-id nobody offered is ignored (RFC 8842 5.3).
 */
export function matchAnswer(
  offered: Pick<DataChannelMedia, 'streams' | 'tlsId'>,
  answered: DataChannelMedia,
): DataChannelMedia {
  const notes = [...answered.notes];
  const streams = answered.streams.filter((stream) => {
    const offer = offered.streams.find((s) => s.streamId === stream.streamId);
    const same =
      offer?.ordered === stream.ordered &&
      offer.maxRetransmissions === stream.maxRetransmissions &&
      offer.maxTimeMs === stream.maxTimeMs;
    if (!offer) notes.push(`dcmap ${stream.streamId}: answered but not offered`);
    else if (!same) notes.push(`dcmap ${stream.streamId}: order or reliability differs from the offer`);
    return same;
  });
  const tlsId = offered.tlsId === undefined ? undefined : answered.tlsId;
  if (tlsId !== answered.tlsId) notes.push('tls-id answered but not offered; ignored');
  return { ...answered, tlsId, streams, notes };
}

/** An answer has as many m-lines as the offer (RFC 3264 6). Fewer are survived as port 0 (ue-side.md 8.4); the note says so. */
export function countProblem(
  offer: Pick<SessionDescription, 'media'>,
  answer: Pick<SessionDescription, 'media'>,
): string | undefined {
  if (answer.media.length === offer.media.length) return undefined;
  return `answer has ${answer.media.length} m-lines for ${offer.media.length} offered`;
}
