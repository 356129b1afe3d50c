import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { applyPatch, clone, deepEqual } from '../../../src/mf/mrm/json-patch.ts';
import type { PatchItem } from '../../../src/services/nmf-mrm.ts';

const patch = (document: unknown, items: unknown[]) => applyPatch(clone(document), items as PatchItem[]);

describe('JSON Patch', () => {
  // conformance: RFC 6902 appendix A — the examples' rules, in our own words
  test('each operation does what the RFC says', () => {
    const cases: [document: unknown, items: unknown[], result: unknown][] = [
      [{ a: 1 }, [{ op: 'add', path: '/b', value: 2 }], { a: 1, b: 2 }],
      [{ a: 1 }, [{ op: 'add', path: '/a', value: 2 }], { a: 2 }],
      [{ a: [1, 3] }, [{ op: 'add', path: '/a/1', value: 2 }], { a: [1, 2, 3] }],
      [{ a: [1] }, [{ op: 'add', path: '/a/-', value: [2] }], { a: [1, [2]] }],
      [{ a: [1] }, [{ op: 'add', path: '/a/1', value: 2 }], { a: [1, 2] }],
      [{ a: 1 }, [{ op: 'add', path: '', value: [] }], []],
      [{ a: { b: 1 } }, [{ op: 'remove', path: '/a/b' }], { a: {} }],
      [[1, 2, 3], [{ op: 'remove', path: '/1' }], [1, 3]],
      [{ a: 1 }, [{ op: 'replace', path: '/a', value: null }], { a: null }],
      [{ a: { b: 1 }, c: {} }, [{ op: 'move', from: '/a/b', path: '/c/d' }], { a: {}, c: { d: 1 } }],
      [[1, 2, 3], [{ op: 'move', from: '/0', path: '/2' }], [2, 3, 1]],
      [{ a: 1 }, [{ op: 'move', from: '/a', path: '/a' }], { a: 1 }],
      [{ a: { b: 1 } }, [{ op: 'copy', from: '/a', path: '/c' }], { a: { b: 1 }, c: { b: 1 } }],
      [
        { 'a/b': 1, 'm~n': 2 },
        [
          { op: 'test', path: '/a~1b', value: 1 },
          { op: 'test', path: '/m~0n', value: 2 },
        ],
        { 'a/b': 1, 'm~n': 2 },
      ],
      [{ '': 1 }, [{ op: 'replace', path: '/', value: 2 }], { '': 2 }],
      [
        { a: { x: 1, y: [1, { z: null }] } },
        [{ op: 'test', path: '/a', value: { y: [1, { z: null }], x: 1 } }],
        { a: { x: 1, y: [1, { z: null }] } },
      ],
    ];
    for (const [document, items, result] of cases) {
      assert.deepEqual(patch(document, items), result, JSON.stringify(items));
    }
  });

  test('a path that leads nowhere and a failed test are conflicts; a wrong operation is invalid', () => {
    const document = { a: [1], b: { c: 1 }, s: 'text' };
    const conflicts: unknown[] = [
      { op: 'test', path: '/b/c', value: '1' },
      { op: 'test', path: '/b', value: {} },
      { op: 'test', path: '/a', value: { 0: 1 } },
      { op: 'remove', path: '/x' },
      { op: 'replace', path: '/b/x', value: 1 },
      { op: 'add', path: '/x/y', value: 1 },
      { op: 'add', path: '/a/2', value: 1 },
      { op: 'add', path: '/a/01', value: 1 },
      { op: 'remove', path: '/a/-' },
      { op: 'add', path: '/s/0', value: 1 },
      { op: 'copy', from: '/toString', path: '/x' },
      { op: 'test', path: '/a/length', value: 1 },
    ];
    for (const item of conflicts) {
      assert.throws(() => patch(document, [item]), { code: 'MF_PATCH_CONFLICT' }, JSON.stringify(item));
    }
    const invalid: unknown[] = [
      { op: 'add', path: '/x' },
      { op: 'add', path: 'x', value: 1 },
      { op: 'add', path: '/a~2', value: 1 },
      { op: 'move', path: '/x' },
      { op: 'move', from: '/b', path: '/b/c' },
      { op: 'remove', path: '' },
      { op: 'add', path: '/__proto__/x', value: 1 },
      { op: 'add', path: '/b/__proto__', value: { polluted: true } },
    ];
    for (const item of invalid) {
      assert.throws(() => patch(document, [item]), { code: 'MF_PATCH_INVALID' }, JSON.stringify(item));
    }
    assert.equal((Object.prototype as { polluted?: boolean }).polluted, undefined);
  });

  test('the error names the operation', () => {
    const items = [
      { op: 'test', path: '/a', value: 1 },
      { op: 'remove', path: '/gone' },
    ];
    assert.throws(
      () => patch({ a: 1 }, items),
      (error: { details: { invalidParams: unknown } }) => {
        assert.deepEqual(error.details.invalidParams, [{ param: '/1/path', reason: 'does not exist' }]);
        return true;
      },
    );
  });

  test('copies cannot blow the document up', () => {
    const items = Array.from({ length: 64 }, (_, i) => ({ op: 'copy', from: '', path: `/c${i}` }));
    assert.throws(() => patch({ a: [1, 2, 3] }, items), { code: 'MF_PATCH_INVALID' });
  });

  test('what was added is a copy: the request and two places never share an object', () => {
    const value = { n: 1 };
    const result = patch({}, [
      { op: 'add', path: '/a', value },
      { op: 'copy', from: '/a', path: '/b' },
      { op: 'replace', path: '/b/n', value: 2 },
    ]);
    assert.deepEqual(result, { a: { n: 1 }, b: { n: 2 } });
    assert.deepEqual(value, { n: 1 });
  });

  test('agrees with a naive reference on random documents and patches', () => {
    const json = fc.jsonValue({ maxDepth: 3 });
    const token = fc.oneof(
      fc.constantFrom('a', 'b', '0', '1', '2', '-', '', 'c/d', 'e~f', '01'),
      fc.string({ maxLength: 2 }),
    );
    const pointer = fc
      .array(
        token.filter((t) => t !== '__proto__'),
        { maxLength: 3 },
      )
      .map((tokens) => tokens.map((t) => `/${t.replaceAll('~', '~0').replaceAll('/', '~1')}`).join(''));
    const item = fc.record({
      op: fc.constantFrom('add', 'replace', 'remove', 'test', 'move', 'copy'),
      path: pointer,
      from: pointer,
      value: json,
    });
    const document = fc.oneof(
      json,
      fc.record({ a: json, b: fc.array(json, { maxLength: 3 }), 'c/d': json, 'e~f': fc.dictionary(token, json) }),
    );
    fc.assert(
      fc.property(document, fc.array(item, { maxLength: 4 }), (start, items) => {
        // The parser refuses such members before a patch sees them.
        fc.pre(!JSON.stringify([start, items]).includes('__proto__'));
        const plain = JSON.parse(JSON.stringify(start));
        let expected: unknown;
        try {
          expected = reference(plain, items);
        } catch {
          assert.throws(() => patch(plain, items));
          return;
        }
        assert.ok(deepEqual(patch(plain, items), expected));
      }),
      { numRuns: 2_000 },
    );
  });
});

