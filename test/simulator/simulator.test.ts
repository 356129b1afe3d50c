import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Timers } from '../../src/base/timers.ts';
import type { ServicePorts, SipPort } from '../../src/ims-as/ports.ts';
import type { Sabotage } from './as-node.ts';
import { simulate } from './simulate.ts';

const SEEDS = 5000;
/** Seeds in which a broken variant must be noticed. */
const SABOTAGED_SEEDS = 300;

// conformance: R16 — one mailbox per call, held by 5,000 calls over bad networks, with failing DCSF and MF
// conformance: R18 — CANCEL at any moment, delayed offers, whose lines in transit come to both handsets
// conformance: R20 — forking towards the callee
// conformance: RFC 3264 8 — m-lines keep their index on each leg
// conformance: RFC 3261 14 — glare: 491 on both sides, tried again
// conformance: R25 — an MF lost at any moment: lines move to another one, or go; no leg is left with a lost context
test(`${SEEDS} simulated calls hold every invariant`, async () => {
  let established = 0;
  const lost = { reanchored: 0, givenUp: 0, checkedAfterLoss: 0 };
  let addedLate = 0;
  for (let seed = 0; seed < SEEDS; seed++) {
    const { violation, trace, outcome, ...counts } = await simulate(seed);
    if (violation !== undefined) {
      assert.fail(
        `seed ${seed}: ${violation.message}\n${trace.ladder()}\nagain: node test/simulator/run.ts --seed ${seed} --bodies`,
      );
    }
    if (outcome.startsWith('established')) established++;
    if (counts.addedLate) addedLate++;
    lost.reanchored += counts.reanchored;
    lost.givenUp += counts.givenUp;
    lost.checkedAfterLoss += counts.checkedAfterLoss;
  }
  // A simulator whose calls all fail early would hold its invariants too.
  assert.ok(established > SEEDS / 2, `${established} of ${SEEDS} calls were established`);
  // Nor would one show much whose MFs are lost when nobody needs them.
  const { reanchored, givenUp, checkedAfterLoss } = lost;
  assert.ok(reanchored > SEEDS / 10 && givenUp > SEEDS / 50 && checkedAfterLoss > SEEDS / 10, JSON.stringify(lost));
  assert.ok(addedLate > SEEDS / 400, `${addedLate} late lines in transit came to both handsets`);
});

test('a seed gives the same call again', async () => {
  const once = await simulate(42);
  const again = await simulate(42);
  assert.equal(once.trace.ladder(true), again.trace.ladder(true));
  assert.ok(once.trace.lines.length > 10);
});

/** The invariants that a broken variant breaks within some seeds. */
async function brokenBy(sabotage: Sabotage): Promise<Set<string>> {
  const broken = new Set<string>();
  for (let seed = 0; seed < SABOTAGED_SEEDS; seed++) {
    const { violation } = await simulate(seed, sabotage);
    if (violation !== undefined) broken.add(violation.invariant);
  }
  return broken;
}

test('without the guard timer of the barrier, a silent DCSF holds the call for ever', async () => {
  const withoutBarrier = (timers: Timers): Timers => ({
    nowMs: () => timers.nowMs(),
    after: (delayMs, run) => (delayMs === 3000 ? { cancel: () => undefined } : timers.after(delayMs, run)),
  });
  // The model of DC1 has a deadline of its own; it must not save the call here.
  const deaf = (services: ServicePorts): ServicePorts => ({
    ...services,
    notify: (call, id, notification, deadlineMs) => services.notify(call, id, notification, deadlineMs + 1_000_000),
  });
  assert.ok((await brokenBy({ timers: withoutBarrier, services: deaf })).has('voice'));
});

test('a swapped slot is seen', async () => {
  const swap = (wire: string): string => {
    const start = wire.indexOf('\r\n\r\n') + 4;
    const [head = '', ...sections] = wire.slice(start).split(/(?=^m=)/m);
    if (sections.length < 3) return wire;
    const [audio = '', first = '', second = '', ...rest] = sections;
    return wire.slice(0, start) + [head, audio, second, first, ...rest].join('');
  };
  const sip = (port: SipPort): SipPort => ({
    ...port,
    request: (options) => port.request({ ...options, wire: swap(options.wire) }),
  });
  assert.ok((await brokenBy({ sip })).has('slots'));
});

test('a context that is never deleted is seen', async () => {
  const services = (real: ServicePorts): ServicePorts => ({
    ...real,
    mrm: (call, id, operation, deadlineMs) =>
      operation.method !== 'DELETE' && real.mrm(call, id, operation, deadlineMs),
  });
  assert.ok((await brokenBy({ services })).has('no context outlives its call'));
});

/** The spare MFs of the simulator are in this net. */
const SPARE = '10.9.1.';

test('a peer that is told of the lost MF instead of the new one is seen', async () => {
  const sip = (port: SipPort): SipPort => ({
    ...port,
    request: (options) =>
      port.request({ ...options, wire: options.wire.replaceAll(`c=IN IP4 ${SPARE}`, 'c=IN IP4 10.9.0.') }),
  });
  assert.ok((await brokenBy({ sip })).has('no leg points to a lost context'));
});

test('lines given up although another MF is there are seen', async () => {
  const services = (real: ServicePorts): ServicePorts => {
    const begun = new Set<string>();
    return {
      ...real,
      mrm: (call, id, operation, deadlineMs) => {
        const nobody = { method: 'PATCH', mf: 'nobody', contextId: '', patch: [], idempotencyKey: id } as const;
        const isRepair = operation.method === 'POST' && begun.has(call);
        begun.add(call);
        real.mrm(call, id, isRepair ? nobody : operation, deadlineMs);
      },
    };
  };
  assert.ok((await brokenBy({ services })).has('another MF is used'));
});

test('a context left behind at the MF that took over is seen', async () => {
  const services = (real: ServicePorts): ServicePorts => ({
    ...real,
    mrm: (call, id, operation, deadlineMs) =>
      !(operation.method === 'DELETE' && operation.mf.startsWith(SPARE)) && real.mrm(call, id, operation, deadlineMs),
  });
  assert.ok((await brokenBy({ services })).has('no context outlives its call'));
});

test('one changed byte of an audio line is seen', async () => {
  const sip = (port: SipPort): SipPort => ({
    ...port,
    request: (options) =>
      port.request({ ...options, wire: options.wire.replace('a=rtpmap:104 AMR-WB', 'a=rtpmap:104 AMR-wb') }),
  });
  assert.ok((await brokenBy({ sip })).has('byte-equal'));
});

test('an ACK that is not passed on is seen', async () => {
  const sip = (port: SipPort): SipPort => ({ ...port, transmit: () => undefined });
  assert.ok((await brokenBy({ sip })).has('voice'));
});

test('a second final response is seen', async () => {
  const sip = (port: SipPort): SipPort => ({
    ...port,
    respond: (key, status, wire) => {
      port.respond(key, status, wire);
      if (status === 200) port.respond(key, 486, wire.replace('200 OK', '486 Busy Here'));
    },
  });
  assert.ok((await brokenBy({ sip })).has('one final response'));
});
