import { isDeepStrictEqual } from 'node:util';
import { ImsdcError } from '../errors.ts';
import { isDataChannelSection, isRejection, readDataChannelMedia } from '../sdp/data-channel.ts';
import { parseSessionDescription } from '../sdp/parse.ts';
import type { DataChannelMedia, MediaSection } from '../sdp/types.ts';

/** Throws LAB_CHECK unless `holds`. */
export function expect(holds: boolean, what: string, problem: string): asserts holds {
  if (!holds) throw new ImsdcError('LAB_CHECK', { what, problem });
}

export function expectEqual(actual: unknown, wanted: unknown, what: string): void {
  expect(isDeepStrictEqual(actual, wanted), what, `${JSON.stringify(actual)} instead of ${JSON.stringify(wanted)}`);
}

/** What matters of a data channel line to the checks. */
export interface SeenLine {
  readonly slot: number;
  readonly streams: readonly number[];
  readonly usedBy: 'sender' | 'receiver' | undefined;
  readonly media: DataChannelMedia;
}

/** Live data channel lines of a description. Throws LAB_CHECK for a live one that cannot be read. */
export function dataLines(text: string, as: 'offer' | 'answer'): SeenLine[] {
  const sdp = parseSessionDescription(text);
  return sdp.media.flatMap((section, slot) => {
    if (!isDataChannelSection(section) || section.port === 0) return [];
    const media = readDataChannelMedia(sdp, slot, { as });
    if (isRejection(media)) throw new ImsdcError('LAB_CHECK', { what: `m-line ${slot}`, problem: media.detail });
    return [{ slot, streams: media.streams.map(({ streamId }) => streamId), usedBy: media.bootstrapUsedBy, media }];
  });
}

/** `0/10 | 100/110 sender`: the shape of a description's data channel lines. */
export function shapeOf(lines: readonly SeenLine[]): string {
  return lines.map(({ streams, usedBy }) => `${streams.join('/')}${usedBy ? ` ${usedBy}` : ''}`).join(' | ');
}

/** No line of ICE anywhere (issue: no ICE in any SDP). */
export function expectNoIce(text: string, what: string): void {
  const line = text.split(/\r?\n/).find((one) => /^a=(ice-|candidate|end-of-candidates)/.test(one));
  expect(line === undefined, what, `carries '${line}'`);
}

export function audioSection(text: string): MediaSection {
  const section = parseSessionDescription(text).media.find((one) => one.media === 'audio');
  expect(section !== undefined, 'SDP', 'has no audio line');
  return section;
}
