import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDataChannelSection, isRejection, readDataChannelMedia } from '../../src/sdp/data-channel.ts';
import { parseSessionDescription } from '../../src/sdp/parse.ts';
import { fixture, mediaOf, readSection, type SectionParts, SHA256_A, sectionText } from './support.ts';

const example = (name: string, slot: number, as: 'offer' | 'answer' = 'offer') =>
  mediaOf(readDataChannelMedia(parseSessionDescription(fixture(name)), slot, { as }));

// conformance: 26.114 6.2.10.1 — a data channel m-line with its attributes
test('E1: the bootstrap lines of an offer are read whole', () => {
  const own = example('e1-ue-offer', 1);
  assert.equal(own.address, '192.0.2.10', 'session-level c=');
  assert.deepEqual(
    [own.port, own.sctpPort, own.maxMessageSizeBytes, own.setup, own.bandwidthKbps, own.tlsId],
    [40010, 5000, 65536, 'actpass', 500, '7Zse7ilv0qxu1AAgBboG'],
  );
  assert.equal(own.fingerprints.length, 1);
  assert.equal(own.fingerprints[0]!.algorithm, 'SHA-256');
  assert.deepEqual(
    own.streams.map((s) => [s.streamId, s.subprotocol, s.ordered, s.priority]),
    [
      [0, 'http', true, 256],
      [10, 'http', true, 256],
    ],
  );
  assert.equal(own.bootstrapUsedBy, undefined);
  assert.equal(own.ice, undefined);
  assert.deepEqual(own.notes, []);
  assert.equal(example('e1-ue-offer', 2).bootstrapUsedBy, 'sender');
});

test('E2-E4: the lines of the AS are read, media-level c= wins', () => {
  assert.equal(example('e2-originating-as-offer', 2).bootstrapUsedBy, 'receiver');
  assert.equal(example('e3-terminating-as-offer', 1).address, '203.0.113.7');
  assert.equal(example('e4-originating-as-answer', 1, 'answer').setup, 'active');
});

test('E5: ICE and ice-lite are seen', () => {
  assert.deepEqual(example('e5-ice-lite-answer', 1, 'answer').ice, {
    ufrag: 'q7Zk',
    pwd: '3pVb8nXw0rTfLs6yKd2MhQ',
    lite: true,
  });
});

test('E6: an application line binds its streams', () => {
  const app = example('e6-reinvite-p2p', 3);
  assert.deepEqual(app.applications, [
    {
      applicationId: '10000005',
      channels: [
        { streamId: 1000, endpoint: 'UE' },
        { streamId: 1002, endpoint: 'UE' },
      ],
      boundBy: 'attribute',
    },
  ]);
  assert.deepEqual(app.applicationLines, ['10000005;adc-stream-id-endpoint=1000-UE,1002-UE']);
  assert.deepEqual(app.qosHint, {
    text: 'loss=0.01;latency=100',
    hints: [
      { property: 'loss', value: '0.01', splits: [] },
      { property: 'latency', value: '100', splits: [] },
    ],
  });
  const [draw, position] = app.streams;
  assert.equal(draw!.label, 'local_10000005_1_draw');
  assert.deepEqual([position!.ordered, position!.maxTimeMs, position!.maxRetransmissions], [false, 150, undefined]);
});

test('E7-E9: P2A, refusals and standalone', () => {
  assert.equal(example('e7-p2a-answer', 3, 'answer').applications[0]!.channels[0]!.endpoint, 'SERVER');
  const refused = readDataChannelMedia(parseSessionDescription(fixture('e8-rejections')), 1, { as: 'answer' });
  assert.deepEqual(refused, { code: 'PORT_ZERO', detail: 'the port is 0' });
  assert.deepEqual(
    example('e8-rejections', 2, 'answer').streams.map((s) => s.streamId),
    [1000],
  );
  assert.equal(example('e9-standalone', 0).maxMessageSizeBytes, 65536, 'RFC 8841 6.1 default');
});

