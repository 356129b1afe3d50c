import assert from 'node:assert/strict';
import { test } from 'node:test';
import { areUp, type Status } from '../../sipp/core.ts';

const UP: Status = {
  imsAs: { calls: 20, answeredCalls: 20, contexts: 20 },
  state: { pending: 0, behind: 0, failed: false },
};
const imsAs = (change: Partial<Status['imsAs']>): Status => ({ ...UP, imsAs: { ...UP.imsAs, ...change } });
const state = (change: Partial<Status['state']>): Status => ({ ...UP, state: { ...UP.state, ...change } });

test('an accident waits until every call is answered and on the disk', () => {
  assert.ok(areUp(UP, 20));
  assert.ok(areUp(imsAs({ calls: 21, answeredCalls: 20 }), 20));
});

test('an accident does not happen to a call that rings, though its record is on the disk', () => {
  assert.equal(areUp(imsAs({ answeredCalls: 19 }), 20), false);
});

test('nor to one that was answered a moment ago, whose record is that of the ringing call', () => {
  assert.equal(areUp(state({ behind: 1 }), 20), false);
  assert.equal(areUp(state({ pending: 1 }), 20), false);
  assert.equal(areUp(state({ failed: true }), 20), false);
});
