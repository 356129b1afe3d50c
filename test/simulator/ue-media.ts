import { parseSessionDescription } from '../../src/sdp/parse.ts';
import type { MediaSection, SessionDescription } from '../../src/sdp/types.ts';
import type { Random } from './random.ts';
import { Violation } from './violation.ts';

export interface MediaBehaviour {
  /** What this UE does with data channels it is offered. */
  readonly dataChannels: 'accept' | 'port0' | 'fewer';
  readonly setup: 'passive' | 'active';
  readonly tlsId: boolean;
}

interface Slot {
  kind: string;
  live: boolean;
  /** Our section as last said, but for its port when refused. */
  lines: string[];
  /** Where the other side was last, and its tls-id: others ask for a new association (R12). */
  heard?: { readonly port: number; readonly tlsId: string };
}

const FINGERPRINT = `a=fingerprint:SHA-256 ${'CD:'.repeat(31)}CD`;

function heardIn(section: MediaSection): Slot['heard'] {
  const tlsId = section.lines.find((line) => line.startsWith('a=tls-id:'));
  return tlsId === undefined ? undefined : { port: section.port, tlsId };
}

/** One handset's view of the session: its slots, what it offers and answers, and what it must not see. */
export class UeMedia {
  readonly slots: Slot[] = [];
  readonly said = new Set<string>();
  peer: UeMedia | undefined;
  readonly #name: string;
  readonly #random: Random;
  readonly behaviour: MediaBehaviour;
  #version = 1;
  #port = 20_000;
  #audio = 0;
  #seenSlots = 0;
  /** An offer of ours is out, or one of the peer is not answered yet. */
  openOffer: 'none' | 'ours' | 'theirs' = 'none';
  /** Bodies agreed: for the check at the end. */
  audioLive = false;
  /** The last description of the other side. */
  received: SessionDescription | undefined;
  #proposed: Slot[] | undefined;

  constructor(name: string, random: Random, behaviour: MediaBehaviour) {
    this.#name = name;
    this.#random = random;
    this.behaviour = behaviour;
    this.slots.push(this.#audioSlot('sendrecv'));
  }

  #audioSlot(direction: string): Slot {
    const lines = [
      `m=audio ${this.#port++} RTP/AVP 104 101`,
      'c=IN IP4 10.1.1.1',
      'b=AS:41',
      `a=x-voice:${this.#name}-${this.#audio++}`,
      'a=rtpmap:104 AMR-WB/16000',
      `a=${direction}`,
    ];
    this.said.add(lines.join('\r\n'));
    return { kind: 'audio', live: true, lines };
  }

