import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { connect } from 'node:tls';
import { Metrics } from '../../../src/base/metrics.ts';
import type { SipListenerConfig, SipTlsConfig } from '../../../src/sip/transport/index.ts';
import { checkSipIdentity } from '../../../src/sip/transport/tls.ts';
import { destinationOf, endpointOn, exchange, nextEvent, parsed, request, requestFrom } from '../support.ts';
import { TestCa } from './certificates.ts';

let ca: TestCa;
let server: SipTlsConfig;
let client: SipTlsConfig;
before(async () => {
  ca = await TestCa.create();
  server = await ca.issue(['as.home.test', '127.0.0.1']);
  client = await ca.issue(['scscf.home.test', '127.0.0.1']);
});
after(() => ca.remove());

const listener = (tls: SipTlsConfig): { listeners: SipListenerConfig[] } => ({
  listeners: [{ transport: 'tls', address: '127.0.0.1', port: 0, tls }],
});

describe('SIP over TLS', () => {
  // conformance: RFC 3261 26.2.1, RFC 5923 5 — mutual TLS; requests in the other direction use the same connection
  test('both sides are certified, and one connection serves both directions', async () => {
    const alice = await endpointOn('tls', listener({ ...client, requestCert: true }));
    const bob = await endpointOn('tls', listener({ ...server, requestCert: true }));
    try {
      const { received, flow } = await exchange(alice, bob);
      assert.equal(received.via.transport, 'TLS');
      assert.deepEqual(flow.peerNames, ['scscf.home.test', '127.0.0.1']);
      const back = await exchange(bob, alice);
      assert.equal(back.received.via.transport, 'TLS');
      assert.deepEqual(back.flow.peerNames, ['as.home.test', '127.0.0.1'], 'the server has proven its name as well');
      assert.equal(bob.status().connections, 1);
    } finally {
      await alice.closeAll();
      await bob.closeAll();
    }
  });

  // conformance: RFC 5922 7.3, RFC 6066 3 — SNI names the domain of the URI, and the certificate must be for it
  test('the domain of a sips URI is asked for and must be in the certificate', async () => {
    const bob = await endpointOn('tls', listener(server));
    const { port } = destinationOf(bob);
    const none = async () => ({ records: [], ttlMs: undefined });
    const nameServer = {
      addresses: async () => ({ records: ['127.0.0.1'], ttlMs: undefined }),
      services: none,
      pointers: none,
    };
    const alice = await endpointOn('tls', { ...listener(client), nameServer });
    try {
      const [good] = await alice.resolve(`sips:as.home.test:${port}`);
      assert.deepEqual(good, { transport: 'tls', address: '127.0.0.1', port, serverName: 'as.home.test' });
      await exchange(alice, bob, { to: good! });
      // The connection above was verified for another name, so it must not be used for this one.
      const [impostor] = await alice.resolve(`sip:bank.test:${port};transport=tls`);
      const refused = nextEvent(alice, 'clientFailed');
      alice.request(requestFrom(alice, impostor!));
      assert.equal((await refused).reason, 'transport');
    } finally {
      await alice.closeAll();
      await bob.closeAll();
    }
  });

  test('without a certificate nobody comes in where mutual TLS is asked for', async () => {
    const metrics = new Metrics();
    const bob = await endpointOn('tls', { ...listener({ ...server, requestCert: true }), metrics });
    const { port } = destinationOf(bob);
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    try {
      await Promise.race([once(socket, 'error'), once(socket, 'close')]);
      assert.equal(bob.status().connections, 0);
      assert.equal(metrics.counter('imsdc_sip_socket_trouble_total', '').value, 1);
    } finally {
      socket.destroy();
      await bob.closeAll();
    }
  });

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`${version} is spoken`, async () => {
      const bob = await endpointOn('tls', listener(server));
      const { port } = destinationOf(bob);
      const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion: version });
      try {
        await once(socket, 'secureConnect');
        assert.equal(socket.getProtocol(), version);
        socket.write(request({ via: 'SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bKv' }), 'latin1');
        const [bytes] = (await once(socket, 'data')) as [Buffer];
        assert.equal(parsed(bytes).status, 100);
      } finally {
        socket.destroy();
        await bob.closeAll();
      }
    });
  }

  test('older versions, and what is no TLS at all, are refused and counted', async () => {
    const metrics = new Metrics();
    const bob = await endpointOn('tls', { ...listener({ ...server, minVersion: 'TLSv1.3' }), metrics });
    const { port } = destinationOf(bob);
    const old = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion: 'TLSv1.2' });
    const plain = connectTcp(port, '127.0.0.1');
    try {
      const [error] = (await once(old, 'error')) as [Error];
      assert.match(error.message, /protocol version/i);
      const closed = once(plain, 'close');
      plain.on('error', () => undefined); // a reset is as good as an end here
      plain.resume().write(request());
      await closed;
      assert.equal(metrics.counter('imsdc_sip_socket_trouble_total', '').value, 2);
    } finally {
      old.destroy();
      plain.destroy();
      await bob.closeAll();
    }
  });

  test('a listener without a certificate, or with one that is not there, says which', async () => {
    await assert.rejects(
      endpointOn('tls', { listeners: [{ transport: 'tls', address: '127.0.0.1', port: 0 }] }),
      /tls needs a certificate/,
    );
    await assert.rejects(endpointOn('tls', listener({ ...server, keyFile: '/nowhere/as.key' })), /\/nowhere\/as\.key/);
  });

  // conformance: RFC 3261 19.1.2, RFC 3263 4.2 — sips and transport=tls mean TLS, at port 5061
  test('sips and transport=tls lead to port 5061', async () => {
    const alice = await endpointOn('tls', listener(client));
    try {
      assert.deepEqual(await alice.resolve('sips:192.0.2.7'), [
        { transport: 'tls', address: '192.0.2.7', port: 5061, serverName: '192.0.2.7' },
      ]);
      const [named] = await alice.resolve('<sip:192.0.2.7;transport=tls;lr>');
      assert.equal(`${named?.transport} ${named?.port} ${named?.transportFixed}`, 'tls 5061 true');
    } finally {
      await alice.closeAll();
    }
  });

  // conformance: RFC 5922 7.1 — a SIP URI in the certificate is the identity; DNS names count without one
  test('identities in certificates', () => {
    const certificate = (subjectaltname: string) =>
      ({ subject: {}, subjectaltname }) as unknown as Parameters<typeof checkSipIdentity>[1];
    assert.equal(checkSipIdentity('home.test', certificate('URI:sip:home.test')), undefined);
    assert.equal(checkSipIdentity('home.test', certificate('DNS:other.test, URI:sip:HOME.test')), undefined);
    assert.equal(checkSipIdentity('home.test', certificate('DNS:home.test')), undefined);
    assert.ok(checkSipIdentity('home.test', certificate('URI:sip:home.test.evil')) instanceof Error);
    assert.ok(checkSipIdentity('home.test', certificate('DNS:"x, URI:sip:home.test"')) instanceof Error);
  });
});
