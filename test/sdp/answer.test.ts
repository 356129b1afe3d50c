import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countProblem, matchAnswer } from '../../src/sdp/answer.ts';
import { readDataChannelMedia } from '../../src/sdp/data-channel.ts';
import { parseSessionDescription } from '../../src/sdp/parse.ts';
import { fixture, mediaOf, readSection } from './support.ts';

const parsed = (name: string) => parseSessionDescription(fixture(name));

// conformance: 26.114 6.2.10.3 — only what was offered can be answered
test('an answer is matched with its offer, stream by stream', () => {
  const offered = mediaOf(readDataChannelMedia(parsed('e6-reinvite-p2p'), 3, { as: 'offer' }));
  const answer = (dcmaps: string[], tlsId: string | null = 'a=tls-id:abcdefghij0123456789') =>
    mediaOf(readSection({ setup: 'a=setup:active', dcmap: null, more: dcmaps, tlsId }, 'answer'));
  const position = 'a=dcmap:1002 ordered=false;max-time=150';

  const fine = matchAnswer(offered, answer(['a=dcmap:1000 label="other label"', position]));
  assert.deepEqual([fine.streams.length, fine.notes, fine.tlsId], [2, [], 'abcdefghij0123456789']);
  for (const bad of ['a=dcmap:1002 ordered=false;max-time=151', 'a=dcmap:1002 max-time=150', 'a=dcmap:1004']) {
    const matched = matchAnswer(offered, answer(['a=dcmap:1000', bad]));
    assert.deepEqual(
      matched.streams.map((s) => s.streamId),
      [1000],
      bad,
    );
    assert.equal(matched.notes.length, 1);
  }
  const unasked = matchAnswer({ streams: offered.streams }, answer([position]));
  assert.equal(unasked.tlsId, undefined);
  assert.deepEqual(unasked.notes, ['tls-id answered but not offered; ignored']);
});

test('an answer with another number of m-lines is told', () => {
  assert.equal(countProblem(parsed('e1-ue-offer'), parsed('e4-originating-as-answer')), undefined);
  assert.equal(
    countProblem(parsed('e6-reinvite-p2p'), parsed('e4-originating-as-answer')),
    'answer has 3 m-lines for 4 offered',
  );
});
