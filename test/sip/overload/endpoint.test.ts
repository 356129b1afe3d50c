import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualTimers } from '../../../src/base/timers.ts';
import { buildResponse } from '../../../src/sip/message/index.ts';
import { OverloadControl } from '../../../src/sip/overload/index.ts';
import { Transactions } from '../../../src/sip/transaction/index.ts';
import { LoopLag } from '../../../src/sip/transport/loop-lag.ts';
import type { Flow, TransactionLayerEffect } from '../../../src/sip/types.ts';
import { destinationOf, endpointOn, exchange, nextEvent, parsed, request, requestFrom } from '../support.ts';

// conformance: RFC 3261 21.5.4, RFC 7339 5.2 — overload over real sockets: 503 with Retry-After and `oc` in its Via
test('a busy endpoint refuses calls, ends those that are up, and takes emergency calls', async () => {
  const overload = new OverloadControl({
    peerRequestsPerSecond: 1,
    peerBurst: 1,
    userRequestsPerSecond: 0,
    userBurst: 1,
    loopLagMs: 0,
    retryAfterSeconds: 5,
  });
  const alice = await endpointOn('udp');
  const bob = await endpointOn('udp', { overload });
  try {
    const to = destinationOf(bob);
    const { received, answer } = await exchange(alice, bob, { method: 'INVITE' });
    assert.equal(answer.status, 200);

    const outgoing = requestFrom(alice, to, { method: 'INVITE' });
    const wire = outgoing.wire.replace(';rport', ';rport;oc;oc-algo="loss"');
    const refused = nextEvent(alice, 'response', ({ status }) => status >= 200);
    alice.request({ ...outgoing, wire });
    const { message } = await refused;
    assert.equal(`${message.status} ${message.first('retry-after')}`, '503 5');
    assert.match(
      message.first('via')!,
      /;oc=0;oc-algo="loss";oc-validity=1000;oc-seq=\d+\.\d{3};received=127\.0\.0\.1$/,
    );

    const emergency = await exchange(alice, bob, { method: 'INVITE', uri: 'urn:service:sos' });
    assert.equal(emergency.answer.status, 200);

    const ended = nextEvent(bob, 'request', ({ method }) => method === 'BYE');
    const branch = alice.newBranch();
    const bye = request({
      method: 'BYE',
      via: alice.viaFor(to, branch),
      to: answer.first('to')!,
      callId: received.callId,
    });
    alice.request({ wire: bye, method: 'BYE', branch, to });
    const { key, message: received2 } = await ended;
    bob.respond(key, 200, buildResponse(received2, 200));
    assert.deepEqual(overload.refused, { peer: 1, user: 0, lag: 0 });
  } finally {
    await alice.closeAll();
    await bob.closeAll();
  }
});

const FLOW: Flow = {
  transport: 'udp',
  remoteAddress: '192.0.2.1',
  remotePort: 5060,
  localAddress: '192.0.2.2',
  localPort: 5060,
};

function statusesOf(effects: readonly TransactionLayerEffect[]): number[] {
  return effects.flatMap((effect) => (effect.kind === 'transmit' ? [parsed(effect.wire).status] : []));
}

test('a retransmission of what was let in costs nothing and is never refused', () => {
  const effects: TransactionLayerEffect[] = [];
  let asked = 0;
  const admit = () => (++asked > 1 ? { status: 503, reason: undefined, headers: '' } : undefined);
  const layer = new Transactions({ emit: (effect) => void effects.push(effect) }, { admit });
  for (let i = 0; i < 5; i++) layer.receive(parsed(request()), FLOW, i * 500);
  assert.equal(asked, 1);
  assert.deepEqual(statusesOf(effects), [100, 100, 100, 100, 100]);
  layer.receive(parsed(request({ branch: 'z9hG4bKnext', callId: 'other' })), FLOW, 3000);
  assert.equal(statusesOf(effects).at(-1), 503);
  layer.receive(parsed(request({ method: 'BYE', branch: 'z9hG4bKbye', to: '<sip:b@h>;tag=1' })), FLOW, 3000);
  assert.equal(asked, 2, 'requests inside a dialog are not asked about');
});

test('with every transaction taken, emergency calls still get a quarter more', () => {
  const effects: TransactionLayerEffect[] = [];
  const layer = new Transactions({ emit: (effect) => void effects.push(effect) }, { maxServers: 4 });
  const send = (uri: string, serial: number) =>
    layer.receive(parsed(request({ uri, branch: `z9hG4bK${serial}`, callId: `c${serial}` })), FLOW, 0);
  for (let serial = 0; serial < 5; serial++) send('sip:bob@example.com', serial);
  assert.deepEqual(statusesOf(effects), [100, 100, 100, 100, 503]);
  send('urn:service:sos', 5);
  send('urn:service:sos', 6);
  assert.deepEqual(statusesOf(effects).slice(5), [100, 503]);
});

test('the lag of the event loop is measured ten times per second', () => {
  const timers = new VirtualTimers();
  const samples: number[] = [];
  const lag = new LoopLag(timers, (sample) => samples.push(sample));
  timers.advance(500);
  assert.deepEqual(samples, [0, 0, 0, 0, 0]);
  lag.close();
  timers.advance(500);
  assert.equal(samples.length, 5);
});
