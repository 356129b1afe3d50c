import { TypedEmitter } from '../../base/emitter.ts';
import { ImsdcError } from '../../errors.ts';
import {
  buildResponse,
  type Dialog,
  dialogAck,
  dialogId,
  dialogRequest,
  endsDialog,
  type MessageWriter,
  type ParsedMessage,
  receiveRequest,
  receiveResponse,
} from '../../sip/index.ts';
import type { ServerKey } from '../../sip/types.ts';
import { BOOTSTRAP_LINES } from '../bootstrap/lines.ts';
import { type ApplicationRequest, applicationContent } from '../media/application-line.ts';
import type { Direction } from '../media/audio-line.ts';
import type { UeChannel } from '../media/channel.ts';
import type { SessionMedia } from '../media/session-media.ts';
import type { DialogUser, PendingRequest, UserAgent } from '../sip/user-agent.ts';
import { capabilityLines, sessionTimerLines, writeCapabilities } from './headers.ts';
import { Renegotiation, type RenegotiationPort } from './renegotiation.ts';
import { FinalRepeater } from './repeater.ts';
import type { CallEnd, CallEvents, CallState } from './types.ts';

export interface CallContext {
  readonly agent: UserAgent;
  readonly media: SessionMedia;
  /** Contact value with our feature tags. */
  readonly contact: string;
  readonly userAgentName: string;
}

/**
 * One call: a dialog with its media. What both directions share: requests inside the dialog, changes of the session,
 * BYE.
 */
export abstract class UeCall extends TypedEmitter<CallEvents> implements DialogUser {
  readonly media: SessionMedia;
  abstract readonly direction: 'outgoing' | 'incoming';
  protected readonly context: CallContext;
  protected readonly agent: UserAgent;
  protected dialog: Dialog | null = null;
  #state: CallState;
  #end: CallEnd | null = null;
  protected readonly renegotiation: Renegotiation;
  readonly #final: FinalRepeater;
  #finalKey: ServerKey | null = null;
  /** Everything the call held is given back. */
  closed: Promise<void> = Promise.resolve();

