import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readDataChannelMedia } from '../../src/sdp/data-channel.ts';
import { refusedSection } from '../../src/sdp/edit.ts';
import { parseSessionDescription } from '../../src/sdp/parse.ts';
import type { DataChannelMedia, DataChannelStream, SessionDescription } from '../../src/sdp/types.ts';
import { writeSessionDescription } from '../../src/sdp/write.ts';
import {
  type DataChannelContent,
  type DataChannelEnd,
  dataChannelSection,
  readdressedSection,
  reanchoredSection,
  withIceLite,
  withStreams,
  withUsedByFlipped,
} from '../../src/sdp/write-data-channel.ts';
import { fixture, mediaOf } from './support.ts';

const parsed = (name: string) => parseSessionDescription(fixture(name));
const read = (sdp: SessionDescription, slot: number) => mediaOf(readDataChannelMedia(sdp, slot, { as: 'offer' }));
const endOf = (media: DataChannelMedia): DataChannelEnd => ({
  ...media,
  fingerprint: media.fingerprints[0]!,
  ice: media.ice,
});
const contentOf = (media: DataChannelMedia): DataChannelContent => ({ ...media, qosHint: media.qosHint?.text });
const withoutVerbatim = (media: DataChannelMedia): DataChannelMedia => ({
  ...media,
  streams: media.streams.map(({ verbatim: _, ...stream }): DataChannelStream => stream),
});

// conformance: 26.114 6.2.10.2 — the form of the lines we offer and answer
for (const name of [
  'e2-originating-as-offer',
  'e3-terminating-as-offer',
  'e4-originating-as-answer',
  'e5-ice-lite-answer',
  'e7-p2a-answer',
]) {
  test(`${name}: our writer gives exactly these sections`, () => {
    const sdp = parsed(name);
    const slots = sdp.media.map((_, slot) => slot).slice(1);
    assert.ok(slots.length >= 2);
    for (const slot of slots) {
      const media = withoutVerbatim(read(sdp, slot));
      assert.deepEqual(dataChannelSection(endOf(media), contentOf(media)), sdp.media[slot]);
    }
  });
}

test('E1 to E2: the sender line is re-anchored, only the lines of its end change', () => {
  const [offer, expected] = [parsed('e1-ue-offer'), parsed('e2-originating-as-offer')];
  const end = endOf(read(expected, 1));
  assert.deepEqual(
    reanchoredSection(offer.media[2]!, end, (id) => id === 100),
    expected.media[1],
  );
});

test('unknown lines of a re-anchored section pass, ICE and old aliases do not', () => {
  const foreign = parseSessionDescription(
    [
      'v=0',
      'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
      'i=title',
      'c=IN IP4 192.0.2.1',
      'b=TIAS:1',
      'a=content:slides',
      'a=tlsId:abcdefghij0123456789',
      'a=fingerprint:SHA-1 00',
      'a=fingerprint:SHA-256 01',
      'a=ice-ufrag:x',
      'a=candidate:1 1 UDP 1 192.0.2.1 9 typ host',
      'a=ice-pwd:y',
      'a=end-of-candidates',
      'a=dcmap:1000 label="a"',
      'a=dcsa:1000 x',
      'a=dcmap:1001',
      'a=dcsa:1001 y',
      'a=x-vendor',
      '',
    ].join('\r\n'),
  );
  const end: DataChannelEnd = {
    address: '2001:db8::1',
    port: 50000,
    sctpPort: 5001,
    maxMessageSizeBytes: 1024,
    setup: 'passive',
    fingerprint: { algorithm: 'SHA-256', value: 'AA' },
  };
  assert.deepEqual(reanchoredSection(foreign.media[0]!, end, (id) => id === 1001).lines, [
    'm=application 50000 UDP/DTLS/SCTP webrtc-datachannel',
    'i=title',
    'c=IN IP6 2001:db8::1',
    'b=TIAS:1',
    'a=content:slides',
    'a=fingerprint:SHA-256 AA',
    'a=dcmap:1001',
    'a=dcsa:1001 y',
    'a=x-vendor',
    'a=sctp-port:5001',
    'a=max-message-size:1024',
    'a=setup:passive',
  ]);
});

