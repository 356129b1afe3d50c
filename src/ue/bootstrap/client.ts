import { ImsdcError } from '../../errors.ts';
import type { UeChannel } from '../media/channel.ts';
import type { HandsetProfile } from '../profile.ts';
import {
  applicationTarget,
  type BootstrapRequest,
  type HandsetIdentity,
  listTarget,
  requestBytes,
  requestMessages,
  rootTarget,
} from './requests.ts';
import { type BootstrapResponse, ResponseReader } from './response-reader.ts';

/** What a request became: the bytes that went out, and what the handset made of the answer. */
export interface BootstrapResult extends BootstrapResponse {
  readonly request: string;
  /** What the handset would do with it: use the content, keep what it has, or call it a failure. */
  readonly outcome: 'content' | 'notModified' | 'failure';
}

/** HTTP over one bootstrap channel as one handset family does it: one request at a time, answers in order. */
export class BootstrapClient {
  readonly #profile: HandsetProfile;
  readonly #identity: HandsetIdentity;
  readonly #channel: UeChannel;
  #last: Promise<unknown> = Promise.resolve();

  constructor(profile: HandsetProfile, identity: HandsetIdentity, channel: UeChannel) {
    this.#profile = profile;
    this.#identity = identity;
    this.#channel = channel;
  }

  /** What the handset fetches first: the root mini-app, the list, or the page at `/`. */
  root(etag?: string): Promise<BootstrapResult> {
    return this.get({ target: rootTarget(this.#profile, this.#identity), ...withEtag(etag) });
  }

  list(): Promise<BootstrapResult> {
    return this.get({ target: listTarget(this.#profile, this.#identity) });
  }

  application(applicationId: string, etag?: string): Promise<BootstrapResult> {
    return this.get({ target: applicationTarget(this.#profile, this.#identity, applicationId), ...withEtag(etag) });
  }

  /** Throws UE_BOOTSTRAP_RESPONSE where this handset would give up, UE_CHANNEL_CLOSED when the channel ends. */
  get(request: BootstrapRequest): Promise<BootstrapResult> {
    const mine = this.#last.then(() => this.#exchange(request));
    this.#last = mine.catch(() => undefined);
    return mine;
  }

  async #exchange(request: BootstrapRequest): Promise<BootstrapResult> {
    const text = requestBytes(this.#profile, request);
    const bytes = Buffer.from(text, 'latin1');
    for (const message of requestMessages(this.#profile, bytes)) await this.#channel.send(message, 'binary');
    const reader = new ResponseReader(this.#profile.response);
    for (;;) {
      const { data } = await this.#channel.receive();
      const response = reader.push(data);
      if (response) return { ...response, request: text, outcome: this.#outcome(response) };
    }
  }

  #outcome(response: BootstrapResponse): BootstrapResult['outcome'] {
    const { notModified, etagRequired } = this.#profile.response;
    if (response.status === 304) return notModified === 'accepted' ? 'notModified' : 'failure';
    if (response.status < 200 || response.status > 299) return 'failure';
    const isPackage = response.headers.get('content-type')?.startsWith('application/zip') ?? false;
    if (isPackage && etagRequired && !response.headers.has('etag')) {
      throw new ImsdcError('UE_BOOTSTRAP_RESPONSE', { problem: 'a package without ETag' });
    }
    return 'content';
  }
}

function withEtag(etag: string | undefined): { etag?: string } {
  return etag === undefined ? {} : { etag };
}