const REJECTED: [string, SectionParts, string, string][] = [
  ['E10 (a) TCP', { m: 'm=application 40010 TCP/DTLS/SCTP webrtc-datachannel' }, 'PROTOCOL', "'TCP/DTLS/SCTP'"],
  ['another format', { m: 'm=application 40010 UDP/DTLS/SCTP x' }, 'FORMAT', "'x' is not"],
  ['a second format', { m: 'm=application 1 UDP/DTLS/SCTP webrtc-datachannel y' }, 'FORMAT', "'webrtc-datachannel y'"],
  ['no format', { m: 'm=application 40010 UDP/DTLS/SCTP' }, 'FORMAT', "''"],
  ['port 0', { m: 'm=application 0 UDP/DTLS/SCTP webrtc-datachannel' }, 'PORT_ZERO', 'the port is 0'],
  ['E10 (b) leading zero', { sctpPort: 'a=sctp-port:05000' }, 'SCTP_PORT', 'a=sctp-port:05000 is not 1..65535'],
  ['no sctp-port', { sctpPort: null }, 'SCTP_PORT', 'no a=sctp-port'],
  ['sctp-port 0', { sctpPort: 'a=sctp-port:0' }, 'SCTP_PORT', 'closes the association'],
  ['sctp-port 65536', { sctpPort: 'a=sctp-port:65536' }, 'SCTP_PORT', 'is not 1..65535'],
  ['sctp-port a word', { sctpPort: 'a=sctp-port:http' }, 'SCTP_PORT', 'is not 1..65535'],
  ['no fingerprint', { fingerprint: null }, 'FINGERPRINT', 'no a=fingerprint'],
  [
    'E10 (c) MD5',
    { fingerprint: 'a=fingerprint:MD5 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B' },
    'FINGERPRINT',
    'MD5 is broken',
  ],
  ['E10 (d) short', { fingerprint: 'a=fingerprint:SHA-256 4A:AD:B9' }, 'FINGERPRINT', 'SHA-256 needs 32 bytes, got 3'],
  ['not hex', { fingerprint: `a=fingerprint:sha-256 ${SHA256_A.replace('10', 'ZZ')}` }, 'FINGERPRINT', 'not hex pairs'],
  [
    'SHA-1 only',
    { fingerprint: `a=fingerprint:SHA-1 ${SHA256_A.slice(0, 59)}` },
    'FINGERPRINT',
    'SHA-1 is not accepted',
  ],
  ['E10 (h) holdconn', { setup: 'a=setup:holdconn' }, 'SETUP', "'holdconn' cannot be answered"],
  ['setup unknown', { setup: 'a=setup:maybe' }, 'SETUP', 'maybe'],
  ['no dcmap', { dcmap: null }, 'NO_STREAMS', 'no a=dcmap'],
  [
    'E10 (e) unreliable bootstrap',
    { dcmap: 'a=dcmap:0 subprotocol="http";max-retr=3' },
    'NO_STREAMS',
    'ordered and reliable',
  ],
  [
    'unordered bootstrap',
    { dcmap: 'a=dcmap:100 subprotocol="http";ordered=false' },
    'NO_STREAMS',
    'ordered and reliable',
  ],
  ['bootstrap with another subprotocol', { dcmap: 'a=dcmap:0 subprotocol="coap"' }, 'NO_STREAMS', 'needs subprotocol'],
  ['bootstrap without subprotocol', { dcmap: 'a=dcmap:0' }, 'NO_STREAMS', 'needs subprotocol'],
  ['an id below 1000 that is none', { dcmap: 'a=dcmap:5 subprotocol="http"' }, 'NO_STREAMS', 'not a bootstrap id'],
  ['E10 (f) both limits', { dcmap: 'a=dcmap:1000 max-retr=5;max-time=100' }, 'NO_STREAMS', 'exclude each other'],
  [
    'E10 (g) R14 twice',
    { more: ['a=dcmap:1000 label="again"'] },
    'NO_STREAMS',
    'dcmap 1000: id is given twice; both dropped',
  ],
  ['R14 twice, one of them bad', { more: ['a=dcmap:1000 label='] }, 'NO_STREAMS', 'both dropped'],
  ['E10 (i) id out of range', { dcmap: 'a=dcmap:70000' }, 'NO_STREAMS', 'stream id exceeds 65534'],
  ['id 65535', { dcmap: 'a=dcmap:65535' }, 'NO_STREAMS', 'stream id exceeds 65534'],
  ['bad quoting', { dcmap: 'a=dcmap:1000 label="open' }, 'NO_STREAMS', 'cannot read'],
  ['no address', { connection: null }, 'ADDRESS', 'no c= line'],
  ['a host name', { connection: 'c=IN IP4 ue.example' }, 'ADDRESS', 'no c= line with an IP address'],
  ['multicast', { connection: 'c=IN IP4 224.2.1.1/127' }, 'ADDRESS', '224.2.1.1 cannot be sent to'],
  ['old-style hold', { connection: 'c=IN IP4 0.0.0.0' }, 'ADDRESS', '0.0.0.0 cannot be sent to'],
];
for (const [name, parts, code, detail] of REJECTED) {
  // conformance: 26.114 6.2.10.3 — a data channel line that cannot be used is answered with port 0
  test(`the line is refused: ${name}`, () => {
    const read = readSection(parts);
    assert.ok(isRejection(read), JSON.stringify(read));
    assert.equal(read.code, code);
    assert.ok(read.detail.includes(detail), read.detail);
  });
}

