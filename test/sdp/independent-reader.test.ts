import assert from 'node:assert/strict';
import { test } from 'node:test';
import sdpTransform from 'sdp-transform';
import { parseSessionDescription } from '../../src/sdp/parse.ts';
import type { DataChannelStream } from '../../src/sdp/types.ts';
import { writeSessionDescription } from '../../src/sdp/write.ts';
import { dataChannelSection, withIceLite } from '../../src/sdp/write-data-channel.ts';
import { fixture, SHA256_A } from './support.ts';

const stream = (streamId: number, more: Partial<DataChannelStream> = {}): DataChannelStream => ({
  streamId,
  label: '',
  subprotocol: '',
  ordered: true,
  priority: 256,
  dcsa: [],
  ...more,
});

test('what we write is read by somebody else as we meant it', () => {
  const offer = parseSessionDescription(fixture('e1-ue-offer'));
  const section = dataChannelSection(
    {
      address: '2001:db8::5',
      port: 50100,
      sctpPort: 5002,
      maxMessageSizeBytes: 262144,
      setup: 'passive',
      fingerprint: { algorithm: 'SHA-256', value: SHA256_A },
      tlsId: 'abcdefghij0123456789',
      ice: { ufrag: 'q7Zk', pwd: '3pVb8nXw0rTfLs6yKd2MhQ' },
    },
    {
      streams: [
        stream(0, { subprotocol: 'http' }),
        stream(1000, { label: 'a"b', maxRetransmissions: 3, dcsa: ['x:1'] }),
      ],
      bandwidthKbps: 500,
      bootstrapUsedBy: 'receiver',
      applicationLines: ['7;1000-UE'],
      qosHint: 'loss=1',
      mid: 'dc1',
    },
  );
  const text = writeSessionDescription(withIceLite({ ...offer, media: [offer.media[0]!, section] }, [1]));
  const other = sdpTransform.parse(text);
  assert.equal(other.icelite, 'ice-lite');
  const media = other.media[1]!;
  assert.deepEqual(
    [media.type, media.port, media.protocol, media.payloads, media.connection],
    ['application', 50100, 'UDP/DTLS/SCTP', 'webrtc-datachannel', { version: 6, ip: '2001:db8::5' }],
  );
  assert.deepEqual(media.bandwidth, [{ type: 'AS', limit: 500 }]);
  assert.deepEqual(media.fingerprint, { type: 'SHA-256', hash: SHA256_A });
  assert.deepEqual(
    [media.sctpPort, media.maxMessageSize, media.setup, media.mid, media.iceUfrag, media.icePwd],
    [5002, 262144, 'passive', 'dc1', 'q7Zk', '3pVb8nXw0rTfLs6yKd2MhQ'],
  );
  assert.deepEqual(
    media.candidates?.map(({ ip, port, type, transport }) => [ip, port, type, transport]),
    [['2001:db8::5', 50100, 'host', 'UDP']],
  );
  assert.deepEqual(
    media.invalid?.map((line) => line.value),
    [
      'tls-id:abcdefghij0123456789',
      'dcmap:0 subprotocol="http"',
      'dcmap:1000 label="a%22b";max-retr=3',
      'dcsa:1000 x:1',
      '3gpp-bdc-used-by:receiver',
      '3gpp-req-app:7;1000-UE',
      '3gpp-qos-hint:loss=1',
    ],
  );
});

test('every example means the same to both readers', () => {
  for (const name of ['e1-ue-offer', 'e5-ice-lite-answer', 'e6-reinvite-p2p', 'e9-standalone']) {
    const ours = parseSessionDescription(fixture(name));
    const theirs = sdpTransform.parse(fixture(name));
    assert.deepEqual(
      ours.media.map((m) => [m.media, m.port, m.protocol, m.formats.join(' ')]),
      theirs.media.map((m) => [m.type, m.port, m.protocol, m.payloads]),
      name,
    );
  }
});
