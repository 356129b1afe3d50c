import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  answerSetup,
  defaultSetup,
  offererRole,
  offerSetup,
  preferredRole,
  type SetupValue,
} from '../../src/dtls/role.ts';

// conformance: RFC 4145 4.1 — which answers fit which offers
test('every pair of offered and answered setup', () => {
  const values: SetupValue[] = ['active', 'passive', 'actpass', 'holdconn'];
  const table = values.map((offered) => values.map((answered) => offererRole(offered, answered)));
  assert.deepEqual(table, [
    // answered: active, passive, actpass, holdconn
    [undefined, 'active', 'active', undefined], // offered active
    ['passive', undefined, undefined, undefined], // offered passive
    ['passive', 'active', 'active', undefined], // offered actpass
    [undefined, undefined, undefined, undefined], // offered holdconn
  ]);
});

// conformance: RFC 5763 5 — the answerer chooses; RFC 8842 5.3 — a running association keeps its roles
test('the answer to every offer', () => {
  const answers = (choice: Parameters<typeof answerSetup>[1]) =>
    (['active', 'passive', 'actpass', 'holdconn'] as const).map((offered) => answerSetup(offered, choice));
  assert.deepEqual(answers({ preferred: 'active' }), ['passive', 'active', 'active', undefined]);
  assert.deepEqual(answers({ preferred: 'passive' }), ['passive', 'active', 'passive', undefined]);
  assert.deepEqual(answers({ preferred: 'active', current: 'passive' }), ['passive', 'active', 'passive', undefined]);
  assert.deepEqual(answers({ preferred: 'passive', current: 'active' }), ['passive', 'active', 'active', undefined]);
});

test('both sides come to opposite roles, whoever answers', () => {
  for (const offered of ['active', 'passive', 'actpass'] as const) {
    for (const preferred of ['active', 'passive'] as const) {
      const answered = answerSetup(offered, { preferred })!;
      assert.equal(offererRole(offered, answered), answered === 'active' ? 'passive' : 'active');
    }
  }
});

test('our choice: active to UEs without ICE, passive to those with, both configurable', () => {
  assert.equal(preferredRole(false), 'active');
  assert.equal(preferredRole(true), 'passive');
  assert.equal(preferredRole(false, { withoutIce: 'passive' }), 'passive');
  assert.equal(preferredRole(true, { withIce: 'active' }), 'active');
});

// conformance: R19 — our re-offers repeat the current role
test('offers leave the choice to the peer, re-offers repeat the role', () => {
  assert.deepEqual([offerSetup(), offerSetup('active'), offerSetup('passive')], ['actpass', 'active', 'passive']);
  assert.deepEqual([defaultSetup('offer'), defaultSetup('answer')], ['active', 'passive']);
});
