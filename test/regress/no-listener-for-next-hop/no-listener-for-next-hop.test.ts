import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IdMint } from '../../../src/base/ids.ts';
import { silentLogger } from '../../../src/base/log.ts';
import { Metrics } from '../../../src/base/metrics.ts';
import { RealTimers } from '../../../src/base/timers.ts';
import { EndpointPort } from '../../../src/ims-as/sip-port.ts';
import { SipEndpoint, TrustedPeers } from '../../../src/sip/transport/index.ts';

/**
 * A peer that is elsewhere than any listener of ours can reach (an IPv6 address in its Record-Route, a Contact with
 * transport=tls) made the call throw, and where its name had to be looked up first, ended the process.
 */
async function port(t: { after(run: () => Promise<void>): void }) {
  const timers = new RealTimers();
  const endpoint = new SipEndpoint({
    listeners: [{ transport: 'udp', address: '127.0.0.1', port: 0 }],
    timers,
    ids: new IdMint({ instance: 'x', worker: 0, epoch: 1 }),
    log: silentLogger,
    metrics: new Metrics(),
  });
  await endpoint.start();
  t.after(async () => {
    await endpoint.close();
    timers.close();
  });
  const warned = Promise.withResolvers<{ nextHop: string }>();
  const log = Object.assign(Object.create(silentLogger), { warn: warned.resolve });
  const trustedPeers = new TrustedPeers([]);
  return { warned, sip: new EndpointPort({ endpoint, trustedPeers, names: [], log }, () => undefined) };
}

for (const nextHop of ['sip:[2001:db8::1]:5060', 'sip:192.0.2.1;transport=tls', 'sip:[::ffff:192.0.2.1]'])
  test(`we have an address to show towards ${nextHop}`, async (t) => {
    const { sip } = await port(t);
    assert.match(sip.local(nextHop).via, /^SIP\/2\.0\/UDP 127\.0\.0\.1:\d+/);
  });

test('an ACK to where no listener of ours reaches is reported', { timeout: 10_000 }, async (t) => {
  const { sip, warned } = await port(t);
  const nextHop = 'sip:bob@localhost:5061;transport=tls';
  sip.transmit('ACK sip:bob@localhost SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\n\r\n', nextHop);
  assert.equal((await warned.promise).nextHop, nextHop);
});
