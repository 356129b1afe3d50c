import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ImsdcError } from '../../../src/errors.ts';
import { patched } from '../../../src/mf/mrm/patched.ts';
import type { MediaContext } from '../../../src/services/nmf-mrm.ts';

/** Members that the MF does not know are kept, so a consumer could make one context as long as it liked, patch by patch. */
const CONTEXT: MediaContext = {
  terminations: [{ terminationId: 'served', medias: [{ mediaId: 'm1', mediaResourceType: 'DC' }] }],
};
const PART = 'x'.repeat(16_000);

/** How many patches of that kind one context takes. */
function taken(path: (n: number) => string, value: unknown): number {
  let document = CONTEXT;
  for (let n = 0; n < 100; n++) {
    try {
      ({ document } = patched(document, new Map(), [{ op: 'add', path: path(n), value }]));
    } catch (error) {
      assert.ok(error instanceof ImsdcError);
      assert.equal(error.code, 'MF_PATCH_INVALID');
      return n;
    }
  }
  return 100;
}

test('a context is not made longer and longer by patches', () => {
  assert.equal(
    taken((n) => `/member${n}`, PART),
    8,
  );
  assert.equal(
    taken((n) => `/terminations/0/medias/0/member${n}`, { [PART]: [1, null] }),
    8,
  );
  assert.equal(
    taken(
      (n) => `/member${n}`,
      Array.from({ length: 3_000 }, () => ({})),
    ),
    5,
  );
});

test('the same member again and again is no growth', () => {
  assert.equal(
    taken(() => '/member', PART),
    100,
  );
});
