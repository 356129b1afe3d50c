import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServicePorts } from '../../src/ims-as/ports.ts';
import type { Sabotage } from './as-node.ts';
import { simulate } from './simulate.ts';

const SEEDS = 1500;
/** Seeds in which a broken variant must be noticed. */
const SABOTAGED_SEEDS = 400;

// conformance: R16 — a call record restored in another process goes on: BYE, re-INVITE, ACK, held by 1,500 crashed calls
test(`${SEEDS} calls whose AS is killed and started again, at any moment`, async () => {
  let atRest = 0;
  let others = 0;
  for (let seed = 0; seed < SEEDS; seed++) {
    const { violation, trace, crashes } = await simulate(seed, {}, undefined, { crashes: true });
    if (violation !== undefined) {
      assert.fail(
        `seed ${seed}: ${violation.message}\n${trace.ladder()}\nagain: node test/simulator/run.ts --crashes --seed ${seed} --bodies`,
      );
    }
    if (crashes.others === 0) atRest += crashes.atRest;
    others += crashes.others;
  }
  // Crashes of calls at rest must change nothing that a peer can notice; there must be some of them, and of the others.
  assert.ok(atRest > 100, `${atRest} calls crashed at rest`);
  assert.ok(others > 100, `${others} crashes in the middle of something`);
});

/** The invariants that a broken variant breaks within some seeds. */
async function brokenBy(sabotage: Sabotage): Promise<Set<string>> {
  const broken = new Set<string>();
  for (let seed = 0; seed < SABOTAGED_SEEDS; seed++) {
    const { violation } = await simulate(seed, sabotage, undefined, { crashes: true });
    if (violation !== undefined) broken.add(violation.invariant);
  }
  return broken;
}

test('records that are lost are seen: calls that were up are not any more', async () => {
  assert.ok((await brokenBy({ stored: () => 'null' })).has('voice'));
});

test('a CSeq that goes on without a gap, or goes back, is seen', async () => {
  const back = (text: string): string => text.replaceAll(/"localCseq":\d+/g, '"localCseq":-100');
  assert.ok((await brokenBy({ stored: back })).has('voice'));
});

test('a forgotten slot is seen', async () => {
  const withoutMedia = (text: string): string => {
    const stored = JSON.parse(text) as { call: { media: unknown } };
    stored.call.media = null;
    return JSON.stringify(stored);
  };
  const broken = await brokenBy({ stored: withoutMedia });
  assert.ok(broken.size > 0, [...broken].join());
});

test('an MF that never frees what a former process left is seen', async () => {
  assert.ok((await brokenBy({ lease: false })).has('no context outlives its call'));
});

test('contexts of restored calls that are never deleted are seen', async () => {
  const services = (real: ServicePorts): ServicePorts => ({
    ...real,
    mrm: (call, id, operation, deadlineMs) =>
      operation.method !== 'DELETE' && real.mrm(call, id, operation, deadlineMs),
  });
  assert.ok((await brokenBy({ services })).has('no context outlives its call'));
});