interface Item {
  op: string;
  path: string;
  from: string;
  value: unknown;
}

/** RFC 6902 by rebuilding the whole document at each step: slow and obvious. */
function reference(document: unknown, items: Item[]): unknown {
  return items.reduce<unknown>((doc, item) => {
    const path = tokens(item.path);
    const from = tokens(item.from);
    switch (item.op) {
      case 'add':
        return put(doc, path, item.value, true);
      case 'replace':
        get(doc, path);
        return put(doc, path, item.value, false);
      case 'remove':
        return drop(doc, path);
      case 'test':
        assert.deepEqual(get(doc, path), item.value);
        return doc;
      case 'move': {
        const value = get(doc, from);
        if (item.from === item.path) return doc;
        if (`${item.path}/`.startsWith(`${item.from}/`)) throw new Error('into itself');
        return put(drop(doc, from), path, value, true);
      }
      default:
        return put(doc, path, get(doc, from), true);
    }
  }, document);
}

const tokens = (pointer: string) =>
  pointer
    .split('/')
    .slice(1)
    .map((t) => t.replaceAll('~1', '/').replaceAll('~0', '~'));

function index(array: unknown[], token: string, limit: number): number {
  if (String(Number(token)) !== token || Number(token) < 0 || Number(token) >= limit) throw new Error('index');
  if (array.length + 1 < limit) throw new Error('limit');
  return Number(token);
}

function get(doc: unknown, [head, ...rest]: string[]): unknown {
  if (head === undefined) return doc;
  if (Array.isArray(doc)) return get(doc[index(doc, head, doc.length)], rest);
  if (typeof doc !== 'object' || doc === null || !Object.hasOwn(doc, head)) throw new Error('missing');
  return get((doc as Record<string, unknown>)[head], rest);
}

function put(doc: unknown, [head, ...rest]: string[], value: unknown, insert: boolean): unknown {
  if (head === undefined) return value;
  if (Array.isArray(doc)) {
    if (rest.length > 0) return doc.with(index(doc, head, doc.length), put(get(doc, [head]), rest, value, insert));
    if (!insert) return doc.with(index(doc, head, doc.length), value);
    const at = head === '-' ? doc.length : index(doc, head, doc.length + 1);
    return [...doc.slice(0, at), value, ...doc.slice(at)];
  }
  if (typeof doc !== 'object' || doc === null) throw new Error('plain');
  return { ...doc, [head]: rest.length === 0 ? value : put(get(doc, [head]), rest, value, insert) };
}

function drop(doc: unknown, path: string[]): unknown {
  const parent = path.slice(0, -1);
  const head = path.at(-1);
  if (head === undefined) throw new Error('root');
  get(doc, path);
  const container = get(doc, parent);
  const without = Array.isArray(container)
    ? container.filter((_, i) => i !== Number(head))
    : Object.fromEntries(Object.entries(container as object).filter(([key]) => key !== head));
  return put(doc, parent, without, false);
}
