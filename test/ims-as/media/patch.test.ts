import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { diffContexts, layoutOf } from '../../../src/ims-as/media/patch.ts';
import type { MediaContext, PatchItem } from '../../../src/services/nmf-mrm.ts';

/** RFC 6902, as far as our patches go. */
function apply(context: MediaContext, patch: readonly PatchItem[]): MediaContext {
  const document = structuredClone(context);
  for (const { op, path, value } of patch) {
    const parts = path.split('/').slice(1);
    const last = parts.pop()!;
    let parent: unknown = document;
    for (const part of parts) parent = (parent as Record<string, unknown>)[part];
    assert.ok(parent, `${op} ${path}: no parent`);
    const target = parent as Record<string, unknown> & unknown[];
    if (op === 'test') assert.deepEqual(target[last as never], value, `${path}`);
    else if (Array.isArray(parent)) {
      if (op === 'add') target.push(structuredClone(value));
      else assert.equal(target.splice(Number(last), 1).length, 1, path);
    } else if (op === 'remove') {
      assert.ok(last in target, path);
      delete target[last as never];
    } else target[last as never] = structuredClone(value) as never;
  }
  return document;
}

const byId = (context: MediaContext) =>
  Object.fromEntries(
    context.terminations.map((t) => [t.terminationId, Object.fromEntries(t.medias.map((m) => [m.mediaId, m]))]),
  );

const mediaInfo = (mediaId: string) =>
  fc.record(
    {
      mediaId: fc.constant(mediaId),
      mediaResourceType: fc.constant('DC'),
      remoteMbEndpoint: fc.record({
        ip: fc.constant({ ipv4Addr: '192.0.2.1' }),
        portNumber: fc.integer({ min: 1, max: 4 }),
      }),
      dcMedia: fc.record(
        { streams: fc.constantFrom({}, { '0': { streamId: 0 } }), mdc2Protocol: fc.constantFrom('TCP', 'UDP') },
        { requiredKeys: ['streams'] },
      ),
    },
    { requiredKeys: ['mediaId', 'mediaResourceType', 'dcMedia'] },
  );
const termination = (terminationId: string) =>
  fc
    .subarray(['m1', 'm2', 'm3', 'd-1'], { minLength: 1 })
    .chain((ids) => fc.tuple(...ids.map(mediaInfo)))
    .map((medias) => ({ terminationId, medias }));
const context: fc.Arbitrary<MediaContext> = fc
  .subarray(['served', 'remote', 'remote-2'], { minLength: 1 })
  .chain((ids) => fc.tuple(...ids.map(termination)))
  .map((terminations) => JSON.parse(JSON.stringify({ terminations })) as MediaContext);

// conformance: RFC 6902, network-side 3.3 — the patch leads from what the MF was told to what it should hold
test('a patch leads from any context to any other, and so does the next one', () => {
  fc.assert(
    fc.property(context, context, context, (first, second, third) => {
      const one = diffContexts(first, second, first.terminations.map(layoutOf));
      const patched = apply(first, one.patch);
      assert.deepEqual(byId(patched), byId(second));
      assert.deepEqual(
        one.layout.map((t) => [t.ours, t.medias]),
        patched.terminations.map((t) => [t.terminationId, t.medias.map((m) => m.mediaId)]),
      );
      const two = diffContexts(second, third, one.layout);
      assert.deepEqual(byId(apply(patched, two.patch)), byId(third));
    }),
    { numRuns: 2000 },
  );
});

test('nothing to change makes no patch', () => {
  fc.assert(
    fc.property(context, (same) => {
      assert.deepEqual(diffContexts(same, structuredClone(same), same.terminations.map(layoutOf)).patch, []);
    }),
  );
});

test('every write is guarded by a test of the id that it means', () => {
  fc.assert(
    fc.property(context, context, (told, desired) => {
      const { patch } = diffContexts(told, desired, told.terminations.map(layoutOf));
      const guarded = new Set(
        patch.filter(({ op }) => op === 'test').map(({ path }) => path.replace(/\/(terminationId|mediaId)$/, '')),
      );
      for (const { op, path } of patch) {
        if (op === 'test' || path === '/terminations/-') continue;
        assert.ok(
          [...guarded].some((place) => path.startsWith(place)),
          path,
        );
      }
    }),
  );
});

test('an MF that renames terminations is tested by its own names', () => {
  const told: MediaContext = {
    terminations: [{ terminationId: 'served', medias: [{ mediaId: 'm1', mediaResourceType: 'DC' }] }],
  };
  const layout = [{ terminationId: 'T77', ours: 'served', medias: ['m1'] }];
  const desired = structuredClone(told);
  desired.terminations[0]!.medias[0]!.remoteMbEndpoint = { ip: { ipv4Addr: '192.0.2.1' }, portNumber: 9 };
  assert.deepEqual(diffContexts(told, desired, layout).patch[0], {
    op: 'test',
    path: '/terminations/0/terminationId',
    value: 'T77',
  });
});
