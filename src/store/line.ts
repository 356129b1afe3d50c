import { crc32 } from 'node:zlib';

/**
 * A segment of the journal is lines of UTF-8, each on its own feet:
 *
 *     +--------+---+------------------------------+----+
 *     | crc32  | ' '| body                        | LF |
 *     | 8 hex  |    |                             |    |
 *     +--------+---+------------------------------+----+
 *     body:  '# imsdc-state <version>'          first line of every segment
 *            '+ <space> <id> <text>'            the record is now <text>, which has no line break
 *            '- <space> <id>'                   the record is gone
 *            '!'                                everything in earlier segments is void
 */
export type Line =
  | { readonly kind: 'header'; readonly version: number }
  | { readonly kind: 'put'; readonly space: string; readonly id: string; readonly text: string }
  | { readonly kind: 'remove'; readonly space: string; readonly id: string }
  | { readonly kind: 'checkpoint' };

export const VERSION = 1;
const NAME = 'imsdc-state';
const CRC_LENGTH = 8;
const LF = 0x0a;

export const headerLine = (): Buffer => frame(`# ${NAME} ${VERSION}`);
export const putLine = (space: string, id: string, text: string): Buffer => frame(`+ ${space} ${id} ${text}`);
export const removeLine = (space: string, id: string): Buffer => frame(`- ${space} ${id}`);
export const checkpointLine = (): Buffer => frame('!');

function frame(body: string): Buffer {
  const bytes = Buffer.byteLength(body);
  const line = Buffer.allocUnsafe(CRC_LENGTH + 1 + bytes + 1);
  line.write(body, CRC_LENGTH + 1, 'utf8');
  const sum = crc32(line.subarray(CRC_LENGTH + 1, CRC_LENGTH + 1 + bytes));
  line.write(`${sum.toString(16).padStart(CRC_LENGTH, '0')} `, 0, 'latin1');
  line[line.length - 1] = LF;
  return line;
}

/** A line with its place in the segment; `line` undefined: not readable. */
export interface PlacedLine {
  readonly offset: number;
  /** With its line break. */
  readonly length: number;
  readonly line: Line | undefined;
}

/** Every line of a segment. Bytes after the last line break are what a write left behind that was cut short. */
export function* readLines(segment: Buffer): Generator<PlacedLine, { readonly tornBytes: number }> {
  let offset = 0;
  for (;;) {
    const end = segment.indexOf(LF, offset);
    if (end < 0) return { tornBytes: segment.length - offset };
    yield { offset, length: end + 1 - offset, line: readLine(segment.subarray(offset, end)) };
    offset = end + 1;
  }
}

/** Undefined: not a line of ours, or not as it was written. */
function readLine(line: Buffer): Line | undefined {
  if (line.length < CRC_LENGTH + 2 || line[CRC_LENGTH] !== 0x20) return undefined;
  const body = line.subarray(CRC_LENGTH + 1);
  const sum = line.toString('latin1', 0, CRC_LENGTH);
  if (!/^[0-9a-f]{8}$/.test(sum) || Number.parseInt(sum, 16) !== crc32(body)) return undefined;
  return readBody(body.toString('utf8'));
}

function readBody(body: string): Line | undefined {
  if (body === '!') return { kind: 'checkpoint' };
  const [sign = '', space = '', id = ''] = body.split(' ', 3);
  if (sign === '#') return space === NAME ? { kind: 'header', version: Number(id) } : undefined;
  if (space === '' || id === '') return undefined;
  if (sign === '-') return { kind: 'remove', space, id };
  const start = sign.length + space.length + id.length + 3;
  return sign === '+' && body.length > start ? { kind: 'put', space, id, text: body.slice(start) } : undefined;
}
