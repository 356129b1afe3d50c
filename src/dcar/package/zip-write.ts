import { crc32, deflateRawSync } from 'node:zlib';

export interface ZipMember {
  /** Relative path with `/`. */
  readonly name: string;
  readonly content: Uint8Array;
}

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END_OF_CENTRAL = 0x06054b50;
const VERSION_NEEDED = 20;
/** Bit 11: names are UTF-8 (APPNOTE 4.4.4). */
const UTF8_NAMES = 1 << 11;
/** 1980-01-01: DOS dates know nothing earlier, and a clock would make every build differ. */
const DOS_EPOCH_DATE = 0x0021;
const STORED = 0;
const DEFLATED = 8;

/**
 * A ZIP whose bytes depend on its members only: sorted by name, no clock, no extra fields. The same folder always
 * gives the same hash, so that immutable versions can be checked by content. Files below 4 GiB, at most 65,535.
 */
export function writeZip(members: readonly ZipMember[]): Buffer {
  const sorted = [...members].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const member of sorted) {
    const name = Buffer.from(member.name, 'utf8');
    const deflated = deflateRawSync(member.content, { level: 9 });
    const smaller = deflated.length < member.content.length;
    const data = smaller ? deflated : Buffer.from(member.content);
    const fields = commonFields(
      smaller ? DEFLATED : STORED,
      crc32(member.content),
      data.length,
      member.content.length,
      name,
    );
    parts.push(uint32(LOCAL_HEADER), fields, name, data);
    directory.push(uint32(CENTRAL_HEADER), uint16(VERSION_NEEDED), fields, centralTail(offset), name);
    offset += 4 + fields.length + name.length + data.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(END_OF_CENTRAL, 0);
  end.writeUInt16LE(sorted.length, 8);
  end.writeUInt16LE(sorted.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, central, end]);
}

/** The 26 bytes that local and central header share (APPNOTE 4.3.7, 4.3.12). */
function commonFields(method: number, crc: number, packedBytes: number, bytes: number, name: Buffer): Buffer {
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(VERSION_NEEDED, 0);
  fields.writeUInt16LE(UTF8_NAMES, 2);
  fields.writeUInt16LE(method, 4);
  fields.writeUInt16LE(DOS_EPOCH_DATE, 8);
  fields.writeUInt32LE(crc, 10);
  fields.writeUInt32LE(packedBytes, 14);
  fields.writeUInt32LE(bytes, 18);
  fields.writeUInt16LE(name.length, 22);
  return fields;
}

/** Comment length, disk, internal and external attributes: all zero; then where the local header is. */
function centralTail(offset: number): Buffer {
  const tail = Buffer.alloc(14);
  tail.writeUInt32LE(offset, 10);
  return tail;
}

function uint16(value: number): Buffer {
  const buffer = Buffer.alloc(2);
  buffer.writeUInt16LE(value);
  return buffer;
}

function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}
