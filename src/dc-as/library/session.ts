import type { DcAsChannel } from './channel.ts';

/**
 * What one application has of one call: one channel for P2A and A2P, the channels of both users for P2A2P. Exists while
 * it has a channel.
 */
export class DcAsSession {
  readonly id: string;
  readonly applicationId: string;
  /** Yours: what the application knows of this call. */
  state: unknown;
  readonly #channels = new Set<DcAsChannel>();

  constructor(id: string, applicationId: string) {
    this.id = id;
    this.applicationId = applicationId;
  }

  get channels(): ReadonlySet<DcAsChannel> {
    return this.#channels;
  }

  /** Those of the other user. */
  others(channel: DcAsChannel): DcAsChannel[] {
    const { termination } = channel.facts;
    return [...this.#channels].filter((other) => other.facts.termination !== termination);
  }

  /** For the server only. */
  add(channel: DcAsChannel): void {
    this.#channels.add(channel);
  }

  remove(channel: DcAsChannel): void {
    this.#channels.delete(channel);
  }
}
