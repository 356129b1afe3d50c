import { ImsdcError } from '../../errors.ts';
import { buildResponse, dialogId, type ParsedMessage, uasDialog } from '../../sip/index.ts';
import type { ServerKey } from '../../sip/types.ts';
import { type CallContext, UeCall } from './call.ts';
import { sdpOf, sessionTimerLines, supports } from './headers.ts';
import { ReliableRepeater } from './repeater.ts';
import type { AnswerOptions } from './types.ts';

/** A call that somebody makes to us. */
export class IncomingCall extends UeCall {
  readonly direction = 'incoming';
  /** The INVITE as it came, for whoever wants to look at it. */
  readonly invite: ParsedMessage;
  readonly #key: ServerKey;
  readonly #localTag: string;
  readonly #reliable: ReliableRepeater;
  /** The answer that went out in a 183. */
  #early: { readonly sdp: string; readonly reliable: boolean } | null = null;

  constructor(context: CallContext, key: ServerKey, invite: ParsedMessage) {
    super(context, 'ringing');
    this.#key = key;
    this.invite = invite;
    this.#localTag = context.agent.mint.next();
    this.#reliable = new ReliableRepeater(
      {
        transmit: (wire) => this.agent.respond(this.#key, 183, wire),
        unacknowledged: () => this.reject(504),
      },
      invite.cseq,
    );
    this.agent.onCancel(key, () => this.reject(487));
  }

  /** Makes the early dialog and lets the phone ring. False: the INVITE cannot be used and has been refused. */
  ring(): boolean {
    const dialog = uasDialog(this.invite, this.#localTag);
    if (!dialog) {
      this.reject(400);
      return false;
    }
    this.dialog = dialog;
    this.agent.bind(dialogId(dialog.callId, dialog.localTag, dialog.remoteTag), this);
    this.#provisional(180, undefined);
    return true;
  }

  /** Answers: with `early` in a 183 that the caller acknowledges, else (or then) in the 200. Throws UE_CALL_ENDED. */
  async answer(options: AnswerOptions = {}): Promise<void> {
    const lines = (options.extraHeaders ?? []).map((line) => `${line}\r\n`).join('');
    if (options.early) await this.#answerEarly(lines);
    if (this.state !== 'ringing') throw new ImsdcError('UE_CALL_ENDED', { reason: this.end?.reason ?? this.state });
    const timer = sessionTimerLines(this.invite);
    if (this.#early) {
      const sdp = this.#early.reliable ? undefined : this.#early.sdp;
      this.#accept(this.answerWire(this.invite, 200, sdp, this.#localTag, timer + lines));
      return;
    }
    const offer = sdpOf(this.invite);
    if (offer === undefined) {
      this.#accept(this.answerWire(this.invite, 200, await this.#offerInAnswer(), this.#localTag, timer + lines));
      return;
    }
    const { answer, commit } = await this.#answerOffer(offer);
    this.#accept(this.answerWire(this.invite, 200, answer, this.#localTag, timer + lines));
    await commit();
    this.agreed();
  }

  /** Refuses the call. */
  reject(status: number, reason?: string): void {
    if (this.state !== 'ringing') return;
    this.#reliable.stop();
    const wire = buildResponse(this.invite, status, { toTag: this.#localTag, ...(reason ? { reason } : {}) });
    this.agent.respond(this.#key, status, wire);
    this.finish({ by: status === 487 ? 'peer' : 'us', status, reason: reason ?? 'refused' });
  }

  async hangup(): Promise<void> {
    if (this.state === 'ringing') this.reject(486);
    if (this.state === 'connected') return this.bye();
    await this.closed;
  }

  protected override acknowledged(prack: ParsedMessage): boolean {
    return this.#reliable.prack(prack);
  }

  async #answerEarly(lines: string): Promise<void> {
    const offer = sdpOf(this.invite);
    if (offer === undefined || this.#early) return;
    const { answer, commit } = await this.#answerOffer(offer);
    const reliable = supports(this.invite, '100rel');
    this.#early = { sdp: answer, reliable };
    const acknowledged = this.#provisional(183, answer, lines);
    await commit();
    this.agreed();
    // RFC 3262 5: an answer in a reliable response counts once it is acknowledged; the 200 waits for that.
    await Promise.race([acknowledged, this.next('ended')]);
  }

  async #answerOffer(offer: string): Promise<{ readonly answer: string; commit(): Promise<void> }> {
    try {
      return await this.media.answer(offer);
    } catch (error) {
      this.reject(error instanceof ImsdcError && error.code === 'SDP_MALFORMED' ? 400 : 488);
      throw error;
    }
  }

  async #offerInAnswer(): Promise<string> {
    await this.media.addAudio();
    this.renegotiation.expectAnswerInAck();
    return this.media.offer();
  }

  #accept(wire: string): void {
    this.#reliable.stop();
    this.sendFinal(this.#key, wire);
    this.enter('connected');
  }

  #provisional(status: 180 | 183, sdp: string | undefined, lines = ''): Promise<void> {
    if (!supports(this.invite, '100rel') || status === 180) {
      this.agent.respond(this.#key, status, this.answerWire(this.invite, status, sdp, this.#localTag, lines));
      return Promise.resolve();
    }
    return this.#reliable.send((rseq) =>
      this.answerWire(this.invite, status, sdp, this.#localTag, `${lines}Require: 100rel\r\nRSeq: ${rseq}\r\n`),
    );
  }
}
