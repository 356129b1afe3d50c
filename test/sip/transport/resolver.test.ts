import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DnsAnswer, type NameServer, Resolver } from '../../../src/sip/transport/index.ts';

const ZONE: Record<string, string[]> = {
  'h.example': ['192.0.2.1'],
  'a.example': ['192.0.2.10'],
  'b.example': ['192.0.2.11', '2001:db8::11'],
};
const SERVICES: Record<string, { name: string; port: number; priority: number; weight: number }[]> = {
  '_sip._udp.srv.example': [
    { name: 'b.example', port: 5071, priority: 20, weight: 0 },
    { name: 'a.example', port: 5070, priority: 10, weight: 0 },
  ],
  '_sip._tcp.tcp.example': [{ name: 'a.example', port: 5090, priority: 1, weight: 0 }],
  '_sips._tcp.srv.example': [{ name: 'a.example', port: 5061, priority: 1, weight: 0 }],
  '_sip._udp.spread.example': [
    { name: 'a.example', port: 1, priority: 1, weight: 9 },
    { name: 'b.example', port: 2, priority: 1, weight: 0 },
  ],
};

const pointer = (order: number, preference: number, service: string, replacement: string) => ({
  flags: 's',
  service,
  replacement,
  order,
  preference,
});
const POINTERS: Record<string, ReturnType<typeof pointer>[]> = {
  'naptr.example': [
    pointer(20, 0, 'SIP+D2U', '_sip._udp.srv.example'),
    pointer(10, 50, 'SIP+D2T', '_sip._tcp.tcp.example'),
    pointer(10, 10, 'SIP+D2X', '_sip._udp.srv.example'),
    pointer(10, 90, 'SIPS+D2T', '_sips._tcp.srv.example'),
  ],
};

function told<T>(records: readonly T[], ttlMs?: number): DnsAnswer<T> {
  return { records, ttlMs };
}

function resolver(random = 0): { resolver: Resolver; asked: string[]; clock: { ms: number } } {
  const asked: string[] = [];
  const clock = { ms: 0 };
  const nameServer: NameServer = {
    addresses: (host) => {
      asked.push(host);
      return ZONE[host] ? Promise.resolve(told(ZONE[host])) : Promise.reject(new Error('ENOTFOUND'));
    },
    services: (name) => {
      asked.push(name);
      return SERVICES[name] ? Promise.resolve(told(SERVICES[name])) : Promise.reject(new Error('ENODATA'));
    },
    pointers: (name) => {
      asked.push(`naptr ${name}`);
      return POINTERS[name] ? Promise.resolve(told(POINTERS[name])) : Promise.reject(new Error('ENODATA'));
    },
  };
  return { resolver: new Resolver({ nowMs: () => clock.ms, nameServer, random: () => random }), asked, clock };
}

for (const [uri, expected] of [
  ['sip:u@192.0.2.7', ['udp 192.0.2.7 5060']],
  ['<sip:192.0.2.7:5070;transport=tcp;lr>', ['tcp 192.0.2.7 5070']],
  ['sips:[2001:db8::1]', ['tls 2001:db8::1 5061']],
  ['sip:u@h.example;maddr=192.0.2.99', ['udp 192.0.2.99 5060']],
  ['sip:u@h.example:5080', ['udp h.example 5080']],
  ['sip:u@h.example', ['udp h.example 5060']],
  ['sip:u@h.example;transport=ws', ['ws h.example 80']],
  ['sip:u@srv.example', ['udp a.example 5070', 'udp b.example 5071']],
  ['sips:u@srv.example', ['tls a.example 5061']],
  ['sip:u@tcp.example', ['tcp a.example 5090']],
  ['sip:u@naptr.example', ['tcp a.example 5090', 'tls a.example 5061', 'udp a.example 5070', 'udp b.example 5071']],
  ['sips:u@naptr.example', ['tls a.example 5061']],
] as const) {
  // conformance: RFC 3263 4 — literals, ports, transport, maddr, NAPTR by order and preference, SRV by priority, A/AAAA
  test(`${uri} leads to ${expected.join(', ')}`, async () => {
    const wanted = expected.flatMap((line) => {
      const [transport, host, port] = line.split(' ') as [string, string, string];
      return (ZONE[host] ?? [host]).map((address) => `${transport} ${address} ${port}`);
    });
    const found = await resolver().resolver.resolve(uri);
    assert.deepEqual(
      found.map(({ transport, address, port }) => `${transport} ${address} ${port}`),
      wanted,
    );
  });
}

test('within a priority the weight decides', async () => {
  const low = await resolver(0).resolver.resolve('sip:spread.example');
  const high = await resolver(0.99).resolver.resolve('sip:spread.example');
  assert.deepEqual([low[0]!.port, high[0]!.port], [1, 2]);
});

for (const uri of [
  'tel:+123',
  'urn:service:sos',
  'sip:u@nowhere.example',
  'sip:u@h.example;transport=sctp',
  'not a uri',
  'sips:u@h.example;transport=udp',
]) {
  test(`${uri} cannot be routed`, async () => {
    await assert.rejects(resolver().resolver.resolve(uri), { code: 'SIP_UNROUTABLE' });
  });
}

test('answers are kept for a while, failures for less, and never without bound', async () => {
  const { resolver: cached, asked, clock } = resolver();
  await Promise.all([cached.resolve('sip:h.example:1'), cached.resolve('sip:h.example:2')]);
  clock.ms = 29_000;
  await cached.resolve('sip:h.example:3');
  assert.deepEqual(asked, ['h.example']);
  clock.ms = 31_000;
  await cached.resolve('sip:h.example:3');
  assert.equal(asked.length, 2);
  for (const ms of [31_000, 35_000, 37_000]) {
    clock.ms = ms;
    await assert.rejects(cached.resolve('sip:gone.example:1'));
  }
  assert.equal(asked.filter((name) => name === 'gone.example').length, 2);
  for (let i = 0; i < 1100; i++) await assert.rejects(cached.resolve(`sip:x${i}.example:1`));
  const before = asked.length;
  await cached.resolve('sip:h.example:3');
  assert.equal(asked.length, before + 1, 'the oldest answer had to go');
});
