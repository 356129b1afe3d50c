import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { Metrics } from '../../../src/base/metrics.ts';
import { TRUST_DOMAIN_HEADERS, withoutHeaders } from '../../../src/sip/message/index.ts';
import { TrustedPeers } from '../../../src/sip/transport/index.ts';
import type { Flow } from '../../../src/sip/types.ts';
import { destinationOf, endpointOn, nextEvent, parsed, request } from '../support.ts';

const flow = (remoteAddress: string, peerNames?: string[]): Flow => ({
  transport: peerNames === undefined ? 'udp' : 'tls',
  remoteAddress,
  remotePort: 5060,
  localAddress: '192.0.2.1',
  localPort: 5060,
  ...(peerNames && { peerNames }),
});

describe('trusted peers', () => {
  const trusted = new TrustedPeers(['192.0.2.7', '198.18.0.0/15', '2001:db8::/32', 'scscf.home.test', '*.ims.test']);

  for (const [address, expected] of [
    ['192.0.2.7', true],
    ['192.0.2.8', false],
    ['198.19.255.255', true],
    ['198.20.0.0', false],
    ['2001:db8:1::9', true],
    ['2001:db9::1', false],
    ['127.0.0.1', true],
    ['::1', true],
    ['::ffff:127.0.0.1', true],
    ['1270.0.0.1', false],
    ['127.0.0.1.evil.test', false],
    ['', false],
  ] as const) {
    test(`${address || 'no address'} is ${expected ? 'trusted' : 'a stranger'}`, () => {
      assert.equal(trusted.trustsAddress(address), expected);
      assert.equal(trusted.trustsAddress(address), expected, 'from memory');
    });
  }

  test('names count when a certificate has proven them', () => {
    assert.equal(trusted.trustsFlow(flow('203.0.113.1', ['scscf.home.test'])), true);
    assert.equal(trusted.trustsFlow(flow('203.0.113.1', ['a.ims.test'])), true);
    assert.equal(trusted.trustsFlow(flow('203.0.113.1', ['a.b.ims.test', 'ims.test'])), false);
    assert.equal(trusted.trustsFlow(flow('203.0.113.1')), false);
    const to = { address: '203.0.113.1', port: 5061, serverName: 'scscf.home.test' };
    assert.equal(trusted.trustsDestination({ transport: 'tls', ...to }), true);
    assert.equal(trusted.trustsDestination({ transport: 'tcp', ...to }), false, 'nothing has verified the name');
  });

  for (const entry of [
    '192.0.2.0/33',
    '2001:db8::/129',
    '192.0.2.0/',
    '10.0.0.1/8/8',
    '300.1.1.1',
    'a b',
    '*',
    '::g',
  ]) {
    test(`the entry "${entry}" is refused with its text`, () => {
      assert.throws(
        () => new TrustedPeers([entry]),
        (error: Error) => error.message.includes(entry),
      );
    });
  }
});

/** Loopback is always trusted, so a stranger has to be made up. */
class NobodyIsTrusted extends TrustedPeers {
  constructor() {
    super([]);
  }
  override trustsAddress(): boolean {
    return false;
  }
}

// conformance: 24.229 5.7.1.1 — requests from outside the trust domain are refused; noise gets nothing
test('strangers get 403, their ACK and their noise get silence, and nothing reaches the user', async () => {
  const metrics = new Metrics();
  const bob = await endpointOn('udp', { metrics, trustedPeers: new NobodyIsTrusted() });
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  try {
    await once(socket, 'listening');
    const seen: string[] = [];
    bob.on('sip', ({ kind }) => seen.push(kind));
    const replies: number[] = [];
    socket.on('message', (bytes) => replies.push(parsed(bytes).status));
    const via = 'SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bKs';
    const { port } = destinationOf(bob);
    const send = (wire: string): void => socket.send(wire, port, '127.0.0.1');
    send('no SIP at all\r\n\r\n');
    send(request({ via }).replace('1 INVITE', '1 BYE'));
    send(request({ via: `${via}1`, method: 'ACK' }));
    send(request({ via: `${via}2` }));
    const [bytes] = (await once(socket, 'message')) as [Buffer];
    assert.equal(parsed(bytes).status, 403);
    assert.deepEqual([replies, seen], [[403], []]);
    assert.equal(metrics.counter('imsdc_sip_strangers_total', '').value, 4);
    assert.equal(bob.status().serverTransactions, 0);
  } finally {
    socket.close();
    await bob.closeAll();
  }
});

test('the answers to strangers are limited', async () => {
  const bob = await endpointOn('udp', { trustedPeers: new NobodyIsTrusted() });
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  try {
    await once(socket, 'listening');
    let replies = 0;
    socket.on('message', () => replies++);
    const metrics = destinationOf(bob);
    for (let i = 0; i < 300; i++) {
      socket.send(request({ via: `SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bK${i}` }), metrics.port, '127.0.0.1');
    }
    // STUN is answered whatever came before, so its answer is behind all others.
    socket.send(Buffer.from('000100002112a442000102030405060708090a0b', 'hex'), metrics.port, '127.0.0.1');
    for (;;) {
      const [bytes] = (await once(socket, 'message')) as [Buffer];
      if (bytes[0] === 1) break;
    }
    assert.ok(replies - 1 <= 200, `${replies - 1} answers; 100 per second, over at most two windows`);
  } finally {
    socket.close();
    await bob.closeAll();
  }
});

test('everybody may send where no list is given', async () => {
  const bob = await endpointOn('udp');
  const socket = createSocket('udp4');
  try {
    const asked = nextEvent(bob, 'request');
    socket.send(request({ method: 'OPTIONS' }), destinationOf(bob).port, '127.0.0.1');
    assert.equal((await asked).message.method, 'OPTIONS');
  } finally {
    socket.close();
    await bob.closeAll();
  }
});

// conformance: RFC 3325 5, RFC 7315 6 — headers of the trust domain are taken out of a message, folds included
test('what stays inside the trust domain is taken out whole', () => {
  const wire = request({
    headers:
      'Contact: <sip:a@h>\r\nP-Asserted-Identity: <sip:a@h>,\r\n <tel:+1>\r\nP-Charging-Vector : icid-value=1\r\n' +
      'Privacy: none\r\np-served-user: <sip:a@h>;sescase=orig\r\nSubject: P-Asserted-Identity: x\r\n',
    body: 'P-Asserted-Identity: in the body\r\n',
  });
  const cleaned = withoutHeaders(wire, TRUST_DOMAIN_HEADERS);
  const message = parsed(cleaned);
  for (const name of ['p-asserted-identity', 'p-charging-vector', 'p-served-user'])
    assert.equal(message.first(name), undefined);
  assert.equal(message.first('privacy'), 'none');
  assert.equal(message.first('subject'), 'P-Asserted-Identity: x');
  assert.equal(message.body, 'P-Asserted-Identity: in the body\r\n');
  assert.equal(withoutHeaders('no end of the head', TRUST_DOMAIN_HEADERS), 'no end of the head');
});
