/**
 * RFC 9113 4.1
 * ```text
 * +-----------------------------------------------+
 * |                 Length (24)                   |
 * +---------------+---------------+---------------+
 * |   Type (8)    |   Flags (8)   |
 * +-+-------------+---------------+-------------------------------+
 * |R|                 Stream Identifier (31)                      |
 * +=+=============================================================+
 * |                   Frame Payload (0...)                        |
 * +---------------------------------------------------------------+
 * ```
 */
export const FRAME_HEADER_BYTES = 9;
/** SETTINGS_MAX_FRAME_SIZE that everybody starts with; we never allow more. */
export const MAX_FRAME_BYTES = 16_384;
export const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

export const TYPE = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;
export const FLAG = { ACK: 0x1, END_STREAM: 0x1, END_HEADERS: 0x4, PADDED: 0x8, PRIORITY: 0x20 } as const;
export const SETTING = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
} as const;
/** RFC 9113 7. */
export const CODE = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  FLOW_CONTROL_ERROR: 3,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
} as const;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  /** Without padding and priority fields. */
  readonly payload: Buffer;
  /** With them: what flow control counts (RFC 9113 6.9.1). */
  readonly wholeBytes: number;
}

/** What breaks the connection: RFC 9113 5.4.1. */
export class ConnectionError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export function writeFrameHeader(
  to: Buffer,
  at: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
) {
  to.writeUIntBE(length, at, 3);
  to[at + 3] = type;
  to[at + 4] = flags;
  to.writeUInt32BE(streamId, at + 5);
}

export function frame(type: number, flags: number, streamId: number, payload: Uint8Array = new Uint8Array(0)): Buffer {
  const out = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length);
  writeFrameHeader(out, 0, payload.length, type, flags, streamId);
  out.set(payload, FRAME_HEADER_BYTES);
  return out;
}

export function settingsFrame(settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.allocUnsafe(settings.length * 6);
  for (const [i, [id, value]] of settings.entries()) {
    payload.writeUInt16BE(id, i * 6);
    payload.writeUInt32BE(value, i * 6 + 2);
  }
  return frame(TYPE.SETTINGS, 0, 0, payload);
}

/** A frame whose payload is one 32-bit number: WINDOW_UPDATE, RST_STREAM. */
export function numberFrame(type: number, streamId: number, value: number): Buffer {
  const out = Buffer.allocUnsafe(FRAME_HEADER_BYTES + 4);
  writeFrameHeader(out, 0, 4, type, 0, streamId);
  out.writeUInt32BE(value, FRAME_HEADER_BYTES);
  return out;
}

/** Cuts the bytes of a connection into frames. Payloads are views of what came in. */
export class FrameReader {
  #rest: Buffer | undefined;

  /** @throws ConnectionError for frames that are too long or wrongly padded */
  *push(chunk: Buffer): Generator<Frame, void> {
    let bytes = this.#rest ? Buffer.concat([this.#rest, chunk]) : chunk;
    this.#rest = undefined;
    while (bytes.length >= FRAME_HEADER_BYTES) {
      const length = bytes.readUIntBE(0, 3);
      if (length > MAX_FRAME_BYTES) throw new ConnectionError(CODE.FRAME_SIZE_ERROR, `a frame of ${length} bytes`);
      const end = FRAME_HEADER_BYTES + length;
      if (bytes.length < end) break;
      const [type, flags, streamId] = [bytes[3]!, bytes[4]!, bytes.readUInt32BE(5) & 0x7fffffff];
      const payload = stripped(type, flags, bytes.subarray(FRAME_HEADER_BYTES, end));
      bytes = bytes.subarray(end);
      yield { type, flags, streamId, payload, wholeBytes: length };
    }
    if (bytes.length > 0) this.#rest = bytes;
  }
}

/** RFC 9113 6.1, 6.2: without padding, and without the priority that nobody uses any more. */
function stripped(type: number, flags: number, payload: Buffer): Buffer {
  if (type !== TYPE.DATA && type !== TYPE.HEADERS) return payload;
  let start = 0;
  let end = payload.length;
  if (flags & FLAG.PADDED) {
    start = 1;
    end -= payload[0] ?? payload.length + 1;
  }
  if (type === TYPE.HEADERS && flags & FLAG.PRIORITY) start += 5;
  if (start > end) throw new ConnectionError(CODE.PROTOCOL_ERROR, 'more padding than payload');
  return payload.subarray(start, end);
}
