import { TypedEmitter } from '../../base/emitter.ts';
import { answerSetup, type DtlsRole, offererRole, offerSetup } from '../../dtls/role.ts';
import { ImsdcError } from '../../errors.ts';
import { matchAnswer } from '../../sdp/answer.ts';
import { isDataChannelSection, isRejection, readDataChannelMedia } from '../../sdp/data-channel.ts';
import { refusedSection } from '../../sdp/edit.ts';
import {
  answerReceived,
  answerSent,
  NEW_OFFER_ANSWER,
  type OfferAnswer,
  offerFailed,
  offerReceived,
  offerSent,
} from '../../sdp/offer-answer.ts';
import { type Origin, type SentDescription, stampOrigin } from '../../sdp/origin.ts';
import { parseSessionDescription } from '../../sdp/parse.ts';
import type { DataChannelMedia, MediaSection, SessionDescription } from '../../sdp/types.ts';
import type { DataChannelContent } from '../../sdp/write-data-channel.ts';
import { acceptableStreams, type DataAnswer } from './answer-policy.ts';
import { AudioLine, type Direction, offeredDirection } from './audio-line.ts';
import type { UeChannel } from './channel.ts';
import { DataLine, type DataLineEvents, type LocalEnd } from './data-line.ts';

export interface SessionMediaOptions {
  readonly local: LocalEnd;
  /** Fixed o= of this session. */
  readonly origin: Origin;
  readonly answerSetup: DtlsRole;
  readonly dataAnswer: DataAnswer;
  /** Session-level and audio-level lines that nobody in the network knows. */
  readonly extraSessionLines: readonly string[];
  readonly extraAudioLines: readonly string[];
}

export interface SessionMediaEvents {
  association: { readonly slot: number } & DataLineEvents['state'];
  channel: { readonly slot: number; readonly channel: UeChannel };
}

/** Our half of one slot: what runs there, or the m-line that is (or was) refused. */
type Slot =
  | { readonly kind: 'audio'; readonly line: AudioLine }
  | { readonly kind: 'data'; readonly line: DataLine }
  | { readonly kind: 'dead'; readonly section: MediaSection };

/**
 * All media of one session of the UE: builds offers and answers, and makes associations and RTP follow what both ends
 * agreed (RFC 3264; index == slot, never moves). One offer at a time.
 */
export class SessionMedia extends TypedEmitter<SessionMediaEvents> {
  readonly #options: SessionMediaOptions;
  readonly #slots: Slot[] = [];
  #negotiation: OfferAnswer = NEW_OFFER_ANSWER;
  #sent: Origin | SentDescription;
  /** Slots that the open offer takes for new lines, with what was there before: restored if it fails. */
  #taken: { readonly slot: number; readonly before: Slot | undefined }[] = [];

  constructor(options: SessionMediaOptions) {
    super();
    this.#options = options;
    this.#sent = options.origin;
  }

  get audio(): AudioLine | undefined {
    return this.#slots.find((slot) => slot.kind === 'audio')?.line;
  }

