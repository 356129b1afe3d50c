import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  OverloadControl,
  type OverloadOptions,
  offersLossControl,
  TokenBuckets,
} from '../../../src/sip/overload/index.ts';
import type { Flow } from '../../../src/sip/types.ts';
import { parsed, request } from '../support.ts';

const OFF: OverloadOptions = {
  peerRequestsPerSecond: 0,
  peerBurst: 1,
  userRequestsPerSecond: 0,
  userBurst: 1,
  loopLagMs: 0,
  retryAfterSeconds: 7,
};
const flow = (remoteAddress: string): Flow => ({
  transport: 'udp',
  remoteAddress,
  remotePort: 5060,
  localAddress: '192.0.2.1',
  localPort: 5060,
});
const INVITE = parsed(request());
const OC = 'SIP/2.0/UDP 192.0.2.9;oc;oc-algo="loss,rate";branch=z9hG4bKoc';

/** The lag as the endpoint would find it after a while. */
function lagging(options: Partial<OverloadOptions>, lagMs: number): OverloadControl {
  const control = new OverloadControl({ ...OFF, ...options });
  for (let i = 0; i < 100; i++) control.observeLag(lagMs);
  return control;
}

describe('token buckets', () => {
  test('a burst, then the rate, in virtual time', () => {
    const buckets = new TokenBuckets({ perSecond: 10, burst: 3, maxKeys: 10 });
    const taken = (nowMs: number, asked: number): number =>
      Array.from({ length: asked }, () => buckets.take('a', nowMs)).filter(Boolean).length;
    assert.equal(taken(0, 10), 3);
    assert.equal(taken(99, 1), 0);
    assert.equal(taken(100, 2), 1);
    assert.equal(taken(1100, 100), 3, 'never more than the burst, however long it was quiet');
    assert.equal(taken(500, 1), 0, 'a clock that goes back gives nothing away');
  });

  test('keys are independent and bounded; the one longest unused goes', () => {
    const buckets = new TokenBuckets({ perSecond: 1, burst: 1, maxKeys: 2 });
    assert.deepEqual([buckets.take('a', 0), buckets.take('b', 0), buckets.take('a', 0)], [true, true, false]);
    assert.equal(buckets.take('c', 0), true);
    assert.equal(buckets.size, 2);
    assert.equal(buckets.take('a', 0), false, 'a was used after b');
    assert.equal(buckets.take('b', 0), true, 'b was forgotten');
  });
});

