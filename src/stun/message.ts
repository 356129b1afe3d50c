import { createHmac, timingSafeEqual } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { crc32 } from 'node:zlib';

/**
 * STUN as an ICE-lite agent needs it (RFC 8489, RFC 8445): Binding requests in, responses out. Requests are made for
 * tests only; this side never sends checks.
 *
 * ```text
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |0 0|     type (method, class)  |   length, header not counted  |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                    magic cookie 0x2112A442                    |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                   transaction id (96 bits)                    |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |   attribute type              |   length without padding      |
 * |   value, padded to 4 octets ...                               |
 * ```
 */
export const BINDING_REQUEST = 0x0001;
export const BINDING_INDICATION = 0x0011;
export const BINDING_SUCCESS = 0x0101;
export const BINDING_ERROR = 0x0111;

const MAGIC_COOKIE = 0x2112a442;
const HEADER_BYTES = 20;
/** A check is about 100 octets; anything above one MTU is not one. */
const MAX_STUN_BYTES = 1280;
const MAX_ATTRIBUTES = 32;
const INTEGRITY_BYTES = 20;
/** RFC 8489 14.7: keeps STUN apart from other protocols that use CRC-32. */
const FINGERPRINT_XOR = 0x5354554e;

const USERNAME = 0x0006;
const MESSAGE_INTEGRITY = 0x0008;
const ERROR_CODE = 0x0009;
const UNKNOWN_ATTRIBUTES = 0x000a;
const XOR_MAPPED_ADDRESS = 0x0020;
const PRIORITY = 0x0024;
const USE_CANDIDATE = 0x0025;
const SOFTWARE = 0x8022;
const FINGERPRINT = 0x8028;
const UNDERSTOOD = new Set([USERNAME, MESSAGE_INTEGRITY, ERROR_CODE, UNKNOWN_ATTRIBUTES, XOR_MAPPED_ADDRESS]);
UNDERSTOOD.add(PRIORITY).add(USE_CANDIDATE);

export interface TransportAddress {
  readonly address: string;
  readonly port: number;
}

export interface StunMessage {
  readonly type: number;
  /** 12 octets. */
  readonly transactionId: Buffer;
  readonly username?: string;
  readonly useCandidate: boolean;
  readonly priority?: number;
  readonly mappedAddress?: TransportAddress;
  readonly errorCode?: number;
  /** Comprehension-required attributes (below 0x8000) that we do not know. */
  readonly unknownAttributes: readonly number[];
  /** Where MESSAGE-INTEGRITY begins, or -1. */
  readonly integrityOffset: number;
  readonly raw: Buffer;
}

/** Null when `datagram` is not one whole, well-formed STUN message with a right FINGERPRINT (if it has one). */
export function decodeStun(datagram: Buffer): StunMessage | null {
  if (datagram.length < HEADER_BYTES || datagram.length > MAX_STUN_BYTES || datagram.length % 4 !== 0) return null;
  const type = datagram.readUInt16BE(0);
  if (type > 0x3fff || datagram.readUInt32BE(4) !== MAGIC_COOKIE) return null;
  if (datagram.readUInt16BE(2) !== datagram.length - HEADER_BYTES) return null;
  const message: { -readonly [K in keyof StunMessage]: StunMessage[K] } & { unknownAttributes: number[] } = {
    type,
    transactionId: datagram.subarray(8, HEADER_BYTES),
    useCandidate: false,
    unknownAttributes: [],
    integrityOffset: -1,
    raw: datagram,
  };
  let count = 0;
  for (let at = HEADER_BYTES; at < datagram.length; ) {
    if (++count > MAX_ATTRIBUTES) return null;
    const attribute = datagram.readUInt16BE(at);
    const length = datagram.readUInt16BE(at + 2);
    const next = at + 4 + ((length + 3) & ~3);
    if (next > datagram.length) return null;
    const value = datagram.subarray(at + 4, at + 4 + length);
    if (attribute === FINGERPRINT) {
      // RFC 8489 14.7: always the last attribute.
      if (length !== 4 || next !== datagram.length) return null;
      if (value.readUInt32BE(0) !== fingerprintOf(datagram.subarray(0, at))) return null;
    } else if (message.integrityOffset === -1 && !readAttribute(message, attribute, value, at)) return null;
    // RFC 8489 14.5: what follows MESSAGE-INTEGRITY is not protected and is ignored.
    at = next;
  }
  return message;
}