// conformance: R10 — e2e anchored: only c=, port and ICE change
test('a section that carries datagrams end to end keeps its DTLS and SCTP lines', () => {
  const sdp = parsed('e5-ice-lite-answer');
  const moved = readdressedSection(sdp.media[1]!, { address: '203.0.113.9', port: 50900 });
  const before = sdp.media[1]!.lines;
  assert.deepEqual(
    moved.lines.filter((line) => !before.includes(line)),
    ['m=application 50900 UDP/DTLS/SCTP webrtc-datachannel', 'c=IN IP4 203.0.113.9'],
  );
  assert.deepEqual(
    before.filter((line) => !moved.lines.includes(line)).map((line) => line.split(/[:= ]/)[1]),
    ['application', 'IN', 'ice-ufrag', 'ice-pwd', 'candidate'],
  );
  const ice = { ufrag: 'u', pwd: 'p' };
  assert.deepEqual(readdressedSection(sdp.media[1]!, { address: '203.0.113.9', port: 50900, ice }).lines.slice(-3), [
    'a=ice-ufrag:u',
    'a=ice-pwd:p',
    'a=candidate:1 1 UDP 2130706431 203.0.113.9 50900 typ host',
  ]);
});

// conformance: 26.114 6.2.10.3 — one of two channels refused: the answer repeats the binding whole, an onward offer does not
test('E8: refusing one of two channels leaves out its dcmap', () => {
  const sdp = parsed('e6-reinvite-p2p');
  const section = sdp.media[3]!;
  const lost = (lines: readonly string[]) =>
    section.lines.filter((line) => /dcmap|req-app/.test(line) && !lines.includes(line));
  const keep = (id: number) => id === 1000;
  const refused = 'a=dcmap:1002 label="local_10000005_1_pos";ordered=false;max-time=150';
  assert.deepEqual(lost(reanchoredSection(section, endOf(read(sdp, 3)), keep).lines), [refused]);
  const binding = 'a=3gpp-req-app:10000005;adc-stream-id-endpoint=1000-UE';
  const offered = withStreams(section, keep).lines;
  assert.deepEqual(lost(offered), [refused, `${binding},1002-UE`]);
  assert.ok(offered.includes(binding));
  assert.equal(refusedSection(section).lines[0], parsed('e8-rejections').media[1]!.lines[0]);
});

// conformance: R8 — a re-offer in the other direction flips 3gpp-bdc-used-by
test('used-by flips there and back', () => {
  const section = parsed('e1-ue-offer').media[2]!;
  const flipped = withUsedByFlipped(section);
  assert.ok(flipped.lines.includes('a=3gpp-bdc-used-by:receiver'));
  assert.deepEqual(withUsedByFlipped(flipped), section);
  assert.deepEqual(withUsedByFlipped(parsed('e1-ue-offer').media[1]!), parsed('e1-ue-offer').media[1]);
});

// conformance: R7 — a=ice-lite only when no other m-line has ICE
test('ice-lite is claimed only for a session whose ICE is all ours', () => {
  const iceLite = writeSessionDescription(parsed('e5-ice-lite-answer'));
  const without = parseSessionDescription(iceLite.replace('a=ice-lite\r\n', ''));
  assert.equal(writeSessionDescription(withIceLite(without, [1, 2])), iceLite);
  assert.equal(withIceLite(without, [1]), without, 'slot 2 belongs to a full agent');
  assert.equal(withIceLite(parsed('e5-ice-lite-answer'), [1, 2]).session.filter((l) => l === 'a=ice-lite').length, 1);
});