  /** Live data channel lines with their slots. */
  *dataLines(): Generator<{ readonly slot: number; readonly line: DataLine }> {
    for (const [slot, known] of this.#slots.entries()) if (known.kind === 'data') yield { slot, line: known.line };
  }

  channel(streamId: number): UeChannel | undefined {
    for (const { line } of this.dataLines()) {
      const channel = line.channels.get(streamId);
      if (channel) return channel;
    }
    return undefined;
  }

  get stable(): boolean {
    return this.#negotiation.state === 'stable';
  }

  /** What was agreed last, for scripts and tests to look at. */
  get agreed(): { readonly local: string; readonly remote: string } | undefined {
    return this.#negotiation.agreed;
  }

  async addAudio(): Promise<void> {
    const line = await AudioLine.open(this.#options.local.address, this.#options.extraAudioLines);
    this.#take({ kind: 'audio', line });
  }

  /** Adds a data channel line to the next offer; returns its slot. */
  async addData(content: DataChannelContent): Promise<number> {
    return this.#take(await this.#dataSlot(content));
  }

  /** The next offer puts port 0 there (TS 26.114 6.2.10.2). */
  async remove(slot: number): Promise<void> {
    const known = this.#slots[slot];
    if (!known || known.kind === 'dead') return;
    this.#slots[slot] = { kind: 'dead', section: refusedSection(this.#offeredSection(known)) };
    await known.line.close();
  }

  /** Opens an exchange with our offer. Throws SDP_OFFER_PENDING. */
  offer(direction?: Direction): string {
    if (direction && this.audio) this.audio.direction = direction;
    const sections = this.#slots.map((slot) => this.#offeredSection(slot));
    const text = this.#describe(sections);
    this.#negotiation = offerSent(this.#negotiation, text);
    return text;
  }

  /** The peer's answer to our offer. A repetition of one that was agreed already (18x, then 2xx) changes nothing. */
  async acceptAnswer(text: string): Promise<void> {
    if (this.#negotiation.state === 'stable') {
      const { agreed } = this.#negotiation;
      if (agreed?.offerer !== 'local' || agreed.remote === text) return;
      // The 2xx came from another fork than the 18x: its answer is the one that counts (RFC 3261 13.2.2.4).
      this.#negotiation = offerSent({ state: 'stable' }, agreed.local);
    }
    const offer = parseSessionDescription(this.#openOffer());
    const answer = parseSessionDescription(text);
    this.#negotiation = answerReceived(this.#negotiation, text);
    this.#taken = [];
    for (const slot of this.#slots.keys()) await this.#agreeAsOfferer(slot, offer, answer);
  }

  /** Our offer was refused: what was agreed before stands. */
  async offerRefused(): Promise<void> {
    this.#negotiation = offerFailed(this.#negotiation);
    for (const { slot, before } of this.#taken.splice(0).toReversed()) {
      const known = this.#slots[slot]!;
      if (known.kind !== 'dead') await known.line.close();
      if (before) this.#slots[slot] = before;
      else this.#slots.pop();
    }
    for (const { line } of this.dataLines()) await line.rollback();
  }

  /**
   * Our answer to the peer's offer; media start with the returned `commit`, once the answer is on its way.
   *
   * @throws ImsdcError SDP_MALFORMED, SDP_OFFER_PENDING
   */
  async answer(text: string): Promise<{ readonly answer: string; commit(): Promise<void> }> {
    const offer = parseSessionDescription(text);
    this.#negotiation = offerReceived(this.#negotiation, text);
    const sections: MediaSection[] = [];
    const starts: (() => Promise<void>)[] = [];
    for (const [slot, section] of offer.media.entries()) {
      const answered = isDataChannelSection(section)
        ? await this.#answerData(offer, slot, starts)
        : await this.#answerOther(offer, slot, starts);
      sections.push(answered);
    }
    const shown = this.#options.dataAnswer === 'fewerLines' ? sections.filter((s) => s.media === 'audio') : sections;
    const answer = this.#describe(shown);
    this.#negotiation = answerSent(this.#negotiation, answer);
    const commit = async () => {
      for (const start of starts) await start();
    };
    return { answer, commit };
  }

  /** Nobody will answer the peer's offer: we refused it as a whole. */
  offerDeclined(): void {
    this.#negotiation = offerFailed(this.#negotiation);
  }

  async close(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => (slot.kind === 'dead' ? undefined : slot.line.close())));
  }

  #openOffer(): string {
    if (this.#negotiation.state !== 'offerSent')
      throw new ImsdcError('SDP_NO_OFFER', { state: this.#negotiation.state });
    return this.#negotiation.offer;
  }

  #offeredSection(slot: Slot): MediaSection {
    switch (slot.kind) {
      case 'audio':
        return slot.line.section();
      case 'data':
        // 'actpass' also where an association goes on: the answerer keeps the roles (RFC 8842 5.3).
        return slot.line.section(offerSetup());
      case 'dead':
        return slot.section;
      default:
        return slot satisfies never;
    }
  }

  async #agreeAsOfferer(slot: number, offer: SessionDescription, answer: SessionDescription): Promise<void> {
    const known = this.#slots[slot]!;
    if (known.kind === 'dead') return;
    if (!answer.media[slot]?.port) return this.#kill(slot, offer.media[slot]!);
    if (known.kind === 'audio') {
      known.line.agree(answer, slot, known.line.direction);
      return;
    }
    const offered = readDataChannelMedia(offer, slot, { as: 'offer' });
    const read = readDataChannelMedia(answer, slot, { as: 'answer' });
    if (isRejection(read) || isRejection(offered)) return this.#kill(slot, offer.media[slot]!);
    const answered = matchAnswer(offered, read);
    const role = offererRole(offered.setup, answered.setup);
    if (role === undefined || answered.streams.length === 0) return this.#kill(slot, offer.media[slot]!);
    // The refused streams are dead (TS 26.114 6.2.10.3): the next offer is about the accepted ones.
    known.line.content = {
      ...known.line.content,
      streams: answered.streams.map(({ verbatim: _, ...stream }) => stream),
    };
    await known.line.agree(answered, role);
  }

  async #answerData(offer: SessionDescription, slot: number, starts: (() => Promise<void>)[]): Promise<MediaSection> {
    const section = offer.media[slot]!;
    const offered = readDataChannelMedia(offer, slot, { as: 'offer' });
    if (isRejection(offered) || this.#options.dataAnswer !== 'accept') return this.#refuse(slot, section, starts);
    const streams = acceptableStreams(offered);
    const role = this.#answerRole(slot, offered);
    if (!role || streams.length === 0) return this.#refuse(slot, section, starts);
    return this.#acceptData(slot, { ...offered, streams }, role, starts);
  }

  /** A running association keeps its roles whatever the re-offer says (RFC 8842 5.3); a new one is free. */
  #answerRole(slot: number, offered: DataChannelMedia): DtlsRole | undefined {
    const known = this.#slots[slot];
    const current = known?.kind === 'data' ? known.line.role : undefined;
    const goesOn = current !== undefined && known?.kind === 'data' && !known.line.asksForNew(offered, current);
    return answerSetup(offered.setup, { preferred: this.#options.answerSetup, ...(goesOn ? { current } : {}) });
  }

  async #acceptData(
    slot: number,
    offered: DataChannelMedia,
    role: DtlsRole,
    starts: (() => Promise<void>)[],
  ): Promise<MediaSection> {
    const content: DataChannelContent = {
      streams: offered.streams,
      ...(offered.bandwidthKbps === undefined ? {} : { bandwidthKbps: offered.bandwidthKbps }),
      ...(offered.bootstrapUsedBy === undefined ? {} : { bootstrapUsedBy: offered.bootstrapUsedBy }),
      applicationLines: offered.applicationLines,
      ...(offered.qosHint === undefined ? {} : { qosHint: offered.qosHint.text }),
      ...(offered.mid === undefined ? {} : { mid: offered.mid }),
    };
    if (this.#slots[slot]?.kind !== 'data') this.#put(slot, await this.#dataSlot(content));
    const known = this.#slots[slot];
    if (known?.kind !== 'data') throw new TypeError(`slot ${slot} is not a data channel line`);
    const { line } = known;
    line.content = content;
    if (line.asksForNew(offered, role)) await line.renew();
    starts.push(() => line.agree(offered, role));
    const section = line.section(role, offered.tlsId !== undefined);
    line.content = asOurOffer(content);
    return section;
  }

  async #answerOther(offer: SessionDescription, slot: number, starts: (() => Promise<void>)[]): Promise<MediaSection> {
    const section = offer.media[slot]!;
    const known = this.#slots[slot];
    if (section.media !== 'audio' || section.port === 0 || (this.audio && known?.kind !== 'audio')) {
      return this.#refuse(slot, section, starts);
    }
    if (known?.kind !== 'audio') {
      const line = await AudioLine.open(this.#options.local.address, this.#options.extraAudioLines);
      this.#put(slot, { kind: 'audio', line });
    }
    const line = this.audio!;
    const answered = line.answer(section);
    if (!answered) return this.#refuse(slot, section, starts);
    starts.push(async () => line.agree(offer, slot, offeredDirection(answered)));
    return answered;
  }

  #refuse(slot: number, section: MediaSection, starts: (() => Promise<void>)[]): MediaSection {
    const known = this.#slots[slot];
    const dead = { kind: 'dead', section: refusedSection(section) } as const;
    this.#put(slot, dead);
    if (known && known.kind !== 'dead') starts.push(() => Promise.resolve(known.line.close()));
    return dead.section;
  }

  async #kill(slot: number, section: MediaSection): Promise<void> {
    const known = this.#slots[slot];
    this.#slots[slot] = { kind: 'dead', section: refusedSection(section) };
    if (known && known.kind !== 'dead') await known.line.close();
  }

  /** First vacant slot, else the end: chipsets have few m-lines (RFC 3264 8.1). */
  #take(line: Slot): number {
    const vacant = this.#slots.findIndex((known, slot) => known.kind === 'dead' && this.#wasRefused(slot));
    const slot = vacant === -1 ? this.#slots.length : vacant;
    this.#taken.push({ slot, before: this.#slots[slot] });
    this.#put(slot, line);
    return slot;
  }