  #channel(ids: readonly number[], extra: readonly string[]): Slot {
    const tlsId = this.behaviour.tlsId ? [`a=tls-id:${this.#random.hex(10)}`] : [];
    const dcmaps = ids.map((id) =>
      id < 1000 ? `a=dcmap:${id} subprotocol="http"` : `a=dcmap:${id} label="local_100_1_x${id}"`,
    );
    const lines = [
      `m=application ${this.#port++} UDP/DTLS/SCTP webrtc-datachannel`,
      'c=IN IP4 10.1.1.2',
      'a=sctp-port:5000',
      'a=setup:actpass',
      FINGERPRINT,
      ...tlsId,
      ...dcmaps,
      ...extra,
    ];
    return { kind: `dc${ids[0]}`, live: true, lines };
  }

  addBootstrap(): void {
    this.slots.push(this.#channel([0, 10], []), this.#channel([100, 110], ['a=3gpp-bdc-used-by:sender']));
  }

  addApplication(): void {
    const id = 1000 + this.slots.length * 2;
    this.slots.push(this.#channel([id], [`a=3gpp-req-app:app${id};adc-stream-id-endpoint=${id}-UE`]));
  }

  removeApplication(): boolean {
    const slot = this.slots.findLast((one) => one.live && one.kind.startsWith('dc1') && one.kind.length > 5);
    if (slot === undefined) return false;
    slot.live = false;
    slot.lines[0] = slot.lines[0]!.replace(/^m=application \d+/, 'm=application 0');
    return true;
  }

  isLive(kind: string): boolean {
    return this.slots.some((slot) => slot.live && slot.kind === kind);
  }

  hold(on: boolean): void {
    this.slots[0] = this.#audioSlot(on ? 'sendonly' : 'sendrecv');
  }

  /** A new DTLS association on the first live channel (R12). */
  renew(): boolean {
    const slot = this.slots.find(
      (one) => one.live && one.kind.startsWith('dc') && one.lines.some((line) => line.startsWith('a=tls-id:')),
    );
    if (slot === undefined) return false;
    slot.lines = slot.lines.map((line) => (line.startsWith('a=tls-id:') ? `a=tls-id:${this.#random.hex(10)}` : line));
    return true;
  }

  /** For a refused offer: what was before it. */
  snapshot(): Slot[] {
    return structuredClone(this.slots);
  }

  restore(slots: Slot[]): void {
    this.slots.splice(0, this.slots.length, ...slots);
  }

  offer(): string {
    this.openOffer = 'ours';
    return this.#text(this.slots.map((slot) => slot.lines));
  }

  #text(sections: readonly (readonly string[])[]): string {
    const head = ['v=0', `o=${this.#name} 77 ${this.#version++} IN IP4 10.1.1.1`, 's=-', 't=0 0'];
    return `${[...head, ...sections.flat()].join('\r\n')}\r\n`;
  }

  /** Takes an offer and answers it; `late`: ours was the answer that came in an ACK. */
  answer(text: string): string {
    if (this.openOffer === 'theirs')
      throw new Violation('one open offer', `${this.#name} got an offer while another of the peer is open`);
    const offer = this.#look(text, 'offer');
    this.openOffer = 'theirs';
    const proposed: Slot[] = this.snapshot();
    const sections = offer.media.map((section, at) => {
      const known = proposed[at];
      if (section.media === 'audio') {
        if (known === undefined) throw new Violation('slots', `${this.#name}: audio in slot ${at}`);
        return known.lines;
      }
      const slot = this.#answerChannel(section, known);
      proposed[at] = slot;
      return slot.lines;
    });
    const audioOnly = this.behaviour.dataChannels === 'fewer' ? sections.slice(0, 1) : sections;
    this.#proposed = proposed;
    return this.#text(audioOnly);
  }

  /** The answer is on its way, or was given up. */
  answered(): void {
    this.openOffer = 'none';
    if (this.#proposed !== undefined) this.restore(this.#proposed);
    this.#proposed = undefined;
    this.audioLive = true;
  }

  #answerChannel(section: MediaSection, known: Slot | undefined): Slot {
    const dcmaps = section.lines.filter((line) => line.startsWith('a=dcmap:'));
    const kind = `dc${Number.parseInt(dcmaps[0]?.slice(8) ?? '', 10)}`;
    if (section.port === 0 || this.behaviour.dataChannels !== 'accept')
      return { kind, live: false, lines: [section.lines[0]!.replace(/ \d+ /, ' 0 ')] };
    const offered =
      section.lines
        .find((line) => line.startsWith('a=setup:'))
        ?.slice(8)
        .trim() ?? 'actpass';
    const setup = offered === 'actpass' ? this.behaviour.setup : offered === 'active' ? 'passive' : 'active';
    const pass = section.lines.filter((line) => line.startsWith('a=3gpp-'));
    const tlsOffered = section.lines.some((line) => line.startsWith('a=tls-id:'));
    const heard = heardIn(section);
    const spoken = heard === undefined ? {} : { heard };
    if (known?.live === true && known.kind === kind && known.lines.length > 0) {
      const before = known.heard;
      // The answerer's part of a new association is a new tls-id of its own (RFC 8842 5.3).
      const isNew =
        heard !== undefined && before !== undefined && before.tlsId !== heard.tlsId && before.port !== heard.port;
      const lines = known.lines.map((line) => {
        if (line.startsWith('a=setup:')) return `a=setup:${setup}`;
        return isNew && line.startsWith('a=tls-id:') ? `a=tls-id:${this.#random.hex(10)}` : line;
      });
      return { kind, live: true, lines, ...spoken };
    }
    const tlsId = tlsOffered ? [`a=tls-id:${this.#random.hex(10)}`] : [];
    const lines = [
      `m=application ${this.#port++} UDP/DTLS/SCTP webrtc-datachannel`,
      'c=IN IP4 10.1.1.2',
      'a=sctp-port:5000',
      `a=setup:${setup}`,
      FINGERPRINT,
      ...tlsId,
      ...dcmaps,
      ...pass,
    ];
    return { kind, live: true, lines, ...spoken };
  }

  takeAnswer(text: string, count: number): void {
    const answer = this.#look(text, 'answer');
    if (answer.media.length !== count)
      throw new Violation('slots', `${this.#name} offered ${count} m-lines and got ${answer.media.length} back`);
    for (const [at, section] of answer.media.entries()) {
      const slot = this.slots[at]!;
      const offered = slot.kind === 'audio' ? 'audio' : 'application';
      if (section.media !== offered)
        throw new Violation('slots', `${this.#name}: slot ${at} is ${slot.kind} and was answered as ${section.media}`);
      if (section.port === 0) {
        slot.live = false;
        slot.lines = [slot.lines[0]!.replace(/ \d+ /, ' 0 ')];
      } else if (section.media === 'application') {
        const ids = section.lines
          .filter((line) => line.startsWith('a=dcmap:'))
          .map((line) => Number.parseInt(line.slice(8), 10));
        const ours = slot.lines
          .filter((line) => line.startsWith('a=dcmap:'))
          .map((line) => Number.parseInt(line.slice(8), 10));
        if (ids.length === 0 || ids.some((id) => !ours.includes(id)))
          throw new Violation('slots', `${this.#name}: slot ${at} offered ${ours} and was answered ${ids}`);
        const heard = heardIn(section);
        if (heard !== undefined) slot.heard = heard;
        const setup = section.lines.find((line) => line.startsWith('a=setup:'))?.slice(8);
        if (setup !== 'active' && setup !== 'passive')
          throw new Violation('setup', `${this.#name}: answered a=setup:${setup}`);
      }
    }
    this.openOffer = 'none';
    this.audioLive = answer.media[0]!.port !== 0;
  }

  /** What holds for everything that reaches a handset. */
  #look(text: string, as: 'offer' | 'answer'): SessionDescription {
    const sdp = parseSessionDescription(text);
    this.received = sdp;
    if (as === 'offer' && sdp.media.length < this.#seenSlots)
      throw new Violation('slots', `${this.#name}: ${sdp.media.length} m-lines after ${this.#seenSlots}`);
    if (as === 'offer') {
      for (const [at, section] of sdp.media.entries()) {
        const known = this.slots[at];
        if (known === undefined || !known.live || section.port === 0) continue;
        const id = section.lines.find((line) => line.startsWith('a=dcmap:'));
        const ids = section.lines
          .filter((line) => line.startsWith('a=dcmap:'))
          .map((line) => `dc${Number.parseInt(line.slice(8), 10)}`);
        const kinds = section.media === 'audio' ? ['audio'] : ids;
        const ours =
          known.kind === 'audio'
            ? ['audio']
            : known.lines
                .filter((line) => line.startsWith('a=dcmap:'))
                .map((line) => `dc${Number.parseInt(line.slice(8), 10)}`);
        if (!kinds.some((kind) => ours.includes(kind)))
          throw new Violation('slots', `${this.#name}: slot ${at} was ${known.kind} and became ${id ?? section.media}`);
      }
    }
    this.#seenSlots = Math.max(this.#seenSlots, sdp.media.length);
    const audio = sdp.media[0];
    if (audio?.media !== 'audio') throw new Violation('slots', `${this.#name}: the first m-line is ${audio?.media}`);
    if (this.peer !== undefined && !this.peer.said.has(audio.lines.join('\r\n'))) {
      throw new Violation('byte-equal', `${this.#name} got audio that the peer never said:\n${audio.lines.join('\n')}`);
    }
    return sdp;
  }
}
