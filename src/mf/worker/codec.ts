import { ImsdcError } from '../../errors.ts';
import type { Body, Field, ListField } from './fields.ts';
import { FRAME_HEADER_BYTES, FRAMES, WORKER_ERRORS, type WorkerErrorName } from './protocol.ts';

export type FrameName = keyof typeof FRAMES;
export type FrameBody<N extends FrameName> = Body<(typeof FRAMES)[N]['fields']>;
/** Requests that are answered by OK. */
export type RequestName = {
  [N in FrameName]: (typeof FRAMES)[N] extends { readonly reply: readonly Field[] } ? N : never;
}[FrameName];
export type ReplyBody<N extends RequestName> = (typeof FRAMES)[N] extends {
  readonly reply: infer R extends readonly Field[];
}
  ? Body<R>
  : never;

export interface FrameHeader {
  /** 0: not a request and not the answer to one. */
  readonly requestId: number;
  /** 0: the worker itself. */
  readonly handle: number;
  readonly generation: number;
}

/** One frame as it came; the body is decoded by who knows what it must be. */
export interface RawFrame extends FrameHeader {
  readonly name: FrameName;
  readonly body: Buffer;
}

export const NO_HANDLE = { requestId: 0, handle: 0, generation: 0 } as const satisfies FrameHeader;

const NAMES = new Map<number, FrameName>((Object.keys(FRAMES) as FrameName[]).map((name) => [FRAMES[name].type, name]));
const ERROR_NAMES = new Map<number, WorkerErrorName>(
  (Object.keys(WORKER_ERRORS) as WorkerErrorName[]).map((name) => [WORKER_ERRORS[name].value, name]),
);

/** The name of a code in ERROR, STATE, STREAM or an outcome; unknown ones are faults of the worker. */
export function workerErrorName(code: number): WorkerErrorName {
  return ERROR_NAMES.get(code) ?? 'INTERNAL';
}

export function encodeFrame<N extends FrameName>(name: N, header: FrameHeader, body: FrameBody<N>): Buffer {
  return encode(FRAMES[name].type, FRAMES[name].fields, header, body as Record<string, unknown>);
}

/** OK with the reply of `request` as its body. */
export function encodeReply<N extends RequestName>(request: N, header: FrameHeader, body: ReplyBody<N>): Buffer {
  return encode(FRAMES.OK.type, FRAMES[request].reply, header, body as Record<string, unknown>);
}

/** @throws WORKER_PROTOCOL */
export function decodeBody<N extends FrameName>(name: N, body: Buffer): FrameBody<N> {
  return decode(name, FRAMES[name].fields, body) as FrameBody<N>;
}

/** @throws WORKER_PROTOCOL */
export function decodeReply<N extends RequestName>(request: N, body: Buffer): ReplyBody<N> {
  return decode(`reply of ${request}`, FRAMES[request].reply, body) as ReplyBody<N>;
}

/** Splits a byte stream into frames. Nothing is allocated for a length that is merely claimed. */
export class FrameReader {
  readonly #maxLength: number;
  #rest: Buffer = Buffer.alloc(0);

  /** `maxLength`: largest value of the length field. */
  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  /** The frames completed by `chunk`. Bodies point into it. @throws WORKER_PROTOCOL */
  *push(chunk: Buffer): Generator<RawFrame> {
    let data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (data.length >= 4) {
      const length = data.readUInt32LE(0);
      if (length < FRAME_HEADER_BYTES - 4 || length > this.#maxLength) {
        throw new ImsdcError('WORKER_PROTOCOL', { problem: `frame length ${length}` });
      }
      if (data.length < 4 + length) break;
      const type = data.readUInt32LE(4);
      const name = NAMES.get(type);
      if (name === undefined) throw new ImsdcError('WORKER_PROTOCOL', { problem: `frame type ${type}` });
      yield {
        name,
        requestId: data.readUInt32LE(8),
        handle: data.readUInt32LE(12),
        generation: data.readUInt32LE(16),
        body: data.subarray(FRAME_HEADER_BYTES, 4 + length),
      };
      data = data.subarray(4 + length);
    }
    this.#rest = data;
  }
}

function encode(type: number, fields: readonly Field[], header: FrameHeader, body: Record<string, unknown>): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + sizeOf(fields, body));
  frame.writeUInt32LE(frame.length - 4, 0);
  frame.writeUInt32LE(type, 4);
  frame.writeUInt32LE(header.requestId, 8);
  frame.writeUInt32LE(header.handle, 12);
  frame.writeUInt32LE(header.generation, 16);
  write(frame, FRAME_HEADER_BYTES, fields, body);
  return frame;
}