// conformance: ue-side 9, R14 — a dcmap that cannot be used is dropped alone
test('a bad stream goes alone when others remain', () => {
  for (const bad of [
    'a=dcmap:0 subprotocol="http";max-retr=3',
    'a=dcmap:70000',
    'a=dcmap:1001 max-retr=5;max-time=1',
    'a=dcmap:x',
  ]) {
    const media = mediaOf(readSection({ more: [bad] }));
    assert.deepEqual(
      media.streams.map((s) => s.streamId),
      [1000],
    );
    assert.equal(media.notes.length, 1, bad);
  }
  const twice = mediaOf(readSection({ more: ['a=dcmap:1002', 'a=dcmap:1002 label="x"'] }));
  assert.deepEqual(
    twice.streams.map((s) => s.streamId),
    [1000],
  );
});

test('a line with thousands of channels costs no more than one with 256', () => {
  const media = mediaOf(readSection({ more: Array.from({ length: 2000 }, (_, index) => `a=dcmap:${2000 + index}`) }));
  assert.equal(media.streams.length, 256);
  assert.deepEqual(media.notes, ['2001 dcmap lines: only the first 256 are read']);
});

// conformance: ue-side 9 — leniency: blanks, case, tlsId
test('the form a peer may not use is accepted where the deployed world does: leniencies of the examples', () => {
  const media = mediaOf(
    readSection({
      setup: 'a=setup: Passive ',
      tlsId: 'a=tlsId: abcdefghij0123456789 ',
      fingerprint: `a=fingerprint:sha-256 ${SHA256_A.toLowerCase()}`,
      dcmap: 'a=dcmap: 0  subprotocol = "HTTP" ; ordered=true',
    }),
  );
  assert.deepEqual([media.setup, media.tlsId], ['passive', 'abcdefghij0123456789']);
  assert.deepEqual(media.fingerprints, [{ algorithm: 'SHA-256', value: SHA256_A }]);
  assert.equal(media.streams[0]!.streamId, 0);
  assert.deepEqual(media.notes, []);
});

// conformance: ue-side 9, E10 — a bad tls-id counts as absent
test('E10 (j): a bad tls-id counts as absent and is noted', () => {
  for (const tlsId of ['a=tls-id:short', `a=tls-id:${'x'.repeat(256)}`, 'a=tls-id:abcdefghij012345678!']) {
    const media = mediaOf(readSection({ tlsId }));
    assert.equal(media.tlsId, undefined);
    assert.match(media.notes[0]!, /^tls-id/);
  }
});

// conformance: RFC 4145 4 — a missing setup is active in an offer, passive in an answer
test('setup: defaults, and actpass in an answer', () => {
  assert.equal(mediaOf(readSection({ setup: null }, 'offer')).setup, 'active');
  assert.equal(mediaOf(readSection({ setup: null }, 'answer')).setup, 'passive');
  const answer = mediaOf(readSection({}, 'answer'));
  assert.equal(answer.setup, 'passive');
  assert.deepEqual(answer.notes, ['a=setup:actpass in an answer; taken as passive']);
});

