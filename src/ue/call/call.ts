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
import { capabilityLines, sdpOf, sessionTimerLines, writeCapabilities } from './headers.ts';
import { FinalRepeater } from './repeater.ts';
import type { CallEnd, CallEvents, CallState } from './types.ts';

export interface CallContext {
  readonly agent: UserAgent;
  readonly media: SessionMedia;
  /** Contact value with our feature tags. */
  readonly contact: string;
  readonly userAgentName: string;
}

/** Attempts of a re-INVITE that meets the peer's own (491) before it is given up. */
const MAX_GLARE_RETRIES = 6;

/**
 * One call: a dialog with its media. What both directions share: changes of the session in either direction, BYE.
 * One offer/answer exchange at a time; one that meets the peer's gets or gives 491 (RFC 3261 14).
 */
export abstract class UeCall extends TypedEmitter<CallEvents> implements DialogUser {
  readonly media: SessionMedia;
  abstract readonly direction: 'outgoing' | 'incoming';
  protected readonly context: CallContext;
  protected readonly agent: UserAgent;
  protected dialog: Dialog | null = null;
  #state: CallState;
  #end: CallEnd | null = null;
  /** A change of ours or of the peer is under way. */
  #negotiating = false;
  /** The peer's change that is under way; resolved when there is none. */
  #peerChange: Promise<void> = Promise.resolve();
  #changes: Promise<unknown> = Promise.resolve();
  #answerDueInAck = false;
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

  /** Offers an application's m-line by re-INVITE (E6). Resolves with its channels, open. Throws UE_CALL_FAILED. */
  async openApplication(request: ApplicationRequest): Promise<UeChannel[]> {
    let slot = -1;
    await this.change(async () => {
      slot = await this.media.addData(applicationContent(request));
    });
    const line = [...this.media.dataLines()].find((one) => one.slot === slot)?.line;
    if (!line) throw new ImsdcError('UE_CALL_FAILED', { status: 488, reason: 'the data channel line was refused' });
    const channels = request.channels.flatMap(({ streamId }) => line.channels.get(streamId) ?? []);
    await Promise.all(channels.map((channel) => channel.opened()));
    return channels;
  }

  /** The bootstrap lines by re-INVITE (TS 24.186 9.3.2.2.2), for calls that began without. */
  offerBootstrap(): Promise<void> {
    return this.change(async () => {
      for (const content of BOOTSTRAP_LINES) await this.media.addData(content);
    });
  }

  /** Ends one m-line (TS 26.114 6.2.10.2). */
  removeLine(slot: number): Promise<void> {
    return this.change(() => this.media.remove(slot));
  }

  /** A new association on that line: new port, new tls-id (RFC 8842 5.2). */
  renewLine(slot: number): Promise<void> {
    return this.change(async () => {
      await [...this.media.dataLines()].find((line) => line.slot === slot)?.line.renew();
    });
  }

  /** `sendonly` is hold; an unchanged direction is a session refresh. */
  setDirection(direction: Direction): Promise<void> {
    return this.change(async () => undefined, direction);
  }

  /** Ends the call from here, in whatever state it is. Resolves when the peer has agreed, or said nothing. */
  abstract hangup(): Promise<void>;

