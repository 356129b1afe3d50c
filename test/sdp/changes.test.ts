import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changedSlots, type LastExchange } from '../../src/sdp/changes.ts';
import { parseSessionDescription } from '../../src/sdp/parse.ts';
import { fixture } from './support.ts';

const parsed = (name: string) => parseSessionDescription(fixture(name));
const edited = (name: string, ...replacements: [string, string][]) =>
  parseSessionDescription(
    replacements.reduce((text, [from, to]) => {
      assert.ok(text.includes(from), from);
      return text.replaceAll(from, to);
    }, fixture(name)),
  );
/** UE-A offered E1 and got E4. */
const LAST: LastExchange = { own: parsed('e1-ue-offer'), other: parsed('e4-originating-as-answer') };

// conformance: R15 — only when a data channel line changed is the DCSF asked
test('a first offer changes every live line', () => {
  assert.deepEqual(changedSlots(undefined, parsed('e1-ue-offer')), ['other', 'dataChannel', 'dataChannel']);
});

test('E6 adds an application line and changes nothing else', () => {
  assert.deepEqual(changedSlots(LAST, parsed('e6-reinvite-p2p')), [
    'unchanged',
    'unchanged',
    'unchanged',
    'dataChannel',
  ]);
});

/** The DCSF is asked then. */
const changesDataChannels = (...args: Parameters<typeof changedSlots>) => changedSlots(...args).includes('dataChannel');
const ASKS_NOBODY: [string, [string, string][]][] = [
  ['the same again, with a new version', [['3001 1', '3001 2']]],
  ['hold', [['a=rtpmap:104', 'a=sendonly\r\na=rtpmap:104']]],
  ['another audio port', [['m=audio 40000', 'm=audio 40002']]],
  ['setup repeated as the current role', [['a=setup:actpass', 'a=setup:passive']]],
  [
    'refused streams left out',
    [
      ['a=dcmap:10 subprotocol="http"\r\n', ''],
      ['a=dcmap:110 subprotocol="http"\r\n', ''],
    ],
  ],
  ['another order of lines', [['b=AS:500\r\na=sctp-port:5000', 'a=sctp-port:5000\r\nb=AS:500']]],
];
for (const [name, replacements] of ASKS_NOBODY) {
  test(`asks nobody: ${name}`, () =>
    assert.equal(changesDataChannels(LAST, edited('e1-ue-offer', ...replacements)), false));
}

const ASKS: [string, [string, string][]][] = [
  ['another port', [['m=application 40010', 'm=application 40014']]],
  ['another address of the session', [['c=IN IP4 192.0.2.10', 'c=IN IP4 192.0.2.99']]],
  ['a new tls-id', [['a=tls-id:7Zse7ilv0qxu1AAgBboG', 'a=tls-id:XXse7ilv0qxu1AAgBboG']]],
  ['another fingerprint', [['43:E2', '43:E3']]],
  ['a new stream', [['a=dcmap:0 ', 'a=dcmap:1000 label="x"\r\na=dcmap:0 ']]],
  ['a stream that was accepted is left out', [['a=dcmap:0 subprotocol="http"\r\n', '']]],
  ['a line is closed', [['m=application 40010', 'm=application 0']]],
  ['used-by turned', [['used-by:sender', 'used-by:receiver']]],
];
for (const [name, replacements] of ASKS) {
  test(`asks the DCSF: ${name}`, () =>
    assert.equal(changesDataChannels(LAST, edited('e1-ue-offer', ...replacements)), true));
}

test('hold is a change of the audio line', () => {
  const hold = edited('e1-ue-offer', ['t=0 0', 't=0 0\r\na=inactive']);
  assert.deepEqual(changedSlots(LAST, hold), ['other', 'unchanged', 'unchanged']);
});

test('a line that is dead stays dead without asking, and asks when it comes back', () => {
  const last: LastExchange = { own: parsed('e1-ue-offer'), other: parsed('e8-rejections') };
  const dead = edited('e1-ue-offer', ['m=application 40010', 'm=application 0']);
  assert.equal(changedSlots(last, dead)[1], 'unchanged');
  assert.equal(changedSlots(last, parsed('e1-ue-offer'))[1], 'dataChannel');
  const closed: LastExchange = {
    own: dead,
    other: edited('e4-originating-as-answer', ['m=application 50100', 'm=application 0']),
  };
  assert.equal(changedSlots(closed, dead)[1], 'unchanged');
  const reused = edited('e1-ue-offer', [
    'm=application 40010 UDP/DTLS/SCTP webrtc-datachannel',
    'm=video 40010 RTP/AVP 99',
  ]);
  assert.equal(changedSlots(closed, reused)[1], 'other');
});

test('an offer with fewer m-lines closes the missing ones', () => {
  const [head = ''] = fixture('e1-ue-offer').split('m=application');
  assert.deepEqual(changedSlots(LAST, parseSessionDescription(head)), ['unchanged', 'dataChannel', 'dataChannel']);
});

// conformance: R8 — used-by is relative to the sender of the offer, answers echo it
test('the answerer of the last exchange offers: used-by turns without being a change', () => {
  const last: LastExchange = {
    own: parsed('e4-originating-as-answer'),
    other: parsed('e1-ue-offer'),
    ownWasAnswer: true,
  };
  const turned = edited('e4-originating-as-answer', ['used-by:sender', 'used-by:receiver']);
  assert.equal(changesDataChannels(last, turned), false);
  assert.equal(changesDataChannels(last, parsed('e4-originating-as-answer')), true);
});