function sizeOf(fields: readonly Field[], body: Record<string, unknown>): number {
  let size = 0;
  for (const field of fields) {
    const value = body[field.name];
    switch (field.type) {
      case 'u16':
        size += 2;
        break;
      case 'u32':
        size += 4;
        break;
      case 'u64':
        size += 8;
        break;
      case 'string':
        size += 2 + bounded(field.name, Buffer.byteLength(value as string), field.max);
        break;
      case 'bytes':
        size += 4 + bounded(field.name, (value as Uint8Array).length, field.max);
        break;
      case 'list': {
        const records = value as readonly Record<string, unknown>[];
        bounded(field.name, records.length, field.max);
        size += 2;
        for (const record of records) size += sizeOf(field.of, record);
        break;
      }
      default:
        size += 1;
    }
  }
  return size;
}

function bounded(name: string, value: number, max: number): number {
  if (value > max) throw new ImsdcError('WORKER_PROTOCOL', { problem: `${name} has ${value}, at most ${max}` });
  return value;
}

function write(frame: Buffer, at: number, fields: readonly Field[], body: Record<string, unknown>): number {
  for (const field of fields) {
    const value = body[field.name];
    switch (field.type) {
      case 'u8':
        at = frame.writeUInt8(value as number, at);
        break;
      case 'u16':
        at = frame.writeUInt16LE(value as number, at);
        break;
      case 'u32':
        at = frame.writeUInt32LE(value as number, at);
        break;
      case 'u64':
        at = frame.writeBigUInt64LE(BigInt(value as number), at);
        break;
      case 'bool':
        at = frame.writeUInt8(value ? 1 : 0, at);
        break;
      case 'enum':
        at = frame.writeUInt8(field.values.indexOf(value as string), at);
        break;
      case 'string': {
        const bytes = frame.write(value as string, at + 2, 'utf8');
        frame.writeUInt16LE(bytes, at);
        at += 2 + bytes;
        break;
      }
      case 'bytes': {
        const data = value as Uint8Array;
        at = frame.writeUInt32LE(data.length, at);
        frame.set(data, at);
        at += data.length;
        break;
      }
      case 'list': {
        const records = value as readonly Record<string, unknown>[];
        at = frame.writeUInt16LE(records.length, at);
        for (const record of records) at = write(frame, at, field.of, record);
      }
    }
  }
  return at;
}

function decode(what: string, fields: readonly Field[], body: Buffer): Record<string, unknown> {
  const cursor = { body, at: 0 };
  try {
    const record = read(cursor, fields);
    if (cursor.at !== body.length) throw new RangeError(`${body.length - cursor.at} octets too many`);
    return record;
  } catch (error) {
    throw new ImsdcError('WORKER_PROTOCOL', { problem: `${what}: ${(error as Error).message}` }, { cause: error });
  }
}

interface Cursor {
  readonly body: Buffer;
  at: number;
}

function read(cursor: Cursor, fields: readonly Field[]): Record<string, unknown> {
  const record: Record<string, unknown> = {};
  for (const field of fields) record[field.name] = readField(cursor, field);
  return record;
}

/** Buffer's own bound checks throw RangeError when the body is too short. */
function readField(cursor: Cursor, field: Field): unknown {
  const { body } = cursor;
  const at = cursor.at;
  switch (field.type) {
    case 'u8':
      cursor.at += 1;
      return body.readUInt8(at);
    case 'u16':
      cursor.at += 2;
      return body.readUInt16LE(at);
    case 'u32':
      cursor.at += 4;
      return body.readUInt32LE(at);
    case 'u64':
      cursor.at += 8;
      return Number(body.readBigUInt64LE(at));
    case 'bool': {
      cursor.at += 1;
      const octet = body.readUInt8(at);
      if (octet > 1) throw new RangeError(`${field.name} is ${octet}`);
      return octet === 1;
    }
    case 'enum': {
      cursor.at += 1;
      const value = field.values[body.readUInt8(at)];
      if (value === undefined) throw new RangeError(`${field.name} is ${body[at]}`);
      return value;
    }
    case 'string':
      cursor.at += 2;
      return take(cursor, field.name, body.readUInt16LE(at), field.max).toString('utf8');
    case 'bytes':
      cursor.at += 4;
      return take(cursor, field.name, body.readUInt32LE(at), field.max);
    case 'list':
      return readList(cursor, field);
  }
}

function take(cursor: Cursor, name: string, size: number, max: number): Buffer {
  const end = cursor.at + size;
  if (size > max || end > cursor.body.length) throw new RangeError(`${name} claims ${size} octets`);
  const value = cursor.body.subarray(cursor.at, end);
  cursor.at = end;
  return value;
}

function readList(cursor: Cursor, field: ListField): readonly Record<string, unknown>[] {
  const count = cursor.body.readUInt16LE(cursor.at);
  if (count > field.max) throw new RangeError(`${field.name} claims ${count} records`);
  cursor.at += 2;
  const records: Record<string, unknown>[] = [];
  for (let index = 0; index < count; index++) {
    records.push(read(cursor, field.of));
  }
  return records;
}
