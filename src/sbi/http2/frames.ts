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

/** What breaks the connection: RFC 9113 5.4.1. */
export class ConnectionError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** A frame where it was received: good until the next read, which goes into the same memory. */
export class Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly bytes: Buffer;
  /** Of the payload in `bytes`, without padding and priority fields. */
  readonly start: number;
  readonly end: number;
  /** Of the payload with them: what flow control counts (RFC 9113 6.9.1). */
  readonly wholeBytes: number;

  /** The frame at `at` of `bytes`, whose payload has `length` octets. Throws ConnectionError when it is wrongly padded. */
  constructor(bytes: Buffer, at: number, length: number) {
    this.type = bytes[at + 3]!;
    this.flags = bytes[at + 4]!;
    this.streamId = bytes.readUInt32BE(at + 5) & 0x7fffffff;
    this.bytes = bytes;
    this.wholeBytes = length;
    let start = at + FRAME_HEADER_BYTES;
    let end = start + length;
    // RFC 9113 6.1, 6.2: without padding, and without the priority that nobody uses any more.
    if (this.type === TYPE.DATA || this.type === TYPE.HEADERS) {
      if (this.flags & FLAG.PADDED) end -= length > 0 ? bytes[start++]! : 1;
      if (this.type === TYPE.HEADERS && this.flags & FLAG.PRIORITY) start += 5;
      if (start > end) throw new ConnectionError(CODE.PROTOCOL_ERROR, 'more padding than payload');
    }
    this.start = start;
    this.end = end;
  }

  get payload(): Buffer {
    return this.bytes.subarray(this.start, this.end);
  }
}

/** What precedes a payload of `length` octets, as latin1 text: cheap to join, written once. */
export function frameHeader(length: number, type: number, flags: number, streamId: number): string {
  return String.fromCharCode(
    length >>> 16,
    (length >>> 8) & 0xff,
    length & 0xff,
    type,
    flags,
    streamId >>> 24,
    (streamId >>> 16) & 0xff,
    (streamId >>> 8) & 0xff,
    streamId & 0xff,
  );
}

export function frame(type: number, flags: number, streamId: number, payload: Uint8Array = new Uint8Array(0)): Buffer {
  const out = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length);
  out.write(frameHeader(payload.length, type, flags, streamId), 'latin1');
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
  const payload = Buffer.allocUnsafe(4);
  payload.writeUInt32BE(value);
  return frame(type, 0, streamId, payload);
}

/** Cuts the bytes of a connection into frames. */
export class FrameReader {
  /** The beginning of a frame, copied: `chunk` belongs to the next read. */
  #rest: Buffer | undefined;

  /** Calls `take` for each frame that `chunk` completes. @throws ConnectionError for one that is too long or wrongly padded */
  push(chunk: Buffer, take: (frame: Frame) => void): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = undefined;
    let at = 0;
    while (bytes.length - at >= FRAME_HEADER_BYTES) {
      const length = bytes.readUIntBE(at, 3);
      if (length > MAX_FRAME_BYTES) throw new ConnectionError(CODE.FRAME_SIZE_ERROR, `a frame of ${length} bytes`);
      const end = at + FRAME_HEADER_BYTES + length;
      if (end > bytes.length) break;
      take(new Frame(bytes, at, length));
      at = end;
    }
    if (at < bytes.length) this.#rest = Buffer.from(bytes.subarray(at));
  }
}
