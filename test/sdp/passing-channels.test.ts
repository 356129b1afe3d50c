import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSessionDescription } from '../../src/sdp/parse.ts';
import { withoutUnoffered, withoutUnusable } from '../../src/sdp/passing-channels.ts';
import type { MediaSection } from '../../src/sdp/types.ts';
import { type SectionParts, sectionText } from './support.ts';

const sectionOf = (parts: SectionParts): MediaSection => parseSessionDescription(sectionText(parts)).media[0]!;
const all = () => true;
const GOOD = 'a=dcmap:1000 label="draw"';
const BINDING = 'a=3gpp-req-app:7;adc-stream-id-endpoint=1000-UE,1002-UE';

// conformance: ue-side 9, R14 — on a line that passes, channels that cannot be used do not go on
test('an offer that passes loses what cannot be used, its settings and bindings, and nothing else', () => {
  const clean = sectionOf({ more: ['a=dcmap:1002', BINDING, 'a=x-other:1', 'a=dcsa:9 of nobody'] });
  assert.equal(withoutUnusable(clean), clean, 'the same object: not a byte differs');
  for (const bad of ['a=dcmap:1002 max-retr=1;max-time=1', 'a=dcmap:1002 label=x', 'a=dcmap:1002 priority=x']) {
    const lines = withoutUnusable(sectionOf({ more: [bad, 'a=dcsa:1002 x', BINDING, 'a=x-other:1'] })).lines;
    assert.deepEqual(lines.slice(-3), [GOOD, 'a=3gpp-req-app:7;adc-stream-id-endpoint=1000-UE', 'a=x-other:1'], bad);
  }
  const twice = withoutUnusable(
    sectionOf({ more: ['a=dcmap:1002', 'a=dcmap:1002 label="y"', 'a=dcmap:', 'a=dcmap:x'] }),
  );
  assert.deepEqual(
    twice.lines.filter((line) => line.includes('dcmap')),
    [GOOD],
  );
});

// conformance: ue-side 9 — on a line that passes, an answer opens nothing that was not offered
test('an answer that passes has only what was offered and let on, and its binding whole', () => {
  const offered = sectionOf({ more: ['a=dcmap:1002', BINDING] });
  const answer = sectionOf({ more: ['a=dcmap:1002 ordered=false', BINDING] });
  assert.equal(withoutUnoffered(answer, offered, all), answer, 'what the channels are like is between the peers');
  assert.deepEqual(withoutUnoffered(answer, offered, (id) => id !== 1002)?.lines.slice(-2), [GOOD, BINDING]);
  const more = sectionOf({ more: ['a=dcmap:1004', 'a=dcsa:1004 x', 'a=dcmap:', BINDING] });
  assert.deepEqual(withoutUnoffered(more, offered, all)?.lines.slice(-2), [GOOD, BINDING]);
  assert.equal(withoutUnoffered(sectionOf({ dcmap: 'a=dcmap:1004' }), offered, all), undefined);
});
