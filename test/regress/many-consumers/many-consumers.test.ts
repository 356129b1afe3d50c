import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { silentLogger } from '../../../src/base/log.ts';
import { Metrics } from '../../../src/base/metrics.ts';
import { EventPoster } from '../../../src/mf/mrm/event-poster.ts';

/**
 * An AS that listens for media events at any free port is another consumer after each restart. The MF kept a client for
 * each it had ever heard of, and after sixty-four of them told nobody new of anything.
 */
test('the MF tells a consumer that comes after many others have gone', { timeout: 20_000 }, async (t) => {
  const server = http2.createServer((_, response) => response.writeHead(204).end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const poster = new EventPoster({
    userAgent: 'MF-test',
    log: silentLogger,
    metrics: new Metrics(),
    retryDelaysMs: [],
  });
  t.after(async () => {
    await poster.close();
    server.close();
  });
  const event = { contextId: 'c', terminationId: 'served', mediaId: 'm1', state: 'failed' as const };
  const settled = async () => {
    while (poster.pending > 0) await new Promise((resolve) => setImmediate(resolve));
  };
  // Nobody listens there any more.
  for (let n = 1; n <= 100; n++) poster.post(`http://127.0.0.${n}:9/events`, event);
  await settled();
  const asked = once(server, 'request');
  poster.post(`http://127.0.0.1:${(server.address() as AddressInfo).port}/events`, event);
  await Promise.race([asked, settled().then(() => assert.fail('the event was dropped'))]);
  assert.ok(poster.consumers <= 64);
});
