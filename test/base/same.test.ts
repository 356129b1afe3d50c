import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { sameData } from '../../src/base/same.ts';

describe('sameData', () => {
  test('agrees with what JSON says', () => {
    const sorted = (value: unknown): string =>
      JSON.stringify(value, (_, member: unknown) =>
        typeof member === 'object' && member !== null && !Array.isArray(member)
          ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
          : member,
      );
    // Few names and values, so that equal pairs occur.
    const { data } = fc.letrec((tie) => ({
      data: fc.oneof({ depthSize: 'small' }, fc.constantFrom(0, 1, '', 'a', null, true), tie('list'), tie('object')),
      list: fc.array(tie('data'), { maxLength: 2 }),
      object: fc.dictionary(fc.constantFrom('a', 'b'), tie('data'), { maxKeys: 2, noNullPrototype: true }),
    }));
    fc.assert(
      fc.property(data, data, (a, b) => {
        assert.equal(sameData(a, b), sorted(a) === sorted(b));
        assert.ok(sameData(a, structuredClone(a)));
      }),
      { numRuns: 2000 },
    );
  });

  test('a member that is undefined is none', () => {
    assert.ok(sameData({ a: 1, b: undefined }, { a: 1 }));
    assert.ok(sameData({ a: 1 }, { a: 1, b: undefined }));
    assert.ok(!sameData({ a: undefined }, { a: null }));
    assert.ok(!sameData({ a: 1 }, { a: 1, b: 2 }));
  });

  test('a list is no object', () => {
    assert.ok(!sameData([], {}));
    assert.ok(!sameData({ 0: 1, length: 1 }, [1]));
  });
});
