import { ImsdcError } from '../../errors.ts';
import type { ParsedMessage } from '../../sip/index.ts';
import type { ServerKey } from '../../sip/types.ts';
import type { Direction } from '../media/audio-line.ts';
import type { SessionMedia } from '../media/session-media.ts';
import { sdpOf } from './headers.ts';

/** What changes of a session need of the call around them. */
export interface RenegotiationPort {
  readonly media: SessionMedia;
  /** The owner of the Call-ID waits longer after a 491. */
  readonly ownsCallId: boolean;
  /** Resolves in a connected call, rejects when it has ended. */
  connected(): Promise<void>;
  /** Sends a re-INVITE, and the ACK of its 2xx. Resolves with the final response. */
  invite(offer: string): Promise<ParsedMessage>;
  /** 200 to the peer's INVITE or UPDATE. */
  accept(key: ServerKey, message: ParsedMessage, sdp: string | undefined): void;
  refuse(key: ServerKey, message: ParsedMessage, status: number): void;
  /** The peer's offer could not be answered; it has been refused. */
  declined(error: unknown): void;
  /** An exchange is complete. */
  agreed(): void;
  /** The final response to our re-INVITE was a refusal. */
  refused(response: ParsedMessage): void;
  /** The media of the session are in doubt. */
  broken(error: unknown): void;
}

/** Attempts of a re-INVITE that meets the peer's own (491) before it is given up. */
const MAX_GLARE_RETRIES = 6;

/** Changes of an established session, from either side: one exchange at a time (RFC 3261 14). */
export class Renegotiation {
  readonly #port: RenegotiationPort;
  /** A change of ours or of the peer is under way. */
  #busy = false;
  /** The peer's change that is under way; resolved when there is none. */
  #peerChange: Promise<void> = Promise.resolve();
  #ourChanges: Promise<unknown> = Promise.resolve();
  #answerDueInAck = false;

  constructor(port: RenegotiationPort) {
    this.#port = port;
  }

  /**
   * One exchange begun by us, after those that are under way. `prepare` changes the media and runs again after a 491.
   * Rejects UE_CALL_FAILED when the peer refuses: then nothing has changed.
   */
  change(prepare: () => Promise<void>, direction?: Direction): Promise<void> {
    const mine = this.#ourChanges.then(() => this.#reinvite(prepare, direction));
    this.#ourChanges = mine.catch(() => undefined);
    return mine;
  }

  /** The peer's re-INVITE or UPDATE. */
  peerChange(key: ServerKey, message: ParsedMessage): void {
    const { media } = this.#port;
    const sdp = sdpOf(message);
    if (sdp === undefined && message.method === 'UPDATE') {
      this.#port.accept(key, message, undefined);
    } else if (this.#busy || !media.stable) {
      // 14.2: our own offer is out, or the answer to the last one is not: the peer tries again.
      this.#port.refuse(key, message, 491);
    } else if (sdp === undefined) {
      this.#port.accept(key, message, media.offer());
      this.expectAnswerInAck();
    } else {
      this.#busy = true;
      this.#settle(this.#answer(key, message, sdp));
    }
  }

  /** Our 2xx carries an offer: the ACK will bring the answer (RFC 3261 13.2.1). */
  expectAnswerInAck(): void {
    this.#answerDueInAck = true;
    this.#busy = true;
  }

  /** The ACK of our 2xx has come. */
  acknowledged(ack: ParsedMessage): void {
    if (!this.#answerDueInAck) return;
    this.#answerDueInAck = false;
    const { media } = this.#port;
    const sdp = sdpOf(ack);
    this.#settle(sdp === undefined ? media.offerRefused() : media.acceptAnswer(sdp));
  }

  async #answer(key: ServerKey, message: ParsedMessage, sdp: string): Promise<void> {
    const { media } = this.#port;
    const answered = await media.answer(sdp).catch((error: unknown) => {
      media.offerDeclined();
      this.#port.refuse(key, message, 488);
      this.#port.declined(error);
      return null;
    });
    if (!answered) return;
    this.#port.accept(key, message, answered.answer);
    await answered.commit();
  }

  #settle(work: Promise<void>): void {
    this.#peerChange = work
      .then(() => this.#port.agreed())
      .catch((error: unknown) => this.#port.broken(error))
      .finally(() => {
        this.#busy = false;
      });
  }

  async #reinvite(prepare: () => Promise<void>, direction?: Direction): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      await this.#port.connected();
      const response = await this.#exchange(prepare, direction);
      if (response.status < 300) return;
      if (response.status !== 491 || attempt === MAX_GLARE_RETRIES) {
        this.#port.refused(response);
        throw new ImsdcError('UE_CALL_FAILED', { status: response.status, reason: response.reason });
      }
      await new Promise((resolve) => setTimeout(resolve, this.#glareDelayMs()));
    }
  }

  async #exchange(prepare: () => Promise<void>, direction?: Direction): Promise<ParsedMessage> {
    const { media } = this.#port;
    await this.#peerChange;
    this.#busy = true;
    try {
      await prepare();
      const response = await this.#port.invite(media.offer(direction)).catch(async (error: unknown) => {
        await media.offerRefused();
        throw error;
      });
      const sdp = response.status < 300 ? sdpOf(response) : undefined;
      if (sdp === undefined) await media.offerRefused();
      else {
        await media.acceptAnswer(sdp);
        this.#port.agreed();
      }
      return response;
    } finally {
      this.#busy = false;
    }
  }

  /** RFC 3261 14.1: the owner of the Call-ID waits 2.1 to 4 s, the other side up to 2 s, in units of 10 ms. */
  #glareDelayMs(): number {
    const units = this.#port.ownsCallId ? 210 + Math.random() * 190 : Math.random() * 200;
    return Math.floor(units) * 10;
  }
}
