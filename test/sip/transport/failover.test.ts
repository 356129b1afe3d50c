import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { Metrics } from '../../../src/base/metrics.ts';
import { buildResponse } from '../../../src/sip/message/index.ts';
import { dnsNameServer, type SipEndpoint } from '../../../src/sip/transport/index.ts';
import { parseRetryAfter, RestingTargets } from '../../../src/sip/transport/resting-targets.ts';
import type { SipMessage } from '../../../src/sip/types.ts';
import { type DnsRecord, dnsServer } from '../dns-server.ts';
import { destinationOf, endpointOn, nextEvent, requestFrom } from '../support.ts';

const LOCAL: DnsRecord = { type: 'A', ttl: 60, address: '127.0.0.1' };

function srv(priority: number, port: number, target = 'host.ims.test'): DnsRecord {
  return { type: 'SRV', ttl: 60, priority, weight: 0, port, target };
}

function portOf(endpoint: SipEndpoint): number {
  return destinationOf(endpoint).port;
}

/** A UDP port that nobody listens on: held by a socket that reads and answers nothing. */
async function silentPort(): Promise<{ port: number; heard: () => Promise<unknown>; close: () => void }> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return { port: socket.address().port, heard: () => once(socket, 'message'), close: () => socket.close() };
}

/** Sends a request to `sip:ims.test` and returns its outcome. */
async function ask(
  alice: SipEndpoint,
  shape: Parameters<typeof requestFrom>[2] = {},
): Promise<{ key: string; sent: string; outcome: Promise<number | string> }> {
  const [to, ...otherwise] = await alice.resolve('sip:ims.test');
  const request = requestFrom(alice, to!, shape);
  const answered = nextEvent(alice, 'response', ({ status }) => status >= 200);
  const failed = nextEvent(alice, 'clientFailed');
  const key = alice.request({ ...request, otherwise });
  const outcome = Promise.race([
    answered.then((event) => (event.key === key ? event.message.status : `another key: ${event.key}`)),
    failed.then((event) => (event.key === key ? event.reason : `another key: ${event.key}`)),
  ]);
  return { key, sent: request.branch, outcome };
}

async function answers(bob: SipEndpoint, status: number, headers = ''): Promise<SipMessage> {
  const { key, message } = await nextEvent(bob, 'request');
  bob.respond(key, status, buildResponse(message, status, { toTag: 'b', headers }));
  return message;
}

describe('several addresses of one next hop', () => {
  // conformance: RFC 3263 4.3 — 503: the next address, as a new transaction with another branch
  test('503 from one, so the next is asked; Retry-After keeps the first one last', async () => {
    const metrics = new Metrics();
    const [first, second] = [await endpointOn('udp'), await endpointOn('udp')];
    const dns = await dnsServer({
      'ims.test': [],
      '_sip._udp.ims.test': [srv(1, portOf(first)), srv(2, portOf(second))],
      'host.ims.test': [LOCAL],
    });
    const alice = await endpointOn('udp', { metrics, nameServer: dnsNameServer([dns.address]) });
    try {
      const refused = answers(first, 503, 'Retry-After: 120 (full)\r\n');
      const served = answers(second, 200);
      const { sent, outcome } = await ask(alice);
      assert.equal(await outcome, 200);
      assert.equal((await refused).via.branch, sent);
      assert.notEqual((await served).via.branch, sent);
      assert.equal((await served).callId, (await refused).callId);
      assert.equal(metrics.counter('imsdc_sip_failovers_total', '').value, 1);
      const [to, ...otherwise] = await alice.resolve('sip:ims.test');
      assert.deepEqual([to!.port, otherwise[0]!.port], [portOf(second), portOf(first)]);
    } finally {
      for (const endpoint of [alice, first, second]) await endpoint.closeAll();
      await dns.close();
    }
  });

  // conformance: RFC 3263 4.1 — NAPTR: TCP first; refused there, so UDP, and the Via says each time which way it goes
  test('a refused TCP connection leads to UDP, where NAPTR has it second', async () => {
    const bob = await endpointOn('udp');
    const silent = await silentPort();
    const dns = await dnsServer({
      'ims.test': [
        { type: 'NAPTR', ttl: 60, order: 1, preference: 1, service: 'SIP+D2T', replacement: 'tcp.ims.test' },
        { type: 'NAPTR', ttl: 60, order: 2, preference: 1, service: 'SIP+D2U', replacement: 'udp.ims.test' },
      ],
      // Nobody listens for TCP on a port that a UDP socket has.
      'tcp.ims.test': [srv(1, silent.port)],
      'udp.ims.test': [srv(1, portOf(bob))],
      'host.ims.test': [LOCAL],
    });
    const alice = await endpointOn('udp', {
      nameServer: dnsNameServer([dns.address]),
      listeners: [
        { transport: 'udp', address: '127.0.0.1', port: 0 },
        { transport: 'tcp', address: '127.0.0.1', port: 0 },
      ],
    });
    try {
      const served = answers(bob, 200);
      assert.equal(await (await ask(alice)).outcome, 200);
      const { via } = await served;
      assert.equal(via.transport, 'UDP');
      assert.equal(via.port, destinationOf(alice, 'udp').port);
    } finally {
      await alice.closeAll();
      await bob.closeAll();
      silent.close();
      await dns.close();
    }
  });

  // conformance: RFC 3263 4.3 — no answer at all: the next address
  test('a server that says nothing is given up, and asked last from then on', async () => {
    const bob = await endpointOn('udp');
    const silent = await silentPort();
    const dns = await dnsServer({
      'ims.test': [],
      '_sip._udp.ims.test': [srv(1, silent.port), srv(2, portOf(bob))],
      'host.ims.test': [LOCAL],
    });
    const alice = await endpointOn('udp', {
      nameServer: dnsNameServer([dns.address]),
      transactionTimers: { t1Ms: 5, t2Ms: 20, t4Ms: 20 },
    });
    try {
      const heard = silent.heard();
      const served = answers(bob, 200);
      assert.equal(await (await ask(alice, { method: 'INVITE' })).outcome, 200);
      await Promise.all([heard, served]);
      assert.equal((await alice.resolve('sip:ims.test'))[0]!.port, portOf(bob));
    } finally {
      await alice.closeAll();
      await bob.closeAll();
      silent.close();
      await dns.close();
    }
  });

  test('with none left its user gets the last outcome, under the branch it knows', async () => {
    const [first, second] = [await endpointOn('udp'), await endpointOn('udp')];
    const dns = await dnsServer({
      'ims.test': [],
      '_sip._udp.ims.test': [srv(1, portOf(first)), srv(2, portOf(second))],
      'host.ims.test': [LOCAL],
    });
    const alice = await endpointOn('udp', { nameServer: dnsNameServer([dns.address]) });
    try {
      void answers(first, 503);
      void answers(second, 503);
      assert.equal(await (await ask(alice)).outcome, 503);
      // Without Retry-After nobody rests (RFC 3261 21.5.4).
      assert.equal((await alice.resolve('sip:ims.test'))[0]!.port, portOf(first));
    } finally {
      for (const endpoint of [alice, first, second]) await endpoint.closeAll();
      await dns.close();
    }
  });

  test('CANCEL reaches the place that has the INVITE now, and ends the search', async () => {
    const endpoints = [await endpointOn('udp'), await endpointOn('udp'), await endpointOn('udp')] as const;
    const [first, second, third] = endpoints;
    const dns = await dnsServer({
      'ims.test': [],
      '_sip._udp.ims.test': [srv(1, portOf(first)), srv(2, portOf(second)), srv(3, portOf(third))],
      'host.ims.test': [LOCAL],
    });
    const alice = await endpointOn('udp', { nameServer: dnsNameServer([dns.address]) });
    const strayed: string[] = [];
    third.on('sip', ({ kind }) => strayed.push(kind));
    try {
      void answers(first, 503);
      const invited = nextEvent(second, 'request');
      const cancelled = nextEvent(second, 'cancel');
      const { key, outcome } = await ask(alice, { method: 'INVITE' });
      const { key: server, message } = await invited;
      alice.cancel(key as Parameters<SipEndpoint['cancel']>[0], 'Reason: SIP;cause=487\r\n');
      assert.equal((await cancelled).message.via.branch, message.via.branch);
      second.respond(server, 503, buildResponse(message, 503, { toTag: 'b' }));
      assert.equal(await outcome, 503);
      assert.deepEqual(strayed, []);
    } finally {
      for (const endpoint of [alice, ...endpoints]) await endpoint.closeAll();
      await dns.close();
    }
  });
});