function readAttribute(
  message: { -readonly [K in keyof StunMessage]: StunMessage[K] } & { unknownAttributes: number[] },
  attribute: number,
  value: Buffer,
  at: number,
): boolean {
  switch (attribute) {
    case USERNAME:
      if (value.length > 513) return false;
      message.username = value.toString('utf8');
      return true;
    case MESSAGE_INTEGRITY:
      message.integrityOffset = at;
      return value.length === INTEGRITY_BYTES;
    case PRIORITY:
      if (value.length !== 4) return false;
      message.priority = value.readUInt32BE(0);
      return true;
    case USE_CANDIDATE:
      message.useCandidate = true;
      return true;
    case ERROR_CODE:
      if (value.length < 4) return false;
      message.errorCode = (value[2]! & 7) * 100 + value[3]!;
      return true;
    case XOR_MAPPED_ADDRESS: {
      const mapped = decodeXorAddress(value, message.transactionId);
      if (!mapped) return false;
      message.mappedAddress = mapped;
      return true;
    }
    default:
      if (attribute < 0x8000 && !UNDERSTOOD.has(attribute)) message.unknownAttributes.push(attribute);
      return true;
  }
}

/** True when the message carries MESSAGE-INTEGRITY made with `password` (short-term credentials, RFC 8489 9.1). */
export function integrityHolds(message: StunMessage, password: string): boolean {
  const at = message.integrityOffset;
  if (at < 0) return false;
  const claimed = message.raw.subarray(at + 4, at + 4 + INTEGRITY_BYTES);
  return timingSafeEqual(claimed, integrityOf(message.raw.subarray(0, at), password));
}

/** The HMAC is taken with the length field set as if MESSAGE-INTEGRITY were the last attribute (RFC 8489 14.5). */
function integrityOf(before: Buffer, password: string): Buffer {
  const head = Buffer.from(before.subarray(0, HEADER_BYTES));
  head.writeUInt16BE(before.length - HEADER_BYTES + 4 + INTEGRITY_BYTES, 2);
  return createHmac('sha1', password).update(head).update(before.subarray(HEADER_BYTES)).digest();
}

function fingerprintOf(before: Buffer): number {
  const head = Buffer.from(before.subarray(0, HEADER_BYTES));
  head.writeUInt16BE(before.length - HEADER_BYTES + 8, 2);
  return (crc32(before.subarray(HEADER_BYTES), crc32(head)) ^ FINGERPRINT_XOR) >>> 0;
}

export interface StunContent {
  readonly type: number;
  readonly transactionId: Buffer;
  readonly username?: string;
  readonly priority?: number;
  readonly useCandidate?: boolean;
  readonly controllingTieBreaker?: Buffer;
  readonly mappedAddress?: TransportAddress;
  readonly error?: { readonly code: number; readonly reason: string };
  readonly unknownAttributes?: readonly number[];
  readonly software?: string;
  /** Adds MESSAGE-INTEGRITY. */
  readonly password?: string;
}

