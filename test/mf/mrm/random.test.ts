import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MediaContext, MediaInfo, PatchItem } from '../../../src/services/nmf-mrm.ts';
import { refuse } from '../fake-engine.ts';
import {
  context,
  endpoint,
  httpMedia,
  NO_RESIDUE,
  Rig,
  relayMedia,
  remoteDc,
  SHA_A,
  SHA_B,
  TLS_A,
  TLS_B,
} from '../rig.ts';

/** What one leg of a medium may look like; enough to reach every kind of plan. */
const leg = fc.record({
  present: fc.boolean(),
  remote: fc.boolean(),
  port: fc.constantFrom(50_000, 50_002),
  tlsId: fc.constantFrom(TLS_A, TLS_B, undefined),
  fingerprint: fc.constantFrom(SHA_A, SHA_B),
  setup: fc.constantFrom('ACTIVE', 'PASSIVE', 'ACTPASS'),
  ice: fc.boolean(),
  streams: fc.subarray([1_000, 1_002, 1_004], { minLength: 1 }),
});
type Leg = typeof leg extends fc.Arbitrary<infer T> ? T : never;
const medium = fc.record({ kind: fc.constantFrom('http', 'relay', 'flow'), served: leg, remote: leg });
const wish = fc.array(medium, { minLength: 1, maxLength: 3 });

type Act =
  | { kind: 'patch'; wish: ReturnType<typeof build>; failAt: number }
  | { kind: 'state'; pick: number; state: 'connected' | 'failed' | 'closed' };
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('patch' as const),
      wish: wish.map(build),
      failAt: fc.constantFrom(-1, -1, -1, 0, 1, 2, 3, 5, 8),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('state' as const),
      pick: fc.nat(8),
      state: fc.constantFrom('connected' as const, 'failed' as const, 'closed' as const),
    }),
  },
);

function entry(
  kind: string,
  mediaId: string,
  { remote, port, tlsId, fingerprint, setup, ice, streams }: Leg,
): MediaInfo {
  const known = remote ? { remoteMbEndpoint: endpoint(port) } : {};
  const media = kind === 'http' ? httpMedia(mediaId, streams[0]!, known) : relayMedia(mediaId, 1_000, known);
  if (kind === 'flow') {
    media.dcMedia!.mediaProxyConfig = 'UDP_PROXY';
    return media;
  }
  if (kind === 'relay')
    media.dcMedia!.streams = Object.fromEntries(streams.map((streamId) => [streamId, { streamId }]));
  media.dcMedia!.imsdc = { ice };
  if (remote) Object.assign(media.dcMedia!, { remoteDcEndpoint: remoteDc(fingerprint, tlsId), securitySetup: setup });
  return media;
}

function build(media: readonly (typeof medium extends fc.Arbitrary<infer T> ? T : never)[]): MediaContext | undefined {
  const legs: Record<string, MediaInfo[]> = { served: [], remote: [] };
  for (const [i, { kind, served, remote }] of media.entries()) {
    const both = kind === 'flow' || kind === 'relay';
    if (both || served.present) legs.served!.push(entry(kind, `m${i}`, served));
    if (both || (kind === 'http' && remote.present && !served.present)) legs.remote!.push(entry(kind, `m${i}`, remote));
  }
  const used = Object.fromEntries(Object.entries(legs).filter(([, medias]) => medias.length > 0));
  return Object.keys(used).length > 0 ? context(used) : undefined;
}

/** What must hold between any two steps. */
function check(rig: Rig): void {
  const { engine, ports, contexts } = rig;
  const { associations, flows } = contexts.count();
  assert.equal(engine.associations.size, associations, 'the engine holds what the contexts think');
  assert.equal(engine.flows.size, flows);
  const bound = new Set([...engine.associations.values()].map(({ options }) => options.port));
  assert.equal(ports.taken, bound.size + 2 * engine.flows.size, 'every taken port is bound, every bound port is taken');
  for (const [key, { routes, started }] of engine.associations) {
    for (const [streamId, to] of routes) {
      if (to === 'payload') assert.ok(rig.served.has(`${key} ${streamId}`), 'payload goes to somebody');
      else assert.ok(engine.associations.has(to.split(' ')[0]!), 'routes lead to the living');
    }
    assert.ok(started === undefined || started.fingerprints.length > 0);
  }
}

// conformance: 29.176 5.2.2 — whatever is asked and whatever fails, contexts, engine and ports agree, and nothing leaks
test('random patches, events and failures leave contexts, engine and ports in agreement', async () => {
  await fc.assert(
    fc.asyncProperty(wish.map(build), fc.array(act, { maxLength: 12 }), async (first, acts) => {
      if (!first) return;
      const rig = new Rig();
      await rig.create(first);
      check(rig);
      for (const step of acts) {
        if (step.kind === 'state') {
          const keys = [...rig.engine.associations].filter(([, { started }]) => started).map(([key]) => key);
          const key = keys[step.pick % Math.max(1, keys.length)];
          if (key) await rig.state(key, step.state);
        } else if (step.wish) {
          let n = 0;
          rig.engine.fail = (operation) => {
            if (operation !== 'release' && n++ === step.failAt) refuse('INTERNAL');
          };
          const items: PatchItem[] = [{ op: 'replace', path: '/terminations', value: step.wish.terminations }];
          const failed = await rig.patch('ctx1', items).then(
            () => false,
            () => true,
          );
          rig.engine.fail = () => undefined;
          // Without a fault of the engine no wish of ours is refused.
          assert.ok(!failed || step.failAt >= 0);
        }
        check(rig);
      }
      await rig.delete('ctx1');
      assert.deepEqual(rig.residue(), NO_RESIDUE);
    }),
    { numRuns: 300 },
  );
});
