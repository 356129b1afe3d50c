import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseContext } from '../../../src/lab/scscf/response-context.ts';
import type { ParsedMessage } from '../../../src/sip/message/index.ts';
import type { ClientKey } from '../../../src/sip/types.ts';

const [A, B] = ['a', 'b'] as unknown as [ClientKey, ClientKey];

function context(): { it: ResponseContext; seen: string[] } {
  const seen: string[] = [];
  const it = new ResponseContext({
    forward: ({ status }) => seen.push(`forward ${status}`),
    answer: (status) => seen.push(`answer ${status}`),
    cancel: (branch) => seen.push(`cancel ${branch}`),
    finished: () => seen.push('finished'),
  });
  it.addBranch(A);
  it.addBranch(B);
  it.seal();
  return { it, seen };
}

const response = (status: number) => ({ status, reason: 'x' }) as ParsedMessage;

// conformance: RFC 3261 16.7 — provisional and 2xx at once, otherwise the best final response of all branches
test('a 2xx passes at once and cancels the rest; a later 2xx passes too', () => {
  const { it, seen } = context();
  it.response(A, response(100));
  it.response(A, response(180));
  it.response(B, response(200));
  it.response(A, response(200));
  assert.deepEqual(seen, ['forward 180', 'forward 200', 'cancel a', 'forward 200', 'finished']);
});

test('the best final response wins once all have come', () => {
  const { it, seen } = context();
  it.response(A, response(503));
  it.response(B, response(486));
  assert.deepEqual(seen, ['forward 486', 'finished']);
});

test('a 6xx ends the search and beats everything', () => {
  const { it, seen } = context();
  it.response(A, response(603));
  it.response(B, response(487));
  assert.deepEqual(seen, ['cancel b', 'forward 603', 'finished']);
});

test('no answer is 408; an unreachable next hop is not passed on as our own overload', () => {
  const first = context();
  first.it.failed(A, 'timeout');
  first.it.failed(B, 'transport');
  assert.deepEqual(first.seen, ['answer 408', 'finished']);
  const second = context();
  second.it.failed(A, 'transport');
  second.it.failed(B, 'transport');
  assert.deepEqual(second.seen, ['answer 500', 'finished']);
});

// conformance: RFC 3261 16.10 — CANCEL goes to every branch that is still pending
test('a CANCEL reaches each pending branch once', () => {
  const { it, seen } = context();
  it.response(A, response(486));
  it.cancel();
  it.cancel();
  it.response(B, response(487));
  assert.deepEqual(seen, ['cancel b', 'forward 486', 'finished']);
});