  constructor(context: CallContext, state: CallState) {
    super();
    this.context = context;
    this.agent = context.agent;
    this.media = context.media;
    this.#state = state;
    this.renegotiation = new Renegotiation(this.#renegotiationPort());
    this.#final = new FinalRepeater({
      transmit: (wire) => this.#finalKey && this.agent.respond(this.#finalKey, 200, wire),
      unacknowledged: () => void this.hangup(),
    });
    this.media.on('association', (event) => this.emit('association', event));
    this.media.on('channel', ({ channel }) => this.emit('channel', channel));
  }

  get state(): CallState {
    return this.#state;
  }

  get end(): CallEnd | null {
    return this.#end;
  }

  /** Resolves once both ends are in the call; rejects UE_CALL_FAILED or UE_CALL_ENDED. */
  async connected(): Promise<void> {
    if (this.#state !== 'connected' && this.#state !== 'ended') {
      await Promise.race([this.next('state', (state) => state === 'connected'), this.next('ended')]);
    }
    if (this.#end) {
      const { status, reason } = this.#end;
      throw status > 0
        ? new ImsdcError('UE_CALL_FAILED', { status, reason })
        : new ImsdcError('UE_CALL_ENDED', { reason });
    }
  }

  /** Resolves when the call is over. */
  async ended(): Promise<CallEnd> {
    return this.#end ?? (await this.next('ended'));
  }

  /** The channel with that stream id, open. Waits for it to be negotiated; rejects when the call ends before. */
  async channel(streamId: number): Promise<UeChannel> {
    const known = this.media.channel(streamId);
    const channel =
      known ?? (await Promise.race([this.next('channel', (c) => c.streamId === streamId), this.next('ended')]));
    if ('reason' in channel) throw new ImsdcError('UE_CALL_ENDED', { reason: channel.reason });
    await channel.opened();
    return channel;
  }

  /**
   * Offers an application's m-line by re-INVITE (E6), or its streams on the line in slot `on` besides what is there.
   * Resolves with its channels, open. Throws UE_CALL_FAILED.
   */
  async openApplication(request: ApplicationRequest, on?: number): Promise<UeChannel[]> {
    let slot = on ?? -1;
    await this.renegotiation.change(async () => {
      if (on === undefined) slot = await this.media.addData(applicationContent(request));
      else this.media.extend(on, applicationContent(request));
    });
    const line = [...this.media.dataLines()].find((one) => one.slot === slot)?.line;
    if (!line) throw new ImsdcError('UE_CALL_FAILED', { status: 488, reason: 'the data channel line was refused' });
    const channels = request.channels.flatMap(({ streamId }) => line.channels.get(streamId) ?? []);
    if (channels.length === 0) {
      throw new ImsdcError('UE_CALL_FAILED', { status: 488, reason: 'the channels were left out of the answer' });
    }
    await Promise.all(channels.map((channel) => channel.opened()));
    return channels;
  }

  /** The bootstrap lines by re-INVITE (TS 24.186 9.3.2.2.2), for calls that began without. */
  offerBootstrap(): Promise<void> {
    return this.renegotiation.change(async () => {
      for (const content of BOOTSTRAP_LINES) await this.media.addData(content);
    });
  }

  /** Ends one m-line (TS 26.114 6.2.10.2). */
  removeLine(slot: number): Promise<void> {
    return this.renegotiation.change(async () => this.media.remove(slot));
  }

  /** Ends single channels: the next offer leaves their dcmap out (TS 26.114 6.2.10.2). */
  leaveOut(...streamIds: readonly number[]): Promise<void> {
    return this.renegotiation.change(async () => this.media.leaveOut(streamIds));
  }

  /** A new association on that line: new port, new tls-id (RFC 8842 5.2). */
  renewLine(slot: number): Promise<void> {
    return this.renegotiation.change(async () => {
      await [...this.media.dataLines()].find((line) => line.slot === slot)?.line.renew();
    });
  }

  /** `sendonly` is hold; an unchanged direction is a session refresh. */
  setDirection(direction: Direction): Promise<void> {
    return this.renegotiation.change(async () => undefined, direction);
  }

  /** Ends the call from here, in whatever state it is. Resolves when the peer has agreed, or said nothing. */
  abstract hangup(): Promise<void>;

  request(key: ServerKey, message: ParsedMessage): void {
    if (!this.dialog) {
      this.agent.refuse(key, message, 481);
      return;
    }
    const { dialog, verdict } = receiveRequest(this.dialog, message);
    this.dialog = dialog;
    if (verdict !== 'inOrder') {
      this.agent.refuse(key, message, verdict === 'outOfOrder' ? 500 : 482);
      return;
    }
    switch (message.method) {
      case 'BYE':
        this.agent.refuse(key, message, 200);
        this.finish({ by: 'peer', status: 0, reason: message.first('reason') ?? 'BYE' });
        break;
      case 'INVITE':
      case 'UPDATE':
        this.renegotiation.peerChange(key, message);
        break;
      case 'PRACK':
        this.agent.refuse(key, message, this.acknowledged(message) ? 200 : 481);
        break;
      case 'INFO':
      case 'MESSAGE':
      case 'OPTIONS':
        this.agent.refuse(key, message, 200);
        break;
      default:
        this.agent.refuse(key, message, 405);
    }
  }

  ack(message: ParsedMessage): void {
    if (this.#final.stop()) this.renegotiation.acknowledged(message);
  }

  /** A PRACK: whether it acknowledges a response of ours. */
  protected acknowledged(_prack: ParsedMessage): boolean {
    return false;
  }

  /** An answer to `request` with our SDP. */
  protected answerWire(
    request: ParsedMessage,
    status: number,
    sdp: string | undefined,
    localTag: string,
    lines = '',
  ): string {
    return buildResponse(request, status, {
      toTag: localTag,
      recordRoute: true,
      headers: capabilityLines(this.context.contact, this.context.userAgentName) + lines,
      ...(sdp === undefined ? {} : { body: sdp, contentType: 'application/sdp' }),
    });
  }

  /** Sends the 2xx of an INVITE and repeats it until its ACK comes. */
  protected sendFinal(key: ServerKey, wire: string): void {
    this.#finalKey = key;
    this.agent.respond(key, 200, wire);
    this.#final.start(wire);
  }

  /** A request inside our dialog. */
  protected send(
    method: string,
    finish: (writer: MessageWriter) => string,
    onResponse?: (r: ParsedMessage) => void,
  ): PendingRequest {
    if (!this.dialog) throw new ImsdcError('UE_CALL_ENDED', { reason: this.#end?.reason ?? 'no dialog yet' });
    // The CSeq is taken now, so that requests of one turn keep their order.
    const { dialog, nextHop } = dialogRequest(this.dialog, method, '');
    const base = this.dialog;
    this.dialog = dialog;
    return this.agent.request({
      method,
      nextHop,
      build: (via) => finish(dialogRequest(base, method, via).writer),
      onResponse: (response) => {
        if (this.dialog) this.dialog = receiveResponse(this.dialog, response);
        onResponse?.(response);
      },
    });
  }

  protected sendAck(dialog: Dialog, inviteCSeq: number): void {
    const { nextHop } = dialogAck(dialog, inviteCSeq, '');
    this.agent.acknowledge(nextHop, (via) => dialogAck(dialog, inviteCSeq, via).writer.finish());
  }

  protected async bye(): Promise<void> {
    const { final } = this.send('BYE', (writer) => writer.header('User-Agent', this.context.userAgentName).finish());
    this.finish({ by: 'us', status: 0, reason: 'BYE' });
    await final.catch((error: unknown) => this.agent.log.warn({ err: error }, 'nobody answered our BYE'));
    await this.closed;
  }

  protected enter(state: CallState): void {
    if (this.#state === state || this.#state === 'ended') return;
    this.#state = state;
    this.emit('state', state);
  }

  protected finish(end: CallEnd): void {
    if (this.#end) return;
    this.#end = end;
    this.#final.stop();
    const { dialog } = this;
    if (dialog) this.agent.unbind(dialogId(dialog.callId, dialog.localTag, dialog.remoteTag));
    this.closed = this.media.close();
    this.enter('ended');
    this.emit('ended', end);
  }

  protected agreed(): void {
    const agreed = this.media.agreed;
    if (agreed) this.emit('negotiated', { local: agreed.local, remote: agreed.remote });
  }

  #renegotiationPort(): RenegotiationPort {
    const call = this;
    return {
      media: this.media,
      get ownsCallId() {
        return call.dialog?.role === 'uac';
      },
      connected: () => this.connected(),
      invite: (offer) => this.#reinvite(offer),
      accept: (key, message, sdp) => {
        const wire = this.answerWire(message, 200, sdp, '', sessionTimerLines(message));
        if (message.method === 'INVITE') this.sendFinal(key, wire);
        else this.agent.respond(key, 200, wire);
      },
      refuse: (key, message, status) => this.agent.refuse(key, message, status),
      declined: (error) => this.agent.log.warn({ err: error }, 'an offer could not be answered'),
      agreed: () => this.agreed(),
      refused: ({ status, reason }) => {
        if (endsDialog(status)) this.finish({ by: 'network', status, reason });
      },
      broken: (error) => {
        this.agent.log.error({ err: error }, 'offer/answer failed');
        if (this.#state !== 'ended') void this.hangup();
      },
    };
  }

  #reinvite(offer: string): Promise<ParsedMessage> {
    const { contact, userAgentName } = this.context;
    const cseq = (this.dialog?.localCSeq ?? 0) + 1;
    return this.send(
      'INVITE',
      (writer) => writeCapabilities(writer, contact, userAgentName).finish(offer, 'application/sdp'),
      ({ status }) => {
        if (status >= 200 && status < 300 && this.dialog) this.sendAck(this.dialog, cseq);
      },
    ).final;
  }
}