/** One STUN message with FINGERPRINT. */
export function encodeStun(content: StunContent): Buffer {
  const parts: Buffer[] = [];
  const add = (type: number, value: Buffer) => {
    const attribute = Buffer.alloc(4 + ((value.length + 3) & ~3));
    attribute.writeUInt16BE(type, 0);
    attribute.writeUInt16BE(value.length, 2);
    value.copy(attribute, 4);
    parts.push(attribute);
  };
  if (content.software !== undefined) add(SOFTWARE, Buffer.from(content.software));
  if (content.error) {
    const { code, reason } = content.error;
    add(ERROR_CODE, Buffer.concat([Buffer.of(0, 0, Math.floor(code / 100), code % 100), Buffer.from(reason)]));
  }
  if (content.unknownAttributes?.length) {
    const value = Buffer.alloc(content.unknownAttributes.length * 2);
    for (const [index, attribute] of content.unknownAttributes.entries()) value.writeUInt16BE(attribute, index * 2);
    add(UNKNOWN_ATTRIBUTES, value);
  }
  if (content.mappedAddress) add(XOR_MAPPED_ADDRESS, encodeXorAddress(content.mappedAddress, content.transactionId));
  if (content.username !== undefined) add(USERNAME, Buffer.from(content.username));
  if (content.priority !== undefined) {
    const value = Buffer.alloc(4);
    value.writeUInt32BE(content.priority);
    add(PRIORITY, value);
  }
  if (content.useCandidate) add(USE_CANDIDATE, Buffer.alloc(0));
  if (content.controllingTieBreaker) add(0x802a, content.controllingTieBreaker);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(content.type, 0);
  header.writeUInt32BE(MAGIC_COOKIE, 4);
  content.transactionId.copy(header, 8, 0, 12);
  let message = Buffer.concat([header, ...parts]);
  if (content.password !== undefined) {
    message = Buffer.concat([
      message,
      Buffer.of(0, MESSAGE_INTEGRITY, 0, INTEGRITY_BYTES),
      integrityOf(message, content.password),
    ]);
  }
  const fingerprint = Buffer.alloc(8);
  fingerprint.writeUInt16BE(FINGERPRINT, 0);
  fingerprint.writeUInt16BE(4, 2);
  fingerprint.writeUInt32BE(fingerprintOf(message), 4);
  message = Buffer.concat([message, fingerprint]);
  message.writeUInt16BE(message.length - HEADER_BYTES, 2);
  return message;
}

function xorMask(transactionId: Buffer): Buffer {
  const mask = Buffer.alloc(16);
  mask.writeUInt32BE(MAGIC_COOKIE, 0);
  transactionId.copy(mask, 4, 0, 12);
  return mask;
}

function encodeXorAddress(mapped: TransportAddress, transactionId: Buffer): Buffer {
  const address = addressOctets(mapped.address);
  const mask = xorMask(transactionId);
  const value = Buffer.alloc(4 + address.length);
  value[1] = address.length === 4 ? 1 : 2;
  value.writeUInt16BE(mapped.port ^ (MAGIC_COOKIE >>> 16), 2);
  for (let i = 0; i < address.length; i++) value[4 + i] = address[i]! ^ mask[i]!;
  return value;
}

function decodeXorAddress(value: Buffer, transactionId: Buffer): TransportAddress | null {
  const octets = value[1] === 1 ? 4 : value[1] === 2 ? 16 : 0;
  if (octets === 0 || value.length !== 4 + octets) return null;
  const mask = xorMask(transactionId);
  const address = value.subarray(4).map((octet, index) => octet ^ mask[index]!);
  const port = value.readUInt16BE(2) ^ (MAGIC_COOKIE >>> 16);
  if (octets === 4) return { address: address.join('.'), port };
  const groups = Array.from({ length: 8 }, (_, i) => ((address[2 * i]! << 8) | address[2 * i + 1]!).toString(16));
  return { address: groups.join(':'), port };
}

/** The octets of an IP literal: 4, or 16 for IPv6 (zone ignored). */
export function addressOctets(literal: string): Buffer {
  if (!isIPv6(literal)) return Buffer.from(literal.split('.').map(Number));
  let text = literal.replace(/%.*$/, '');
  const dotted = /(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (dotted) {
    const [a, b, c, d] = dotted.slice(1).map(Number) as [number, number, number, number];
    text = text.slice(0, dotted.index) + `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const [head = '', tail] = text.split('::');
  const groupsOf = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  const first = groupsOf(head);
  const last = tail === undefined ? [] : groupsOf(tail);
  const groups = [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last];
  const octets = Buffer.alloc(16);
  for (const [index, group] of groups.entries()) octets.writeUInt16BE(group, index * 2);
  return octets;
}
