import type { MediaContext } from '../../services/nmf-mrm.ts';
import { entryId } from './desired.ts';
import type { Held } from './held.ts';

/** A channel of a context: the engine's key of its association, and its stream. */
export const channelId = (key: string, streamId: number | string) => `${key} ${streamId}`;

/** The channels of one medium, in every termination, or those of all media. */
export function channelsOf({ terminations }: MediaContext, { associations }: Held, wanted?: string): string[] {
  const keys = new Map<string, string>();
  for (const { entries, key } of associations.values()) for (const entry of entries) keys.set(entry, key);
  return terminations.flatMap(({ medias, terminationId }) =>
    medias.flatMap(({ dcMedia, mediaId }) => {
      const key = keys.get(entryId(terminationId, mediaId));
      if (key === undefined || (wanted !== undefined && mediaId !== wanted)) return [];
      return Object.keys(dcMedia?.streams ?? {}).map((streamId) => channelId(key, streamId));
    }),
  );
}