describe('overload control', () => {
  test('switched off it admits everything', () => {
    const control = lagging(OFF, 60_000);
    for (let i = 0; i < 1000; i++) assert.equal(control.admit(INVITE, flow('192.0.2.9'), 0), undefined);
  });

  // conformance: RFC 3261 21.5.4 — 503 with Retry-After to the peer that sends too much, and to no other
  test('a peer above its rate gets 503 with Retry-After', () => {
    const control = new OverloadControl({ ...OFF, peerRequestsPerSecond: 1, peerBurst: 2 });
    const statuses = [0, 0, 0, 1000].map((nowMs) => control.admit(INVITE, flow('192.0.2.9'), nowMs)?.status);
    assert.deepEqual(statuses, [undefined, undefined, 503, undefined]);
    assert.equal(control.admit(INVITE, flow('192.0.2.10'), 0), undefined);
    assert.deepEqual(control.refused, { peer: 1, user: 0, lag: 0 });
    const refusal = new OverloadControl({ ...OFF, peerRequestsPerSecond: 1, peerBurst: 1 });
    refusal.admit(INVITE, flow('a'), 0);
    assert.equal(refusal.admit(INVITE, flow('a'), 0)?.headers, 'Retry-After: 7\r\n');
  });

  test('a user above its rate gets 500, which turns nobody else away, by whatever peer it comes', () => {
    const control = new OverloadControl({ ...OFF, userRequestsPerSecond: 1, userBurst: 1 });
    const from = (user: string, parameters = '') =>
      parsed(
        request({ headers: `Contact: <sip:c@h>\r\nP-Asserted-Identity: "A" <sip:${user}@home.test${parameters}>\r\n` }),
      );
    assert.equal(control.admit(from('alice'), flow('192.0.2.9'), 0), undefined);
    assert.equal(control.admit(from('ALICE', ';x=1'), flow('192.0.2.10'), 0)?.status, 500);
    assert.equal(control.admit(from('bob'), flow('192.0.2.9'), 0), undefined);
  });

  test('as the event loop falls behind, an even share is refused', () => {
    const share = (lagMs: number): number => {
      const control = lagging({ loopLagMs: 100 }, lagMs);
      const refused = Array.from({ length: 1000 }, () => control.admit(INVITE, flow('a'), 0)).filter(Boolean);
      return refused.length / 1000;
    };
    assert.equal(share(99), 0);
    assert.ok(Math.abs(share(125) - 0.25) < 0.01);
    assert.ok(Math.abs(share(150) - 0.5) < 0.01);
    assert.equal(share(250), 1);
    assert.equal(share(10_000), 1);
  });

  test('one late tick sheds nothing, and the load forgets', () => {
    const control = new OverloadControl({ ...OFF, loopLagMs: 100 });
    control.observeLag(400);
    assert.equal(control.lossFraction, 0);
    for (let i = 0; i < 30; i++) control.observeLag(400);
    assert.equal(control.lossFraction, 1);
    for (let i = 0; i < 30; i++) control.observeLag(0);
    assert.equal(control.lossFraction, 0);
  });

  // conformance: RFC 5031 5, RFC 4412 4.7.2 — emergency calls and Resource-Priority pass
  test('emergency and priority calls pass whatever the load is', () => {
    const control = lagging({ loopLagMs: 1, peerRequestsPerSecond: 1, userRequestsPerSecond: 1 }, 1000);
    const urgent = [
      request({ uri: 'urn:service:sos' }),
      request({ uri: 'urn:service:sos.fire' }),
      request({ to: '<URN:service:SOS>' }),
      request({ headers: 'Contact: <sip:a@h>\r\nResource-Priority: ets.0\r\n' }),
    ];
    for (const wire of urgent) assert.equal(control.admit(parsed(wire), flow('a'), 0), undefined, wire);
    assert.equal(control.priorityPassed, urgent.length);
    for (const uri of ['urn:service:sosoft', 'urn:service:counseling'])
      assert.ok(control.admit(parsed(request({ uri })), flow('a'), 0));
  });

  // conformance: RFC 7339 4.1, 4.3 — `oc` is answered with the loss asked for, and only where it was offered
  test('feedback to peers that offer it', () => {
    const control = lagging({ loopLagMs: 100 }, 120);
    const offering = parsed(request({ via: OC }));
    const feedback = control.feedback(offering, 1_282_321_615_782);
    assert.equal(feedback, ';oc=20;oc-algo="loss";oc-validity=1000;oc-seq=1282321615.782');
    offering.stampReceived('192.0.2.9', 5060, feedback);
    assert.equal(offering.first('via'), `SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKoc${feedback}`);
    assert.equal(control.feedback(INVITE, 0), '');
    assert.equal(new OverloadControl(OFF).feedback(offering, 5).slice(0, 5), ';oc=0');
    for (const [via, offered] of [
      ['h;oc', true],
      ['h;oc;oc-algo="rate"', false],
      ['h;oc=20;oc-algo="loss"', false],
      ['h;oc-algo="loss"', false],
    ] as const) {
      assert.equal(offersLossControl(parsed(request({ via: `SIP/2.0/UDP ${via};branch=z9hG4bKx` })).via), offered, via);
    }
  });

  // conformance: RFC 7339 5.4 — who obeys `oc` is not refused on top of it, until nothing goes any more
  test('peers that obey are not shed twice', () => {
    const offering = parsed(request({ via: OC }));
    const half = lagging({ loopLagMs: 100 }, 150);
    for (let i = 0; i < 100; i++) assert.equal(half.admit(offering, flow('a'), 0), undefined);
    assert.equal(lagging({ loopLagMs: 100 }, 500).admit(offering, flow('a'), 0)?.status, 503);
  });

  test('a Via full of white space and oc costs no more than its length', () => {
    const via = `SIP/2.0/UDP h;branch=z9hG4bKx;oc${`;${' '.repeat(40)}oc-algo${' '.repeat(40)}`.repeat(120)}`;
    const message = parsed(request({ via }));
    message.stampReceived('192.0.2.9', 5060, ';oc=0');
    assert.match(message.first('via')!, /;oc=0/);
  });
});
