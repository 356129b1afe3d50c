import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { before, describe, test } from 'node:test';
import { checkRequest, parseAddress, parseMessage, parseUri } from '../../../src/sip/message/index.ts';
import { responseDestination } from '../../../src/sip/transaction/index.ts';
import type { Flow } from '../../../src/sip/types.ts';
import {
  destinationOf,
  endpointOn,
  exchange,
  nextEvent,
  parsed,
  request,
  requestFrom,
  withoutIPv6,
} from '../support.ts';

let skip: string | false = false;
before(async () => {
  skip = await withoutIPv6();
});

const flowFrom = (remoteAddress: string): Flow => ({
  transport: 'udp',
  remoteAddress,
  remotePort: 5060,
  localAddress: '::1',
  localPort: 5060,
});
const POLICY = { schemes: new Set(['sip']), forwards: false };

// RFC 5118 shows each with what is right and wrong about it; the messages here say the same in our own words.
describe('RFC 5118', () => {
  // conformance: RFC 5118 4.1 — a valid SIP message with IPv6 references
  test('IPv6 references in Request-URI, Via, Contact and Route', () => {
    const message = parsed(
      request({
        uri: 'sip:bob@[2001:db8::10]',
        via: 'SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKv6',
        headers: 'Contact: <sip:alice@[2001:db8::9:1]>\r\nRoute: <sip:[2001:db8::5]:5070;lr>\r\n',
      }),
    );
    assert.equal(checkRequest(message, POLICY), undefined);
    assert.equal(message.via.host, '[2001:db8::9:1]');
    const contact = parseUri(parseAddress(message.first('contact')!)!.uri);
    assert.equal(contact?.kind === 'sip' && contact.host, '[2001:db8::9:1]');
    const route = parseUri(parseAddress(message.first('route')!)!.uri);
    assert.equal(route?.kind === 'sip' && `${route.host} ${route.port}`, '[2001:db8::5] 5070');
  });

  // conformance: RFC 5118 4.2 — an IPv6 address without brackets in the Request-URI is refused
  test('an IPv6 address without brackets', () => {
    const result = parseMessage(request({ uri: 'sip:2001:db8::10' }));
    const refused = 'error' in result ? result.error.status : checkRequest(result.message, POLICY)?.status;
    assert.equal(refused, 400);
  });

  // conformance: RFC 5118 4.3 — with and without a port, inside the brackets is the address alone
  test('port ambiguity', () => {
    const inside = parseUri('sip:[2001:db8::10:5070]');
    const outside = parseUri('sip:[2001:db8::10]:5070');
    assert.equal(inside?.kind === 'sip' && `${inside.host} ${inside.port}`, '[2001:db8::10:5070] 0');
    assert.equal(outside?.kind === 'sip' && `${outside.host} ${outside.port}`, '[2001:db8::10] 5070');
  });

  // conformance: RFC 5118 4.5 — `received` carries no brackets, and both forms are read; zones stay home
  test('received in Via', () => {
    const message = parsed(request({ via: 'SIP/2.0/UDP [2001:db8::9:1];rport;branch=z9hG4bKr' }));
    message.stampReceived('fe80::1%eth0', 5099);
    assert.equal(message.first('via'), 'SIP/2.0/UDP [2001:db8::9:1];rport=5099;branch=z9hG4bKr;received=fe80::1');
    for (const received of ['2001:db8::9:255', '[2001:db8::9:255]']) {
      const response = parsed(request({ via: `SIP/2.0/UDP [2001:db8::9:1];received=${received};branch=z9hG4bKr` }));
      assert.equal(response.via.params.get('received'), received);
    }
  });

  // conformance: RFC 5118 4.6, 4.7 — several addresses in one Via header, IPv4 and IPv6 mixed
  test('mixed families in Via and in SDP', () => {
    const message = parsed(
      request({
        via: 'SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKa, SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKb',
        body: 'v=0\r\nc=IN IP6 2001:db8::20\r\n',
      }),
    );
    assert.deepEqual([message.via.host, message.via.port, message.list('via').length], ['[2001:db8::9:1]', 6050, 2]);
  });

  // conformance: RFC 5118 4.8, 4.9 — IPv4-mapped addresses and the three-colon form
  test('odd spellings', () => {
    const mapped = parseUri('sip:[::ffff:192.0.2.10]:19823');
    assert.equal(mapped?.kind === 'sip' && mapped.host, '[::ffff:192.0.2.10]');
    assert.equal(parsed(request({ via: 'SIP/2.0/UDP [2001:db8:::192.0.2.1];branch=z9hG4bKc' })).via.branch, 'z9hG4bKc');
  });

  // conformance: RFC 3261 18.2.2 — maddr with an IPv6 address takes the response
  test('maddr', () => {
    const message = parsed(request({ via: 'SIP/2.0/UDP [2001:db8::1]:5070;maddr=[2001:db8::2];branch=z9hG4bKm' }));
    const { address, port } = responseDestination(message, flowFrom('2001:db8::3'));
    assert.equal(`${address} ${port}`, '2001:db8::2 5070');
  });
});

describe('on ::1', () => {
  for (const transport of ['udp', 'tcp', 'ws'] as const) {
    test(`requests both ways over ${transport}`, async (t) => {
      if (skip !== false) return t.skip(skip);
      const options = { listeners: [{ transport, address: '::1', port: 0 }] };
      const alice = await endpointOn(transport, options);
      const bob = await endpointOn(transport, options);
      try {
        const { received, flow } = await exchange(alice, bob);
        assert.equal(received.via.host, '[::1]');
        assert.equal(flow.remoteAddress, '::1');
        await exchange(bob, alice);
        const [to] = await alice.resolve(`sip:[::1]:${destinationOf(bob).port};transport=${transport}`);
        assert.equal(to?.address, '::1');
      } finally {
        await alice.closeAll();
        await bob.closeAll();
      }
    });
  }

  test('an endpoint with both families answers from the listener that was asked', async (t) => {
    if (skip !== false) return t.skip(skip);
    const bob = await endpointOn('udp', {
      listeners: [
        { transport: 'udp', address: '127.0.0.1', port: 0 },
        { transport: 'udp', address: '127.0.0.1', port: 0 },
        { transport: 'udp', address: '::1', port: 0 },
        { transport: 'tcp', address: '::1', port: 0 },
      ],
    });
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    try {
      await once(socket, 'listening');
      const [first, second, third] = bob.addresses();
      for (const asked of [second!, first!]) {
        const answered = once(socket, 'message');
        const wire = request({
          via: `SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bK${asked.port}`,
          callId: `${asked.port}`,
        });
        socket.send(wire, asked.port, '127.0.0.1');
        const [, from] = await answered;
        assert.equal(from.port, asked.port);
      }
      assert.equal(bob.hostFor({ transport: 'udp', address: '::1', port: 9 }), `[::1]:${third!.port}`);
      assert.equal(bob.hostFor({ transport: 'tcp', address: '::1', port: 9 }), `[::1]:${bob.addresses()[3]!.port}`);
      assert.throws(() => bob.hostFor({ transport: 'tcp', address: '127.0.0.1', port: 9 }), /no tcp listener/);
      const alice = await endpointOn('udp', { listeners: [{ transport: 'udp', address: '::1', port: 0 }] });
      const asked = nextEvent(bob, 'request', ({ via }) => via.host === '[::1]');
      const { port } = third!;
      alice.request(requestFrom(alice, { transport: 'udp', address: '::1', port }));
      assert.equal((await asked).flow.localPort, port);
      await alice.closeAll();
    } finally {
      socket.close();
      await bob.closeAll();
    }
  });
});
