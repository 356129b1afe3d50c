import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Metrics } from '../../../src/base/metrics.ts';
import { buildResponse } from '../../../src/sip/message/index.ts';
import { parseVia } from '../../../src/sip/message/via.ts';
import { NextHopLoad } from '../../../src/sip/overload/index.ts';
import type { ViaValue } from '../../../src/sip/types.ts';
import { destinationOf, endpointOn, nextEvent, requestFrom } from '../support.ts';

const HOP = '192.0.2.1:5060';
const via = (params: string): ViaValue => parseVia(`SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa${params}`)!;

function asking(params: string, nowMs = 0): NextHopLoad {
  const load = new NextHopLoad();
  load.heard(HOP, via(params), nowMs);
  return load;
}

describe('what a next hop asks for', () => {
  // conformance: RFC 7339 4.3, 5.6 — oc holds for oc-validity (500 ms by default), 0 ends it
  test('holds for as long as it says', () => {
    const load = asking(';oc=20;oc-algo="loss";oc-validity=1000;oc-seq=1.1');
    assert.deepEqual([load.asksForLess(HOP, 999), load.asksForLess(HOP, 1000)], [true, false]);
    assert.deepEqual([load.asksForLess('192.0.2.2:5060', 0)], [false]);
    const byDefault = asking(';oc=20;oc-algo="loss"');
    assert.deepEqual([byDefault.asksForLess(HOP, 499), byDefault.asksForLess(HOP, 500)], [true, false]);
    load.heard(HOP, via(';oc=20;oc-validity=0;oc-seq=1.2'), 10);
    assert.equal(load.asksForLess(HOP, 10), false);
  });

  // conformance: RFC 7339 4.4 — an older oc-seq says nothing of now
  test('is the newest value, not the last one that came', () => {
    const load = asking(';oc=50;oc-validity=9000;oc-seq=1282321615.781');
    load.heard(HOP, via(';oc=0;oc-validity=9000;oc-seq=1282321615.780'), 1);
    assert.equal(load.asksForLess(HOP, 2), true);
    load.heard(HOP, via(';oc=0;oc-validity=9000;oc-seq=1282321616'), 3);
    assert.equal(load.asksForLess(HOP, 4), false);
    // Started anew, it counts from the beginning again: nothing of before is remembered for longer than a transaction.
    load.heard(HOP, via(';oc=50;oc-seq=1.0'), 60_000);
    assert.equal(load.asksForLess(HOP, 60_001), true);
  });

  for (const params of [
    '',
    ';oc',
    ';oc=x',
    ';oc=101',
    ';oc=-1',
    ';oc=50;oc-algo="rate"',
    ';oc=0',
    ';oc=9;oc-validity=0',
  ])
    test(`nothing: "${params}"`, () => {
      const load = asking(params);
      assert.equal(load.asksForLess(HOP, 0), false);
      assert.equal(load.size, 0);
    });

  test('is remembered for a bounded number of them', () => {
    const load = new NextHopLoad();
    for (let i = 0; i < 1500; i++) load.heard(`192.0.2.1:${i}`, via(';oc=50'), 0);
    assert.equal(load.size, 1000);
  });
});

// conformance: RFC 7339 6.1 — the loss algorithm: that share of the requests is left out, evenly
test('of new calls alone exactly the share is left out', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 2000 }), (percent, requests) => {
      const load = asking(`;oc=${percent};oc-validity=60000`);
      for (let i = 0; i < requests; i++) load.sheds(HOP, 'new');
      assert.ok(Math.abs(load.shed - (percent * requests) / 100) <= 1, `${load.shed} of ${requests} at ${percent} %`);
    }),
  );
});

// conformance: RFC 7339 5.10.1 — requests of calls that are up and of emergency calls go; new calls make up for them
test('of a mixture the share of all is left out, all of it among new calls', () => {
  const kinds = fc.constantFrom('new', 'new', 'new', 'up', 'priority');
  fc.assert(
    fc.property(
      fc.integer({ min: 5, max: 40 }),
      fc.array(kinds, { minLength: 1500, maxLength: 3000 }),
      (percent, requests) => {
        const load = asking(`;oc=${percent};oc-validity=60000`);
        for (const kind of requests) {
          const shed = load.sheds(HOP, kind);
          assert.ok(!shed || kind === 'new');
        }
        const fraction = load.shed / requests.length;
        assert.ok(Math.abs(fraction - percent / 100) < 0.04, `${fraction} at ${percent} %`);
        assert.equal(load.spared, requests.filter((kind) => kind === 'priority').length);
      },
    ),
    { numRuns: 40 },
  );
});

test('asked for nothing at all, only what must go does', () => {
  const load = asking(';oc=100;oc-validity=60000');
  for (let i = 0; i < 100; i++) assert.equal(load.sheds(HOP, 'new'), true);
  assert.equal(load.sheds(HOP, 'up'), false);
  assert.equal(load.sheds(HOP, 'priority'), false);
});

// conformance: RFC 7339 5.8 — over real sockets: `oc` is offered, obeyed for new calls, and not for BYE and emergency calls
test('a next hop that asks for everything to be left out gets BYE and emergency calls only', async () => {
  const metrics = new Metrics();
  const alice = await endpointOn('udp', { metrics });
  const bob = await endpointOn('udp');
  const to = destinationOf(bob);
  bob.on('sip', (event) => {
    if (event.kind !== 'request') return;
    assert.equal(event.message.via.params.has('oc'), true);
    const wire = buildResponse(event.message, 200, { toTag: 'b' });
    bob.respond(
      event.key,
      200,
      wire.replace(';oc;oc-algo="loss"', ';oc=100;oc-algo="loss";oc-validity=60000;oc-seq=1.0'),
    );
  });
  try {
    const outcomeOf = async (shape: Parameters<typeof requestFrom>[2]): Promise<number | string> => {
      const outgoing = requestFrom(alice, to, shape);
      const answered = nextEvent(alice, 'response', ({ status }) => status >= 200);
      const failed = nextEvent(alice, 'clientFailed');
      alice.request(outgoing);
      return Promise.race([answered.then(({ message }) => message.status), failed.then(({ reason }) => reason)]);
    };
    assert.equal(await outcomeOf({ method: 'MESSAGE' }), 200);
    assert.equal(await outcomeOf({ method: 'MESSAGE' }), 'overload');
    assert.equal(await outcomeOf({ method: 'MESSAGE', uri: 'urn:service:sos.police' }), 200);
    assert.equal(await outcomeOf({ method: 'MESSAGE', headers: 'Resource-Priority: ets.0\r\n' }), 200);
    const bye = requestFrom(alice, to, { method: 'BYE' });
    const ended = nextEvent(alice, 'response');
    alice.request({ ...bye, wire: bye.wire.replace(/^(To: .*)\r$/m, '$1;tag=b\r') });
    assert.equal((await ended).message.status, 200);
  } finally {
    await alice.closeAll();
    await bob.closeAll();
  }
});
