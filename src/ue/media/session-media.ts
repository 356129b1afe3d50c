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
import { asOurOffer, contentOf, extended, withOnly } from './line-content.ts';
import { type Slot, Slots } from './slots.ts';

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

/**
 * All media of one session of the UE: builds offers and answers, and makes associations and RTP follow what both ends
 * agreed (RFC 3264; index == slot, never moves). One offer at a time.
 */
export class SessionMedia extends TypedEmitter<SessionMediaEvents> {
  readonly #options: SessionMediaOptions;
  readonly #slots = new Slots();
  #negotiation: OfferAnswer = NEW_OFFER_ANSWER;
  #sent: Origin | SentDescription;
  /** The direction before the open offer. */
  #direction: Direction = 'sendrecv';

  constructor(options: SessionMediaOptions) {
    super();
    this.#options = options;
    this.#sent = options.origin;
  }

  get audio(): AudioLine | undefined {
    return this.#slots.audio;
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
    const line = await DataLine.reserve(this.#options.local, content);
    const slot = this.#take({ kind: 'data', line });
    this.#watch(slot, line);
    return slot;
  }

  /** The next offer has these streams on that line too. Throws USAGE when no data channel line is there. */
  extend(slot: number, content: DataChannelContent): void {
    const line = this.#slots.dataLine(slot);
    if (!line) throw new ImsdcError('USAGE', { problem: `no data channel line in slot ${slot}` });
    line.propose(extended(line.content, content));
  }

  /** The next offer leaves these streams out, whichever line they are on. */
  leaveOut(streamIds: readonly number[]): void {
    for (const { line } of this.dataLines()) {
      const streams = line.content.streams.filter(({ streamId }) => !streamIds.includes(streamId));
      if (streams.length < line.content.streams.length) line.propose(withOnly(line.content, streams));
    }
  }

  /** The next offer puts port 0 there (TS 26.114 6.2.10.2). */
  remove(slot: number): void {
    this.#slots.leave(slot);
  }

  /** Opens an exchange with our offer. Throws SDP_OFFER_PENDING. */
  offer(direction?: Direction): string {
    const { audio } = this;
    this.#direction = audio?.direction ?? this.#direction;
    if (direction && audio) audio.direction = direction;
    const sections = [...this.#slots.entries()].map(([slot, known]) => this.#offeredSection(slot, known));
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
    this.#slots.commit();
    for (const [slot, known] of this.#slots.entries()) await this.#agreeAsOfferer(slot, known, offer, answer);
  }

  /** Our offer was refused: what was agreed before stands. */
  async offerRefused(): Promise<void> {
    this.#negotiation = offerFailed(this.#negotiation);
    if (this.audio) this.audio.direction = this.#direction;
    await this.#slots.rollback();
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

  close(): Promise<void> {
    return this.#slots.close();
  }

  #openOffer(): string {
    if (this.#negotiation.state !== 'offerSent')
      throw new ImsdcError('SDP_NO_OFFER', { state: this.#negotiation.state });
    return this.#negotiation.offer;
  }

  #offeredSection(slot: number, known: Slot): MediaSection {
    if (known.kind === 'dead') return known.section;
    // 'actpass' also where an association goes on: the answerer keeps the roles (RFC 8842 5.3).
    const section = known.kind === 'audio' ? known.line.section() : known.line.section(offerSetup());
    return this.#slots.isLeaving(slot) ? refusedSection(section) : section;
  }

  async #agreeAsOfferer(
    slot: number,
    known: Slot,
    offer: SessionDescription,
    answer: SessionDescription,
  ): Promise<void> {
    if (known.kind === 'dead') return;
    const dead = () => this.#slots.kill(slot, offer.media[slot]!)();
    if (!answer.media[slot]?.port || !offer.media[slot]?.port) return dead();
    if (known.kind === 'audio') {
      known.line.agree(answer, slot, known.line.direction);
      return;
    }
    const offered = readDataChannelMedia(offer, slot, { as: 'offer' });
    const read = readDataChannelMedia(answer, slot, { as: 'answer' });
    if (isRejection(read) || isRejection(offered)) return dead();
    const answered = matchAnswer(offered, read);
    const role = offererRole(offered.setup, answered.setup);
    if (role === undefined || answered.streams.length === 0) return dead();
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
    const line = this.#slots.dataLine(slot);
    const current = line?.role;
    const goesOn = current !== undefined && !line?.asksForNew(offered, current);
    return answerSetup(offered.setup, { preferred: this.#options.answerSetup, ...(goesOn ? { current } : {}) });
  }

  async #acceptData(
    slot: number,
    offered: DataChannelMedia,
    role: DtlsRole,
    starts: (() => Promise<void>)[],
  ): Promise<MediaSection> {
    const content = contentOf(offered);
    const line = this.#slots.dataLine(slot) ?? (await this.#newDataLine(slot, content));
    line.content = content;
    if (line.asksForNew(offered, role)) await line.renew();
    starts.push(() => line.agree(offered, role));
    const section = line.section(role, offered.tlsId !== undefined);
    line.content = asOurOffer(content);
    return section;
  }

  async #answerOther(offer: SessionDescription, slot: number, starts: (() => Promise<void>)[]): Promise<MediaSection> {
    const section = offer.media[slot]!;
    const known = this.#slots.at(slot);
    if (section.media !== 'audio' || section.port === 0 || (this.audio && known?.kind !== 'audio')) {
      return this.#refuse(slot, section, starts);
    }
    if (known?.kind !== 'audio') {
      const line = await AudioLine.open(this.#options.local.address, this.#options.extraAudioLines);
      this.#slots.put(slot, { kind: 'audio', line });
    }
    const line = this.audio!;
    const answered = line.answer(section);
    if (!answered) return this.#refuse(slot, section, starts);
    starts.push(async () => line.agree(offer, slot, offeredDirection(answered)));
    return answered;
  }

  #refuse(slot: number, section: MediaSection, starts: (() => Promise<void>)[]): MediaSection {
    starts.push(this.#slots.kill(slot, section));
    return refusedSection(section);
  }

  async #newDataLine(slot: number, content: DataChannelContent): Promise<DataLine> {
    const line = await DataLine.reserve(this.#options.local, content);
    this.#slots.put(slot, { kind: 'data', line });
    this.#watch(slot, line);
    return line;
  }

  #watch(slot: number, line: DataLine): void {
    line.on('state', (event) => this.emit('association', { slot, ...event }));
    line.on('channel', (channel) => this.emit('channel', { slot, channel }));
  }

  #take(line: Slot): number {
    return this.#slots.take(line, (slot) => this.#wasRefused(slot));
  }

  /** Both ends have seen port 0 there: a slot that only our next offer empties is still somebody's. */
  #wasRefused(slot: number): boolean {
    const { agreed } = this.#negotiation;
    return [agreed?.local, agreed?.remote].some((text) => text && !parseSessionDescription(text).media[slot]?.port);
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
