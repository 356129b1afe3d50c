import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ImsdcError } from '../../src/errors.ts';
import { MAX_MEDIA_SECTIONS, MAX_SDP_BYTES, MAX_SDP_LINE_BYTES, parseSessionDescription } from '../../src/sdp/parse.ts';
import { writeSessionDescription } from '../../src/sdp/write.ts';
import { fixture, fixtureNames } from './support.ts';

const roundTrip = (text: string) => writeSessionDescription(parseSessionDescription(text));
const refuses = (text: string, code: string, details: object) =>
  assert.throws(
    () => parseSessionDescription(text),
    (error) => {
      assert.ok(error instanceof ImsdcError);
      assert.equal(error.code, code);
      assert.deepEqual({ ...error.details, ...details }, error.details);
      return true;
    },
  );

// conformance: R7 — other people's lines pass byte for byte
test('every example is written back byte for byte', () => {
  assert.ok(fixtureNames.length >= 9);
  for (const name of fixtureNames) assert.equal(roundTrip(fixture(name)), fixture(name), name);
});

const ODD_ENDS = {
  'LF line ends': 'v=0\no=a 1 1 IN IP4 1.2.3.4\nm=audio 1 RTP/AVP 0\na=x\n',
  'no end of the last line': 'v=0\r\nm=audio 1 RTP/AVP 0\r\na=x',
  'blank lines at the end': 'v=0\r\nm=audio 1 RTP/AVP 0\r\na=x\r\n\r\n\r\n',
  'CRLF first, then LF': 'v=0\r\no=a 1 1 IN IP4 1.2.3.4\nm=audio 1 RTP/AVP 0\na=x\r\n',
  'LF first, then CRLF': 'v=0\no=a 1 1 IN IP4 1.2.3.4\r\nm=audio 1 RTP/AVP 0\r\na=x\r\n',
  'trailing blanks, double blanks': 'v=0 \r\nm=audio  1   RTP/AVP 0 \r\na=x \r\n',
  'latin1 bytes': 'v=0\r\ns=\xe4\xf6\xfc \xff\r\nm=audio 1 RTP/AVP 0\r\n',
};
for (const [name, text] of Object.entries(ODD_ENDS)) {
  test(`written back byte for byte: ${name}`, () => assert.equal(roundTrip(text), text));
}

test('fields of m= lines are read, also with a port count, double blanks and no format', () => {
  const { media } = parseSessionDescription(
    [
      'v=0',
      'm=audio 49170/2 RTP/AVP 0 8',
      'm=application  9  UDP/DTLS/SCTP  webrtc-datachannel',
      'm=image 0 x',
      '',
    ].join('\n'),
  );
  assert.deepEqual(
    media.map(({ media, port, protocol, formats }) => [media, port, protocol, formats]),
    [
      ['audio', 49170, 'RTP/AVP', ['0', '8']],
      ['application', 9, 'UDP/DTLS/SCTP', ['webrtc-datachannel']],
      ['image', 0, 'x', []],
    ],
  );
});

test('mixed line ends do not hide a section', () => {
  const sdp = parseSessionDescription('v=0\r\ns=-\nm=audio 1 RTP/AVP 0\r\nm=video 2 RTP/AVP 31\n');
  assert.deepEqual(
    sdp.media.map((m) => [m.media, m.formats]),
    [
      ['audio', ['0']],
      ['video', ['31']],
    ],
  );
});

test('200 m-lines pass, 256 pass, 257 do not', () => {
  const withMedia = (count: number) => `v=0\r\n${'m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n'.repeat(count)}`;
  for (const count of [200, MAX_MEDIA_SECTIONS]) {
    assert.equal(parseSessionDescription(withMedia(count)).media.length, count);
    assert.equal(roundTrip(withMedia(count)), withMedia(count));
  }
  refuses(withMedia(MAX_MEDIA_SECTIONS + 1), 'SDP_TOO_LARGE', { limit: MAX_MEDIA_SECTIONS });
});

test('limits of line and whole are exact', () => {
  const line = (bytes: number) => `v=0\r\na=${'x'.repeat(bytes - 2)}\r\n`;
  assert.equal(roundTrip(line(MAX_SDP_LINE_BYTES)), line(MAX_SDP_LINE_BYTES));
  refuses(line(MAX_SDP_LINE_BYTES + 1), 'SDP_TOO_LARGE', { what: 'line 2' });
  const whole = (bytes: number) => `v=0\r\n${'a=xy\r\n'.repeat(20_000)}`.slice(0, bytes);
  assert.equal(roundTrip(`${whole(MAX_SDP_BYTES - 3)}a=1`.slice(-MAX_SDP_BYTES)).length, MAX_SDP_BYTES);
  refuses(whole(MAX_SDP_BYTES + 1), 'SDP_TOO_LARGE', { what: 'session description' });
});

const MALFORMED: [string, string, number, string][] = [
  ['nothing', '', 1, 'is empty'],
  ['only line ends', '\r\n\r\n', 1, 'is empty'],
  ['no v= line', 'o=a 1 1 IN IP4 1.2.3.4\r\n', 1, 'is not v=0'],
  ['another version', 'v=1\r\n', 1, 'is not v=0'],
  ['garbage', 'hello', 1, 'is not <type>=<value>'],
  ['a line without =', 'v=0\r\ns=-\r\nhello\r\nt=0 0\r\n', 3, 'is not <type>=<value>'],
  ['a blank line inside', 'v=0\r\n\r\ns=-\r\n', 2, 'is not <type>=<value>'],
  ['m= without protocol', 'v=0\r\nm=audio 1\r\n', 2, 'm= needs media, port and protocol'],
  ['m= with a negative port', 'v=0\r\nm=audio -1 RTP/AVP 0\r\n', 2, 'm= port is not 0..65535'],
  ['m= with a port beyond 65535', 'v=0\r\nm=audio 65536 RTP/AVP 0\r\n', 2, 'm= port is not 0..65535'],
  ['m= with a word as port', 'v=0\r\nm=audio 0x10 RTP/AVP 0\r\n', 2, 'm= port is not 0..65535'],
];
for (const [name, text, line, problem] of MALFORMED) {
  test(`refused with line and reason: ${name}`, () => refuses(text, 'SDP_MALFORMED', { line, problem }));
}