  /** One exchange begun by us, after those that are under way. `prepare` runs again after a 491. */
  protected change(prepare: () => Promise<void>, direction?: Direction): Promise<void> {
    const mine = this.#changes.then(() => this.#reinvite(prepare, direction));
    this.#changes = mine.catch(() => undefined);
    return mine;
  }

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
        this.#changeByPeer(key, message);
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
    if (!this.#final.stop()) return;
    const sdp = sdpOf(message);
    if (!this.#answerDueInAck) return;
    this.#answerDueInAck = false;
    // The ACK of a delayed offer carries the answer (RFC 3261 13.2.1).
    this.#settle(sdp === undefined ? this.media.offerRefused() : this.media.acceptAnswer(sdp));
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

  protected expectAnswerInAck(): void {
    this.#answerDueInAck = true;
    this.#negotiating = true;
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

  /** Waits for the work of an exchange; what goes wrong there ends the call, because its media are in doubt. */
  #settle(work: Promise<void>): void {
    this.#peerChange = work
      .then(() => this.agreed())
      .catch((error: unknown) => {
        this.agent.log.error({ err: error }, 'offer/answer failed');
        if (this.#state !== 'ended') void this.hangup();
      })
      .finally(() => {
        this.#negotiating = false;
      });
  }

  async #reinvite(prepare: () => Promise<void>, direction?: Direction): Promise<void> {
    await this.connected();
    for (let attempt = 0; ; attempt++) {
      const response = await this.#exchange(prepare, direction);
      if (response.status < 300) return;
      if (response.status !== 491 || attempt === MAX_GLARE_RETRIES) {
        if (endsDialog(response.status))
          this.finish({ by: 'network', status: response.status, reason: response.reason });
        throw new ImsdcError('UE_CALL_FAILED', { status: response.status, reason: response.reason });
      }
      await new Promise((resolve) => setTimeout(resolve, this.#glareDelayMs()));
      await this.connected();
    }
  }

  async #exchange(prepare: () => Promise<void>, direction?: Direction): Promise<ParsedMessage> {
    await this.#peerChange;
    this.#negotiating = true;
    try {
      await prepare();
      const offer = this.media.offer(direction);
      const cseq = (this.dialog?.localCSeq ?? 0) + 1;
      const { final } = this.send(
        'INVITE',
        (writer) =>
          writeCapabilities(writer, this.context.contact, this.context.userAgentName).finish(offer, 'application/sdp'),
        (answer) => {
          if (answer.status >= 200 && answer.status < 300 && this.dialog) this.sendAck(this.dialog, cseq);
        },
      );
      const response = await final.catch(async (error: unknown) => {
        await this.media.offerRefused();
        throw error;
      });
      const sdp = response.status < 300 ? sdpOf(response) : undefined;
      if (sdp === undefined) await this.media.offerRefused();
      else await this.media.acceptAnswer(sdp);
      if (sdp !== undefined) this.agreed();
      return response;
    } finally {
      this.#negotiating = false;
    }
  }

  /** RFC 3261 14.1: the owner of the Call-ID waits 2.1 to 4 s, the other side up to 2 s, in units of 10 ms. */
  #glareDelayMs(): number {
    const units = this.dialog?.role === 'uac' ? 210 + Math.random() * 190 : Math.random() * 200;
    return Math.floor(units) * 10;
  }

  #changeByPeer(key: ServerKey, message: ParsedMessage): void {
    const sdp = sdpOf(message);
    if (sdp === undefined && message.method === 'UPDATE') {
      this.#answerChange(key, message, undefined);
      return;
    }
    // 14.2: our own offer is out, or the answer to the last one is not: the peer tries again.
    if (this.#negotiating || !this.media.stable) {
      this.agent.refuse(key, message, 491);
      return;
    }
    this.#negotiating = true;
    if (sdp === undefined) {
      this.#answerChange(key, message, this.media.offer());
      this.expectAnswerInAck();
      return;
    }
    const work = async () => {
      const { answer, commit } = await this.media.answer(sdp);
      this.#answerChange(key, message, answer);
      await commit();
    };
    this.#settle(
      work().catch((error: unknown) => {
        this.media.offerDeclined();
        this.agent.refuse(key, message, 488);
        this.agent.log.warn({ err: error }, 'an offer could not be answered');
      }),
    );
  }

  #answerChange(key: ServerKey, message: ParsedMessage, sdp: string | undefined): void {
    const wire = this.answerWire(message, 200, sdp, '', sessionTimerLines(message));
    if (message.method === 'INVITE') this.sendFinal(key, wire);
    else this.agent.respond(key, 200, wire);
  }
}
