/**
 * RTP as the lab needs it (RFC 3550 5.1): no CSRC, no extension, one payload type.
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *    |V=2|P|X|  CC   |M|     PT      |       sequence number         |
 *    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *    |                           timestamp                           |
 *    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *    |           synchronization source (SSRC) identifier            |
 *    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
export interface RtpPacket {
  readonly payloadType: number;
  readonly sequence: number;
  readonly timestamp: number;
  readonly ssrc: number;
  readonly payload: Uint8Array;
}

const HEADER_BYTES = 12;
const VERSION_2 = 0x80;

/** Bytes of one frame: AMR-WB 23.85 kbit/s, bandwidth-efficient form, 20 ms. */
export const FRAME_BYTES = 61;
/** 20 ms at the 16 kHz RTP clock of AMR-WB. */
export const TIMESTAMP_STEP = 320;

export function writeRtp(packet: RtpPacket): Buffer {
  const out = Buffer.allocUnsafe(HEADER_BYTES + packet.payload.length);
  out[0] = VERSION_2;
  out[1] = packet.payloadType;
  out.writeUInt16BE(packet.sequence, 2);
  out.writeUInt32BE(packet.timestamp, 4);
  out.writeUInt32BE(packet.ssrc, 8);
  out.set(packet.payload, HEADER_BYTES);
  return out;
}

/** Null for what is not RTP version 2 with exactly the header above. */
export function readRtp(bytes: Uint8Array): RtpPacket | null {
  if (bytes.length < HEADER_BYTES || bytes[0] !== VERSION_2) return null;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    payloadType: view[1]! & 0x7f,
    sequence: view.readUInt16BE(2),
    timestamp: view.readUInt32BE(4),
    ssrc: view.readUInt32BE(8),
    payload: view.subarray(HEADER_BYTES),
  };
}

/** The frame a sender with `ssrc` puts into packet `sequence`: both ends can compute it, so every byte is checked. */
export function expectedFrame(ssrc: number, sequence: number): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_BYTES);
  let state = (ssrc ^ Math.imul(sequence + 1, 0x9e3779b1)) >>> 0 || 1;
  for (let i = 0; i < FRAME_BYTES; i++) {
    // xorshift32: cheap, and a byte lost or swapped anywhere shows
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    frame[i] = state & 0xff;
  }
  return frame;
}
