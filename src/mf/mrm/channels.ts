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

/** Channels (channelId) that one of their ends has closed, as long as the document has them. */
export class ClosedChannels {
  #byServer: ReadonlySet<string> = new Set();
  #byUe: ReadonlySet<string> = new Set();

  closedByUe(channel: string): void {
    if (!this.#byServer.has(channel)) this.#byUe = new Set([...this.#byUe, channel]);
  }

  /** False: its UE was first. */
  closedByServer(channel: string): boolean {
    if (this.#byUe.has(channel)) return false;
    this.#byServer = new Set([...this.#byServer, channel]);
    return true;
  }

  isDone(channels: readonly string[]): boolean {
    return channels.every((channel) => this.#byServer.has(channel));
  }

  /** Offered again, a stream is another channel. */
  keepOnly(channels: () => readonly string[]): void {
    if (this.#byServer.size + this.#byUe.size === 0) return;
    const kept = new Set(channels());
    this.#byServer = this.#byServer.intersection(kept);
    this.#byUe = this.#byUe.intersection(kept);
  }
}