describe('what the DNS says', () => {
  test('is kept for as long as it says, and asked for anew then', async () => {
    const clock = { ms: 0 };
    const dns = await dnsServer({
      'short.test': [{ type: 'A', ttl: 5, address: '192.0.2.1' }],
      'both.test': [
        { type: 'A', ttl: 100, address: '192.0.2.2' },
        { type: 'AAAA', ttl: 50, groups: [0x2001, 0xdb8, 0, 0, 0, 0, 0, 2] },
      ],
    });
    const { Resolver } = await import('../../../src/sip/transport/index.ts');
    const resolver = new Resolver({ nowMs: () => clock.ms, nameServer: dnsNameServer([dns.address]) });
    const askedFor = (name: string) => dns.asked.filter((question) => question === `A ${name}`).length;
    try {
      for (const [ms, times] of [
        [0, 1],
        [4900, 1],
        [5100, 2],
      ] as const) {
        clock.ms = ms;
        assert.equal((await resolver.resolve('sip:short.test:5060'))[0]!.address, '192.0.2.1');
        assert.equal(askedFor('short.test'), times, `at ${ms} ms`);
      }
      const both = await resolver.resolve('sip:both.test:5060');
      assert.deepEqual(both.map(({ address }) => address).sort(), ['192.0.2.2', '2001:db8::2']);
      // The shorter of the two TTLs counts.
      clock.ms += 51_000;
      await resolver.resolve('sip:both.test:5060');
      assert.equal(askedFor('both.test'), 2);
      // IP literals are never asked for.
      const before = dns.asked.length;
      await resolver.resolve('sip:192.0.2.9');
      assert.equal(dns.asked.length, before);
    } finally {
      await dns.close();
    }
  });
});

test('Retry-After: seconds, with what may stand behind them; anything else says nothing', () => {
  assert.deepEqual(
    ['120', ' 5 (busy)', '0;duration=3', '7;duration=3', '', undefined, 'soon', '99999999999'].map(parseRetryAfter),
    [120_000, 5000, 0, 7000, undefined, undefined, undefined, undefined],
  );
});

test('targets that rest come last, soonest ready first, and are not remembered without bound', () => {
  const resting = new RestingTargets();
  const [a, b, c] = [1, 2, 3].map((port) => ({ transport: 'udp' as const, address: '192.0.2.1', port }));
  resting.rest(a!, 60_000, 0);
  resting.rest(b!, 30_000, 0);
  assert.deepEqual(resting.inOrder([a!, b!, c!], 0), [c, b, a]);
  assert.deepEqual(resting.inOrder([a!, b!, c!], 31_000), [b, c, a]);
  resting.works(a!);
  assert.deepEqual(resting.inOrder([a!, c!], 0), [a, c]);
  for (let port = 1; port <= 1500; port++) resting.rest({ ...a!, port }, 1000, 0);
  assert.equal(resting.size, 1000);
});
