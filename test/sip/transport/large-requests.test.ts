import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { Metrics } from '../../../src/base/metrics.ts';
import type { SipEndpoint, SipEndpointOptions } from '../../../src/sip/transport/index.ts';
import { LargeRequests } from '../../../src/sip/transport/large-requests.ts';
import type { Destination } from '../../../src/sip/types.ts';
import { destinationOf, endpointOn, exchange, nextEvent, parsed, requestFrom } from '../support.ts';

const LARGE = 'x'.repeat(1400);

/** Listens on UDP, and on TCP at the same port. */
async function both(options: Partial<SipEndpointOptions> = {}): Promise<SipEndpoint & { closeAll(): Promise<void> }> {
  for (;;) {
    const probe = createSocket('udp4').bind(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address();
    await new Promise<void>((resolve) => probe.close(() => resolve()));
    const at = { address: '127.0.0.1', port };
    try {
      return await endpointOn('udp', {
        udpMtuBytes: 1300,
        listeners: [
          { transport: 'udp', ...at },
          { transport: 'tcp', ...at },
        ],
        ...options,
      });
    } catch (error) {
      if (!/EADDRINUSE/.test(String(error))) throw error; // else another process took the port meanwhile
    }
  }
}

describe('requests too large for UDP', () => {
  // conformance: RFC 3261 18.1.1 — above 1300 bytes a request goes over TCP, and its Via says so
  test('go over TCP, small ones over UDP', async () => {
    const metrics = new Metrics();
    const alice = await both({ metrics });
    const bob = await both();
    try {
      const to = destinationOf(bob, 'udp');
      const small = await exchange(alice, bob, { to, method: 'MESSAGE' });
      assert.equal(`${small.flow.transport} ${small.received.via.transport}`, 'udp UDP');
      const large = await exchange(alice, bob, { to, method: 'MESSAGE', body: LARGE });
      assert.equal(`${large.flow.transport} ${large.received.via.transport}`, 'tcp TCP');
      assert.equal(large.received.via.port, destinationOf(alice, 'tcp').port);
      assert.equal(large.answer.via.branch, large.received.via.branch);
      assert.equal(metrics.counter('imsdc_sip_moved_to_tcp_total', '').value, 1);
    } finally {
      await alice.closeAll();
      await bob.closeAll();
    }
  });

  test('go over UDP all the same to a peer without TCP, which is asked once', async () => {
    const metrics = new Metrics();
    const alice = await both({ metrics });
    const bob = await endpointOn('udp');
    try {
      const first = await exchange(alice, bob, { method: 'MESSAGE', body: LARGE });
      const second = await exchange(alice, bob, { method: 'MESSAGE', body: LARGE });
      assert.deepEqual([first.received.via.transport, second.received.via.transport], ['UDP', 'UDP']);
      assert.equal(metrics.counter('imsdc_sip_moved_to_tcp_total', '').value, 1);
      assert.equal(metrics.counter('imsdc_sip_back_to_udp_total', '').value, 1);
      assert.equal(alice.status().connections, 0);
    } finally {
      await alice.closeAll();
      await bob.closeAll();
    }
  });

  test('stay on UDP where the URI says so, where there is no TCP listener, and where it is switched off', async () => {
    const bob = await both();
    const named = await both();
    const bare = await endpointOn('udp', { udpMtuBytes: 1300 });
    const off = await both({ udpMtuBytes: 0 });
    try {
      const { address, port } = destinationOf(bob, 'udp');
      const [to] = await named.resolve(`sip:${address}:${port};transport=udp`);
      for (const [alice, where] of [
        [named, to!],
        [bare, destinationOf(bob, 'udp')],
        [off, destinationOf(bob, 'udp')],
      ] as const) {
        const { flow } = await exchange(alice, bob, { to: where, method: 'MESSAGE', body: LARGE });
        assert.equal(flow.transport, 'udp');
      }
    } finally {
      for (const endpoint of [bob, named, bare, off]) await endpoint.closeAll();
    }
  });

  test('a CANCEL that was asked for while TCP was tried follows over UDP', async () => {
    const alice = await both();
    const bob = await endpointOn('udp');
    try {
      const outgoing = requestFrom(alice, destinationOf(bob), { method: 'INVITE', body: LARGE });
      const cancelled = nextEvent(bob, 'cancel');
      const key = alice.request(outgoing);
      alice.cancel(key, 'Reason: SIP;cause=487\r\n');
      const { message } = await cancelled;
      assert.equal(message.via.branch, outgoing.branch);
      assert.equal(message.via.transport, 'UDP');
      assert.equal(message.first('reason'), 'SIP;cause=487');
    } finally {
      await alice.closeAll();
      await bob.closeAll();
    }
  });

  test('a large ACK of a 2xx falls back as well', async () => {
    const alice = await both();
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    try {
      await once(socket, 'listening');
      const to: Destination = { transport: 'udp', address: '127.0.0.1', port: socket.address().port };
      const arrived = once(socket, 'message');
      alice.sendStateless(requestFrom(alice, to, { method: 'ACK', body: LARGE }).wire, to);
      const ack = parsed(((await arrived) as [Buffer])[0]);
      assert.equal(`${ack.method} ${ack.via.transport}`, 'ACK UDP');
    } finally {
      socket.close();
      await alice.closeAll();
    }
  });

  test('TCP is tried again after five minutes', () => {
    const large = new LargeRequests({ udpMtuBytes: 1300, sentBy: () => '192.0.2.1:5060' });
    const to: Destination = { transport: 'udp', address: '192.0.2.2', port: 5060 };
    const wire = `MESSAGE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport\r\n\r\n${LARGE}`;
    assert.match(
      large.overTcp(wire, to, 0)!.wire,
      /\r\nVia: SIP\/2\.0\/TCP 192\.0\.2\.1:5060;branch=z9hG4bKa;rport\r\n/,
    );
    large.refuse(to, 0);
    assert.equal(large.overTcp(wire, to, 299_999), undefined);
    assert.ok(large.overTcp(wire, to, 300_000));
  });
});
