import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AsHarness } from '../../ims-as/as-harness.ts';
import { ANSWER_AUDIO, ANSWER_SESSION, AUDIO_ONLY } from '../../ims-as/sdp-examples.ts';

const ANSWER = ANSWER_SESSION + ANSWER_AUDIO;

/** Of a call to many handsets we show the caller sixteen; when another one answered, nobody heard of it and the call rang on. */
test('a handset beyond the sixteen that rang may answer', () => {
  const as = new AsHarness();
  as.invite({ sdp: AUDIO_ONLY });
  const onward = as.only().message;
  for (let n = 0; n < 20; n++) as.respond(onward, 180, { tag: `bob${n}` });
  assert.equal(as.take().length, 16);
  as.respond(onward, 200, { tag: 'bob19', sdp: ANSWER });
  const ok = as.only().message;
  assert.equal(ok.status, 200);
  as.inDialog('ACK', 'caller', ok, 7);
  assert.equal(as.only().message.toTag, 'bob19');
  // The others are ended as ever.
  as.respond(onward, 200, { tag: 'bob18', sdp: ANSWER });
  assert.deepEqual(
    as.take().map(({ message }) => `${message.method} ${message.toTag}`),
    ['ACK bob18', 'BYE bob18'],
  );
});

test('answers of handsets that never were do not pile up', () => {
  const as = new AsHarness();
  as.invite({ sdp: AUDIO_ONLY });
  const onward = as.only().message;
  as.respond(onward, 200, { sdp: ANSWER });
  as.inDialog('ACK', 'caller', as.only().message, 7);
  for (let n = 0; n < 100; n++) as.respond(onward, 200, { tag: `ghost${n}`, sdp: ANSWER });
  assert.ok([...as.dispatcher.calls()][0]!.forks.length <= 32);
});
