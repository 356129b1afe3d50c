import { connectionAddress } from '../../sdp/connection.ts';
import { attributes, isAttribute } from '../../sdp/lines.ts';
import { mediaSection } from '../../sdp/parse.ts';
import type { MediaSection, SessionDescription } from '../../sdp/types.ts';
import { AudioStream } from '../rtp/audio-stream.ts';

export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

const DIRECTIONS: readonly Direction[] = ['sendrecv', 'sendonly', 'recvonly', 'inactive'];
/** The direction of an answer to each offered one when we would like both (RFC 3264 6.1). */
const MIRRORED: Readonly<Record<Direction, Direction>> = {
  sendrecv: 'sendrecv',
  sendonly: 'recvonly',
  recvonly: 'sendonly',
  inactive: 'inactive',
};
const AMR_WB = 104;
const TELEPHONE_EVENT = 101;

/** The speech line of the UE: AMR-WB in name, checkable bytes in fact. */
export class AudioLine {
  readonly stream: AudioStream;
  direction: Direction = 'sendrecv';
  /** Lines nobody in the network knows: they must arrive at the far end as they are. */
  readonly #extraLines: readonly string[];

  private constructor(stream: AudioStream, extraLines: readonly string[]) {
    this.stream = stream;
    this.#extraLines = extraLines;
  }

  static async open(address: string, extraLines: readonly string[]): Promise<AudioLine> {
    return new AudioLine(await AudioStream.open(address), extraLines);
  }

  section(direction: Direction = this.direction): MediaSection {
    return mediaSection([
      `m=audio ${this.stream.port} RTP/AVP ${AMR_WB} ${TELEPHONE_EVENT}`,
      'b=AS:41',
      `a=rtpmap:${AMR_WB} AMR-WB/16000`,
      `a=rtpmap:${TELEPHONE_EVENT} telephone-event/16000`,
      ...this.#extraLines,
      `a=${direction}`,
    ]);
  }

  /** Our answer to the peer's line; undefined when it offers no codec of ours. */
  answer(offered: MediaSection): MediaSection | undefined {
    if (payloadType(offered) === undefined) return undefined;
    return this.section(answerDirection(this.direction, offeredDirection(offered)));
  }

  /** Both ends have agreed: send to where the peer listens, or stop. */
  agree(remote: SessionDescription, slot: number, localDirection: Direction): void {
    const section = remote.media[slot];
    const address = section && connectionAddress(remote, section);
    const type = section && payloadType(section);
    const sending = localDirection === 'sendrecv' || localDirection === 'sendonly';
    if (section && section.port !== 0 && address !== undefined && type !== undefined && sending) {
      this.stream.start({ address, port: section.port }, type);
    } else this.stream.stop();
  }

  close(): void {
    this.stream.close();
  }
}

/** Direction of a section, `sendrecv` when none is given. */
export function offeredDirection(section: MediaSection): Direction {
  return DIRECTIONS.find((direction) => section.lines.some((line) => isAttribute(line, direction))) ?? 'sendrecv';
}

function answerDirection(ours: Direction, theirs: Direction): Direction {
  const mirrored = MIRRORED[theirs];
  const send = (d: Direction) => d === 'sendrecv' || d === 'sendonly';
  const receive = (d: Direction) => d === 'sendrecv' || d === 'recvonly';
  const sending = send(ours) && send(mirrored);
  const receiving = receive(ours) && receive(mirrored);
  if (sending) return receiving ? 'sendrecv' : 'sendonly';
  return receiving ? 'recvonly' : 'inactive';
}

/** The payload type under which the peer takes AMR-WB; else its first one, so that SIPp's PCMU gets packets too. */
function payloadType(section: MediaSection): number | undefined {
  const amr = attributes(section.lines, 'rtpmap').find((text) => /\sAMR-WB\/16000/i.test(text));
  const type = Number(amr?.split(' ', 1)[0] ?? section.formats[0]);
  return Number.isInteger(type) && type >= 0 && type <= 127 ? type : undefined;
}