// conformance: RFC 8122 5 — session-level fingerprint as fallback, the most preferred hash wins
test('fingerprints: session level, several, SHA-1 by switch', () => {
  const other = SHA256_A.replace('10', 'FF');
  const session = [`a=fingerprint:SHA-256 ${other}`, 'a=setup:passive'];
  assert.equal(mediaOf(readSection({ session, fingerprint: null, setup: null })).fingerprints[0]!.value, other);
  assert.equal(mediaOf(readSection({ session, fingerprint: null, setup: null })).setup, 'passive');
  assert.equal(mediaOf(readSection({ session })).fingerprints[0]!.value, SHA256_A, 'the own one wins');

  const sha512 = `a=fingerprint:sha-512 ${Array(64).fill('AB').join(':')}`;
  const mixed = mediaOf(readSection({ more: [sha512, `a=fingerprint:SHA-256 ${other}`, 'a=fingerprint:md5 00'] }));
  assert.deepEqual(
    mixed.fingerprints.map((f) => f.value),
    [SHA256_A, other],
  );
  assert.deepEqual(mixed.notes, ['fingerprint: MD5 is broken (RFC 8122 5)']);
  assert.equal(mediaOf(readSection({ fingerprint: sha512 })).fingerprints[0]!.algorithm, 'SHA-512');

  const sha1 = parseSessionDescription(sectionText({ fingerprint: `a=fingerprint:SHA-1 ${SHA256_A.slice(0, 59)}` }));
  assert.equal(mediaOf(readDataChannelMedia(sha1, 0, { as: 'offer', acceptSha1: true })).fingerprints.length, 1);
});

test('max-message-size: absent, 0, and nonsense', () => {
  const size = (line?: string) => mediaOf(readSection({ more: line ? [line] : [] })).maxMessageSizeBytes;
  assert.equal(size(), 65536);
  assert.equal(size('a=max-message-size:0'), 0);
  assert.equal(size('a=max-message-size:1024'), 1024);
  assert.equal(size('a=max-message-size:01024'), 65536);
  assert.equal(size('a=max-message-size:-1'), 65536);
});

test('dcsa lines go to their stream, others are noted', () => {
  const media = mediaOf(readSection({ more: ['a=dcsa:1000 accept-types:text/plain', 'a=dcsa:1000 x', 'a=dcsa:7 y'] }));
  assert.deepEqual(media.streams[0]!.dcsa, ['accept-types:text/plain', 'x']);
  assert.deepEqual(media.notes, ["dcsa '7 y' belongs to no dcmap"]);
});

test('3gpp-bdc-used-by counts only on lines with 100 or 110', () => {
  const remote = 'a=dcmap:100 subprotocol="http"';
  const usedBy = (line: string, dcmap = remote) => mediaOf(readSection({ dcmap, more: [line] })).bootstrapUsedBy;
  assert.equal(usedBy('a=3gpp-bdc-used-by:receiver'), 'receiver');
  assert.equal(usedBy('a=3gpp-bdc-used-by: SENDER'), 'sender');
  assert.equal(usedBy('a=3gpp-bdc-used-by:both'), undefined);
  assert.equal(usedBy('a=3gpp-bdc-used-by:sender', 'a=dcmap:0 subprotocol="http"'), undefined);
});

test('with ICE an address that is not known yet is fine, half credentials are no ICE', () => {
  const ice = ['a=ice-ufrag:abcd', 'a=ice-pwd:0123456789012345678901'];
  assert.equal(mediaOf(readSection({ connection: 'c=IN IP4 0.0.0.0', more: ice })).ice!.lite, false);
  assert.equal(mediaOf(readSection({ session: [...ice, 'a=ice-lite'] })).ice!.lite, true);
  assert.equal(mediaOf(readSection({ more: ice.slice(0, 1) })).ice, undefined);
});

test('what means to be a data channel is told from other application media', () => {
  const is = (m: string) => isDataChannelSection(parseSessionDescription(`v=0\nm=${m}\n`).media[0]!);
  assert.ok(is('application 1 UDP/DTLS/SCTP webrtc-datachannel'));
  assert.ok(is('application 0 TCP/DTLS/SCTP webrtc-datachannel'));
  assert.ok(is('application 1 DTLS/SCTP 5000'));
  assert.ok(!is('application 1 TCP/BFCP *'));
  assert.ok(!is('audio 1 RTP/AVP 0'));
});

test('a slot beyond the answer reads as refused', () => {
  const read = readDataChannelMedia(parseSessionDescription(fixture('e8-rejections')), 9, { as: 'answer' });
  assert.ok(isRejection(read));
  assert.equal(read.code, 'PORT_ZERO');
});
