import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRejection, readDataChannelMedia } from '../../src/sdp/data-channel.ts';
import { parseSessionDescription } from '../../src/sdp/parse.ts';
import type { DataChannelMedia, MediaRejection } from '../../src/sdp/types.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures/sdp');

export const fixtureNames = readdirSync(FIXTURES)
  .filter((name) => name.endsWith('.sdp'))
  .map((name) => name.slice(0, -4));

/** Text of an example description, CRLF. */
export function fixture(name: string): string {
  return readFileSync(join(FIXTURES, `${name}.sdp`), 'latin1');
}

export const SHA256_A = Array.from({ length: 32 }, (_, i) => (i + 16).toString(16).toUpperCase()).join(':');

/** The attribute lines that a well-formed section needs, to be replaced one by one. */
const WELL_FORMED = {
  connection: 'c=IN IP4 192.0.2.10',
  sctpPort: 'a=sctp-port:5000',
  setup: 'a=setup:actpass',
  fingerprint: `a=fingerprint:SHA-256 ${SHA256_A}`,
  tlsId: 'a=tls-id:abcdefghij0123456789',
  dcmap: 'a=dcmap:1000 label="draw"',
};

export interface SectionParts extends Partial<Record<keyof typeof WELL_FORMED, string | null>> {
  /** The m= line. */
  m?: string;
  session?: string[];
  /** Further lines. */
  more?: string[];
}

/** An offer of one data channel section; a part set to null is left out. */
export function sectionText(parts: SectionParts = {}): string {
  const { m = 'm=application 40010 UDP/DTLS/SCTP webrtc-datachannel', session = [], more = [], ...changes } = parts;
  const lines = Object.values({ ...WELL_FORMED, ...changes }).filter((line) => line !== null);
  return ['v=0', 'o=ue 1 1 IN IP4 192.0.2.10', 's=-', 't=0 0', ...session, m, ...lines, ...more, ''].join('\r\n');
}

export function readSection(
  parts: SectionParts = {},
  as: 'offer' | 'answer' = 'offer',
): DataChannelMedia | MediaRejection {
  return readDataChannelMedia(parseSessionDescription(sectionText(parts)), 0, { as });
}

/** The media of a section that must be readable. */
export function mediaOf(read: DataChannelMedia | MediaRejection): DataChannelMedia {
  if (isRejection(read)) throw new Error(`rejected: ${read.code} ${read.detail}`);
  return read;
}
