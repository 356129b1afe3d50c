import {
  type Dialog,
  dialogId,
  dialogRequest,
  inviteResponse,
  MessageWriter,
  type ParsedMessage,
  type ReliableClient,
  receiveReliable,
} from '../../sip/index.ts';
import type { PendingRequest } from '../sip/user-agent.ts';
import { type CallContext, UeCall } from './call.ts';
import { inviteBody, sdpOf, writeCapabilities } from './headers.ts';
import type { CallEnd, CallOptions } from './types.ts';

export interface OutgoingTarget {
  readonly target: string;
  /** Our public identity. */
  readonly identity: string;
  readonly routes: readonly string[];
  readonly nextHop: string;
}

/** A call that we make. */
export class OutgoingCall extends UeCall {
  readonly direction = 'outgoing';
  readonly #to: OutgoingTarget;
  readonly #callId: string;
  readonly #localTag: string;
  #invite: PendingRequest | null = null;
  #forks: readonly Dialog[] = [];
  #reliable: ReliableClient = {};
  /** Answers are applied one after the other. */
  #answers: Promise<void> = Promise.resolve();
  #givenUp = false;

  constructor(context: CallContext, to: OutgoingTarget) {
    super(context, 'inviting');
    this.#to = to;
    this.#callId = context.agent.mint.next();
    this.#localTag = context.agent.mint.next();
  }

  /** Sends the INVITE with what `media` offers. Progress comes as events; wait with `connected`. */
  start(options: CallOptions): void {
    const offer = this.media.offer();
    const { body, contentType } = inviteBody(offer, options.extraBody);
    this.#invite = this.agent.request({
      method: 'INVITE',
      nextHop: this.#to.nextHop,
      build: (via) => this.#build(via, options).finish(body, contentType),
      onResponse: (response) => this.#onResponse(response),
    });
    this.#invite.final.catch((error: Error) => this.finish({ by: 'network', status: 408, reason: error.message }));
  }

  async hangup(): Promise<void> {
    if (this.state === 'connected') return this.bye();
    if (this.state === 'ended') return;
    this.#givenUp = true;
    this.#invite?.cancel();
    // Nothing has come yet, perhaps never will: whoever answers later gets ACK and BYE.
    if (this.state === 'inviting') this.finish({ by: 'us', status: 487, reason: 'given up' });
    await this.ended();
    await this.closed;
  }

  protected override finish(end: CallEnd): void {
    for (const fork of this.#forks) this.agent.unbind(dialogId(fork.callId, fork.localTag, fork.remoteTag));
    super.finish(end);
  }

  #build(via: string, options: CallOptions): MessageWriter {
    const { target, identity, routes } = this.#to;
    const writer = MessageWriter.request('INVITE', target)
      .header('Via', via)
      .header('Max-Forwards', 70)
      .headers('Route', routes)
      .header('From', `<${identity}>;tag=${this.#localTag}`)
      .header('To', `<${target}>`)
      .header('Call-ID', this.#callId)
      .header('CSeq', '1 INVITE')
      .header('P-Preferred-Identity', `<${identity}>`);
    writeCapabilities(writer, this.context.contact, this.context.userAgentName);
    for (const line of options.extraHeaders ?? []) writer.lines(`${line}\r\n`);
    return writer;
  }

  #onResponse(response: ParsedMessage): void {
    const { status } = response;
    if (status === 100) return;
    if (status >= 300) {
      this.finish({ by: this.#givenUp ? 'us' : 'peer', status, reason: response.reason });
      return;
    }
    const known = new Set(this.#forks.map((fork) => fork.remoteTag));
    const { dialogs, dialog, isNew } = inviteResponse(this.#forks, response);
    this.#forks = dialogs;
    if (!dialog) return;
    if (isNew) this.agent.bind(dialogId(dialog.callId, dialog.localTag, dialog.remoteTag), this);
    if (status >= 200) {
      this.#on2xx(response, dialog, known.has(dialog.remoteTag));
      return;
    }
    this.#onProvisional(response, dialog);
  }

  #onProvisional(response: ParsedMessage, dialog: Dialog): void {
    const { state, verdict } = receiveReliable(this.#reliable, response);
    this.#reliable = state;
    if (verdict.kind === 'discard') return;
    // Requests inside an early dialog use the newest one; the 2xx decides which it is in the end.
    this.dialog = this.dialog?.remoteTag === dialog.remoteTag ? this.dialog : dialog;
    if (verdict.kind === 'acknowledge') this.#prack(verdict.rack);
    this.#applyAnswer(response);
    this.enter('ringing');
  }

  #prack(rack: string): void {
    const { final } = this.send('PRACK', (writer) => writer.header('RAck', rack).finish());
    final.catch((error: unknown) => this.agent.log.warn({ err: error }, 'nobody answered our PRACK'));
  }

  #on2xx(response: ParsedMessage, dialog: Dialog, wasEarly: boolean): void {
    const chosen = this.dialog;
    if (this.state === 'ended' || (this.state === 'connected' && chosen?.remoteTag !== dialog.remoteTag)) {
      this.#dropFork(response, dialog);
      return;
    }
    this.sendAck(dialog, response.cseq);
    if (this.state === 'connected') return;
    const sameEarly = wasEarly && chosen?.remoteTag === dialog.remoteTag;
    this.dialog = sameEarly ? { ...dialog, localCSeq: chosen.localCSeq, remoteCSeq: chosen.remoteCSeq } : dialog;
    this.#forgetOtherForks(dialog);
    this.#applyAnswer(response);
    this.#answers = this.#answers.then(() => {
      // RFC 3261 15: a CANCEL that crossed the 2xx becomes a BYE.
      if (this.#givenUp) return this.bye();
      this.enter('connected');
    });
  }

  /** 13.2.2.4: a second fork answered; it is acknowledged and ended. */
  #dropFork(response: ParsedMessage, dialog: Dialog): void {
    this.sendAck(dialog, response.cseq);
    const { nextHop } = dialogRequest(dialog, 'BYE', '');
    this.agent
      .request({ method: 'BYE', nextHop, build: (via) => dialogRequest(dialog, 'BYE', via).writer.finish() })
      .final.catch((error: unknown) => this.agent.log.warn({ err: error }, 'nobody answered the BYE of a second fork'));
  }

  #forgetOtherForks(dialog: Dialog): void {
    for (const fork of this.#forks) {
      if (fork.remoteTag !== dialog.remoteTag) this.agent.unbind(dialogId(fork.callId, fork.localTag, fork.remoteTag));
    }
  }

  #applyAnswer(response: ParsedMessage): void {
    const sdp = sdpOf(response);
    if (sdp === undefined) return;
    this.#answers = this.#answers
      .then(async () => {
        const before = this.media.agreed?.remote;
        await this.media.acceptAnswer(sdp);
        if (this.media.agreed?.remote !== before) this.agreed();
      })
      .catch((error: unknown) => {
        this.agent.log.error({ err: error }, 'an answer could not be used');
        void this.hangup();
      });
  }
}