  /** Both ends have seen port 0 there: a slot that only our next offer empties is still somebody's. */
  #wasRefused(slot: number): boolean {
    const { agreed } = this.#negotiation;
    return [agreed?.local, agreed?.remote].some((text) => text && !parseSessionDescription(text).media[slot]?.port);
  }

  #put(index: number, slot: Slot): void {
    this.#slots[index] = slot;
    if (slot.kind !== 'data') return;
    slot.line.on('state', (event) => this.emit('association', { slot: index, ...event }));
    slot.line.on('channel', (channel) => this.emit('channel', { slot: index, channel }));
  }

  async #dataSlot(content: DataChannelContent): Promise<Slot> {
    return { kind: 'data', line: await DataLine.reserve(this.#options.local, content) };
  }

  #describe(sections: readonly MediaSection[]): string {
    const { address } = this.#options.local;
    const session = ['v=0', 'o=-', 's=-', `c=IN ${address.includes(':') ? 'IP6' : 'IP4'} ${address}`, 't=0 0'];
    const description: SessionDescription = {
      session: [...session, ...this.#options.extraSessionLines],
      media: sections,
      eol: '\r\n',
    };
    const stamped = stampOrigin(description, this.#sent);
    this.#sent = stamped;
    return stamped.text;
  }
}

/** 3gpp-bdc-used-by is relative to who sends the offer: an answer echoes it, our own offer turns it round (R8). */
function asOurOffer(content: DataChannelContent): DataChannelContent {
  if (content.bootstrapUsedBy === undefined) return content;
  return { ...content, bootstrapUsedBy: content.bootstrapUsedBy === 'sender' ? 'receiver' : 'sender' };
}
