import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger as log } from '../../../src/base/log.ts';
import { Metrics } from '../../../src/base/metrics.ts';
import { forwardDrop, kernelObstacle } from '../../../src/mf/datagrams/possible.ts';
import { startDatagramPath } from '../../../src/mf/datagrams/start.ts';

const listing = (chain: object) => JSON.stringify({ nftables: [{ metainfo: {} }, { chain }] });

test('another packet filter that drops what is forwarded is named', () => {
  const forward = { family: 'ip', table: 'filter', name: 'FORWARD', hook: 'forward' };
  assert.equal(forwardDrop(listing({ ...forward, policy: 'drop' })), 'chain ip filter FORWARD');
  assert.equal(forwardDrop(listing({ ...forward, policy: 'accept' })), undefined);
  assert.equal(forwardDrop(listing({ ...forward, hook: 'input', policy: 'drop' })), undefined);
});

test('without nft the kernel path is impossible, and says why', async () => {
  const obstacle = await kernelObstacle('routed', ['/nonexistent/nft']);
  assert.equal(obstacle?.mayWork, false);
  assert.match(obstacle.problem, /nft|CAP_NET_ADMIN|Linux/);
});

test('mf.datagramPath user asks nothing of the kernel', async () => {
  const options = {
    path: 'user',
    forwarding: 'routed',
    instance: 'x',
    firstPort: 1,
    log,
    metrics: new Metrics(),
  } as const;
  assert.equal(await startDatagramPath(options), undefined);
});
