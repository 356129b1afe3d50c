import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { request } from '../support.ts';
import { answerShape, damaged, damages, requestText } from './grammar.ts';
import { Pipeline } from './pipeline.ts';

/** More by hand: `FUZZ_RUNS=100000 node --test test/sip/fuzz/fuzz.test.ts`. */
const RUNS = Number(process.env.FUZZ_RUNS ?? 200);

const SDP = 'v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n';
const INVITE = request({
  uri: 'sip:bob@192.0.2.1',
  via: 'SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKgood;rport;oc',
  callId: 'good',
  headers:
    'Contact: <sip:a@192.0.2.1>;+sip.app-subtype="webrtc-datachannel"\r\nRoute: <sip:192.0.2.100;lr;orig>\r\nSupported: 100rel, timer\r\n',
  body: SDP,
});

type Step =
  | { do: 'request'; text: string }
  | { do: 'invite' }
  | { do: 'answer'; shape: Parameters<Pipeline['answer']>[0] }
  | { do: 'pass'; ms: number };
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: requestText.map((text) => ({ do: 'request' as const, text })) },
  { weight: 2, arbitrary: fc.constant({ do: 'invite' as const }) },
  { weight: 3, arbitrary: answerShape.map((shape) => ({ do: 'answer' as const, shape })) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 40_000 }).map((ms) => ({ do: 'pass' as const, ms })) },
);

function take(pipeline: Pipeline, one: Step): void {
  if (one.do === 'request') pipeline.receive(one.text);
  else if (one.do === 'invite') pipeline.receive(INVITE);
  else if (one.do === 'answer') pipeline.answer(one.shape);
  else pipeline.pass(one.ms);
}

/** Whatever came, time ends every transaction and, when nobody answers, every call. */
function endOf(pipeline: Pipeline): void {
  pipeline.dispatcher.release();
  pipeline.pass(400_000);
  assert.deepEqual(pipeline.layer.size, { clients: 0, servers: 0 });
  assert.equal(pipeline.dispatcher.size, 0);
  pipeline.dispatcher.close();
}

test('messages near the grammar, in any order, never throw and leave nothing', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
      const pipeline = new Pipeline();
      for (const one of steps) take(pipeline, one);
      endOf(pipeline);
    }),
    { numRuns: RUNS },
  );
});

test('the generator reaches calls, not only refusals', () => {
  let calls = 0;
  let accepted = 0;
  let answers = 0;
  for (const steps of fc.sample(fc.array(step, { minLength: 1, maxLength: 12 }), { numRuns: 100, seed: 7 })) {
    const pipeline = new Pipeline();
    for (const one of steps) {
      if (one.do === 'request' && pipeline.receive(one.text)) accepted++;
      else if (one.do !== 'request') take(pipeline, one);
    }
    calls += pipeline.dispatcher.counts.calls;
    answers += pipeline.answers;
    pipeline.dispatcher.close();
  }
  assert.ok(
    calls >= 60 && accepted >= 40 && answers >= 200,
    `${calls} calls, ${accepted} accepted, ${answers} answers`,
  );
});

test('a good call with damaged messages', () => {
  fc.assert(
    fc.property(damages, damages, answerShape, (first, second, shape) => {
      const pipeline = new Pipeline();
      pipeline.receive(damaged(INVITE, first));
      pipeline.receive(INVITE);
      pipeline.answer(shape);
      if (pipeline.asked[0] !== undefined) pipeline.receive(damaged(pipeline.asked[0], second));
      endOf(pipeline);
    }),
    { numRuns: RUNS },
  );
});

const DIRECTORY = join(import.meta.dirname, '../../../../shared/sip-torture/rfc4475');
const torture = existsSync(DIRECTORY) ? readdirSync(DIRECTORY).filter((name) => name.endsWith('.dat')) : [];

// conformance: RFC 4475 — the torture messages and what is near them pass through transactions and the AS
test('the torture messages, whole and damaged', {
  skip: torture.length === 0 && 'torture messages are not here',
}, () => {
  const messages = torture.map((name) => readFileSync(join(DIRECTORY, name), 'latin1'));
  const pipeline = new Pipeline();
  for (const message of messages) pipeline.receive(message);
  endOf(pipeline);
  fc.assert(
    fc.property(fc.constantFrom(...messages), damages, (message, all) => {
      const hit = new Pipeline();
      hit.receive(damaged(message, all));
      endOf(hit);
    }),
    { numRuns: RUNS * 2 },
  );
});
