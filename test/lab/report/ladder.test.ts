import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderHtml } from '../../../src/lab/report/html.ts';
import { renderLadder } from '../../../src/lab/report/ladder.ts';
import { type TraceEvent, TraceRecorder } from '../../../src/lab/report/trace.ts';
import { mediaSummary, summarise } from '../../../src/lab/sip-trace.ts';

const EVENTS: readonly TraceEvent[] = [
  { kind: 'step', atMs: 0, text: 'a call' },
  {
    kind: 'arrow',
    atMs: 12,
    from: 'Alice',
    to: 'Bob',
    label: 'INVITE',
    summary: 'audio',
    detail: 'INVITE </script>',
    protocol: 'sip',
  },
  { kind: 'arrow', atMs: 13, from: 'Bob', to: 'Alice', label: '100 Trying', protocol: 'sip', minor: true },
  { kind: 'note', atMs: 20, lanes: ['Alice', 'Bob'], text: 'DTLS up' },
];

test('a terminal sees one row per message, without the minor ones', () => {
  assert.equal(
    renderLadder(['Alice', 'Bob'], EVENTS, 0),
    [
      '                 Alice                  Bob',
      '                    │                     │',
      `   0.000 ── a call ${'─'.repeat(34)}`,
      '   0.012            │── INVITE · audio ──>│',
      '   0.020            │══════ DTLS up ══════│',
    ].join('\n'),
  );
});

test('the page holds every message, and none can end its script', () => {
  const page = renderHtml('<call>', ['Alice', 'Bob'], EVENTS);
  assert.match(page, /<title>&lt;call&gt;<\/title>/);
  assert.equal(page.match(/<\/script>/g)?.length, 1);
  assert.ok(page.includes('INVITE \\u003c/script>'));
});

test('a message is said in one line: what it is and what its SDP offers', () => {
  const sdp = [
    'v=0',
    'o=- 1 1 IN IP4 127.0.0.1',
    's=-',
    'c=IN IP4 127.0.0.1',
    't=0 0',
    'm=audio 4000 RTP/AVP 0',
    'm=application 4002 UDP/DTLS/SCTP webrtc-datachannel',
    'a=sctp-port:5000',
    'a=setup:actpass',
    `a=fingerprint:SHA-256 ${Array(32).fill('AA').join(':')}`,
    'a=dcmap:100 subprotocol="http"',
    'a=3gpp-bdc-used-by:sender',
    'm=application 0 UDP/DTLS/SCTP webrtc-datachannel',
    '',
  ].join('\r\n');
  assert.equal(mediaSummary(sdp), 'audio, 100 sender, (refused)');
  const head = [
    'Via: SIP/2.0/UDP h;branch=z9hG4bK1',
    'From: <sip:a@b>;tag=1',
    'To: <sip:c@d>;tag=2',
    'Call-ID: x',
    'CSeq: 2 INVITE',
  ];
  const reinvite = `INVITE sip:c@d SIP/2.0\r\n${head.join('\r\n')}\r\nContent-Length: ${sdp.length}\r\n\r\n${sdp}`;
  assert.deepEqual(summarise(reinvite), { label: 're-INVITE', summary: 'audio, 100 sender, (refused)', minor: false });
  assert.equal(summarise(`SIP/2.0 100 Trying\r\n${head.join('\r\n')}\r\n\r\n`).minor, true);
});

test('a recorder that is full counts what it drops', () => {
  const recorder = new TraceRecorder(1000);
  assert.equal(recorder.since(1500), 500);
  for (let i = 0; i < 2005; i++) recorder.add({ kind: 'step', atMs: 2005 - i, text: '' });
  assert.deepEqual([recorder.events.length, recorder.dropped], [2000, 5]);
  assert.equal(recorder.sorted()[0]?.atMs, 6);
});
