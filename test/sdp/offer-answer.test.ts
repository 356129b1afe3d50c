import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ImsdcError } from '../../src/errors.ts';
import * as oa from '../../src/sdp/offer-answer.ts';

const refused = (act: () => unknown, code: string) =>
  assert.throws(act, (error) => error instanceof ImsdcError && error.code === code);

const STATES: Record<oa.OfferAnswer['state'], oa.OfferAnswer> = {
  stable: oa.NEW_OFFER_ANSWER,
  offerSent: oa.offerSent(oa.NEW_OFFER_ANSWER, 'offer'),
  offerReceived: oa.offerReceived(oa.NEW_OFFER_ANSWER, 'offer'),
};
const EVENTS = {
  offerSent: oa.offerSent,
  offerReceived: oa.offerReceived,
  answerSent: oa.answerSent,
  answerReceived: oa.answerReceived,
};
/** Next state, or the error. */
const TABLE: Record<keyof typeof EVENTS, Record<keyof typeof STATES, string>> = {
  offerSent: { stable: 'offerSent', offerSent: 'SDP_OFFER_PENDING', offerReceived: 'SDP_OFFER_PENDING' },
  offerReceived: { stable: 'offerReceived', offerSent: 'SDP_OFFER_PENDING', offerReceived: 'SDP_OFFER_PENDING' },
  answerSent: { stable: 'SDP_NO_OFFER', offerSent: 'SDP_NO_OFFER', offerReceived: 'stable' },
  answerReceived: { stable: 'SDP_NO_OFFER', offerSent: 'stable', offerReceived: 'SDP_NO_OFFER' },
};
for (const [event, row] of Object.entries(TABLE) as [keyof typeof EVENTS, (typeof TABLE)['offerSent']][]) {
  for (const [state, outcome] of Object.entries(row) as [keyof typeof STATES, string][]) {
    // conformance: RFC 6337 2.2 — one offer/answer exchange at a time
    test(`${event} when ${state}: ${outcome}`, () => {
      const act = () => EVENTS[event](STATES[state], 'next');
      if (outcome.startsWith('SDP_')) refused(act, outcome);
      else assert.equal(act().state, outcome);
    });
  }
}

test('what was agreed is kept by side, through a failed offer too', () => {
  const first = oa.answerSent(oa.offerReceived(oa.NEW_OFFER_ANSWER, 'their offer'), 'our answer');
  assert.deepEqual(first, {
    state: 'stable',
    agreed: { local: 'our answer', remote: 'their offer', offerer: 'remote' },
  });
  const pending = oa.offerSent(first, 'our offer');
  assert.deepEqual(oa.offerFailed(pending), first);
  assert.deepEqual(oa.answerReceived(pending, 'their answer').agreed, {
    local: 'our offer',
    remote: 'their answer',
    offerer: 'local',
  });
  assert.deepEqual(oa.offerFailed(STATES.offerSent), oa.NEW_OFFER_ANSWER);
  assert.deepEqual(structuredClone(pending), JSON.parse(JSON.stringify(pending)), 'plain data');
});
