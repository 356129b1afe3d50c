import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askNextHops } from '../../../src/mf/datagrams/next-hops.ts';
import type { Command } from '../../../src/mf/datagrams/program.ts';

const LINKS = [
  { ifindex: 1, ifname: 'lo', flags: ['LOOPBACK', 'UP'], mtu: 65_536, link_type: 'loopback' },
  { ifindex: 2, ifname: 'eth0', flags: ['BROADCAST', 'UP'], mtu: 1_500, link_type: 'ether' },
  { ifindex: 7, ifname: 'tun0', flags: ['POINTOPOINT', 'NOARP', 'UP'], mtu: 1_400, link_type: 'none' },
];
const from = '192.0.2.1';
/** As `ip -j -batch` prints them: one line each, and none for a destination without a route. */
const ROUTES = [
  { dst: '192.0.2.9', from, dev: 'eth0' },
  { dst: '198.51.100.1', from, gateway: '192.0.2.254', dev: 'eth0', metrics: [{ mtu: 1_300 }] },
  { type: 'local', dst: '192.0.2.1', from, dev: 'lo' },
  { type: 'multicast', dst: '224.0.0.5', from, dev: 'eth0' },
  { dst: '198.51.100.2', from, via: { family: 'inet6', host: 'fe80::1' }, dev: 'eth0' },
  { dst: '198.51.100.3', from, dev: 'tun0' },
  { dst: '2001:db8::9', from: '2001:db8::1', gateway: 'fe80::1', dev: 'eth0' },
];

/** A program that answers as `ip` does. */
function ip(status: number): Command {
  const routes = ROUTES.map((route) => JSON.stringify([route])).join('\n');
  const script = `case "$*" in *link) echo "$LINKS";; *) cat > /dev/null; echo "$ROUTES"; exit ${status};; esac`;
  return ['env', `LINKS=${JSON.stringify(LINKS)}`, `ROUTES=${routes}`, '/bin/sh', '-c', script, 'ip'];
}

test('next hops: what the kernel answers, and why it is no way from device to device', async () => {
  const source = from;
  const destinations = ROUTES.map(({ dst }) => dst);
  // It ends with an error as soon as one destination has no route; the others' answers stand.
  const hops = await askNextHops(
    ip(2),
    [...destinations, '203.0.113.1'].map((destination) => ({ destination, source })),
  );
  const of = (destination: string) => hops.of({ destination, source });
  assert.deepEqual(of('192.0.2.9'), { device: 2, address: '192.0.2.9', mtuBytes: 1_500 });
  assert.deepEqual(of('198.51.100.1'), { device: 2, address: '192.0.2.254', mtuBytes: 1_300 });
  assert.equal(of('192.0.2.1'), 'local');
  assert.equal(of('224.0.0.5'), 'local');
  assert.equal(of('198.51.100.2'), 'family');
  assert.equal(of('198.51.100.3'), 'device');
  assert.equal(of('203.0.113.1'), 'route');
  assert.deepEqual(hops.of({ destination: '2001:db8::9', source: '2001:db8::1' }), {
    device: 2,
    address: 'fe80::1',
    mtuBytes: 1_500,
  });
  assert.deepEqual([...hops.devices.keys()], [1, 2, 7]);
});

test('next hops: without the program ip no flow has one', async () => {
  const question = { destination: '192.0.2.9', source: from };
  const hops = await askNextHops(['/nonexistent/ip'], [question]);
  assert.equal(hops.of(question), 'route');
});
