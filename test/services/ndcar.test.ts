import assert from 'node:assert/strict';
import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { startDcar } from '../../src/dcar/index.ts';
import { encodeField } from '../../src/sbi/http2/header-block.ts';
import { Http2Peer } from '../../src/sbi/http2-peer.ts';
import { GrantClient } from '../../src/services/ndcar-client.ts';
import { client, configured, exchange, grant, packaged, SECRET, started, temporaryDirectory } from '../dcar/support.ts';

const statusOf = async (address: string, token: string) =>
  (await exchange(address, `GET /bdc/v1/${token}/applicationlist HTTP/1.1\r\n\r\n`)).status;

describe('grants on their way to the repository', () => {
  test('grant and revoke, and the catalogue comes back', async (t) => {
    const dcar = await started(t);
    await dcar.repository.add(packaged({ imsdc: { anchor: 'e2DCe' } }), 'a');
    const grants = client(t, dcar.internalAddress);
    const one = grant();
    grants.grant([one]);
    await grants.flushed();
    assert.equal(await statusOf(dcar.address, one.token), 200);
    assert.deepEqual([...grants.applications().values()], [{ applicationId: '10000005', anchor: 'e2DCe' }]);
    assert.deepEqual(dcar.status(), { grants: 1, applications: 1 });
    grants.revoke([one.token]);
    await grants.flushed();
    assert.equal(await statusOf(dcar.address, one.token), 404);
    assert.deepEqual(grants.status(), { live: 0, waiting: 0, connected: true });
  });

  test('thousands go in batches', async (t) => {
    const dcar = await started(t);
    const grants = client(t, dcar.internalAddress);
    const many = Array.from({ length: 2_500 }, () => grant());
    grants.grant(many);
    await grants.flushed();
    assert.equal(dcar.status().grants, 2_500);
    grants.revoke(many.map(({ token }) => token));
    await grants.flushed();
    assert.equal(dcar.status().grants, 0);
  });

  test('what is revoked before it was sent is never sent', async (t) => {
    const dcar = await started(t);
    const grants = client(t, dcar.internalAddress);
    const one = grant();
    grants.grant([one]);
    grants.revoke([one.token]);
    await grants.flushed();
    assert.equal(dcar.status().grants, 0);
  });

  test('a repository that restarts is told everything again, and grants made meanwhile arrive', async (t) => {
    const directory = temporaryDirectory(t);
    const dependencies = { log: silentLogger, metrics: new Metrics() };
    const config = configured({ mdc1: { port: 0 }, internal: { port: 0, secret: SECRET }, repository: { directory } });
    const first = await startDcar(config, dependencies);
    const grants = client(t, first.internalAddress, { heartbeatMs: 10 });
    const before = grant();
    const gone = grant();
    grants.grant([before, gone]);
    await grants.flushed();
    await first.close();
    const during = grant();
    grants.grant([during]);
    grants.revoke([gone.token]);
    const port = Number(new URL(first.internalAddress).port);
    const second = await startDcar({ ...config, internal: { ...config.internal, port } }, dependencies);
    t.after(() => second.close());
    await grants.flushed();
    assert.equal(await statusOf(second.address, before.token), 200);
    assert.equal(await statusOf(second.address, during.token), 200);
    assert.equal(await statusOf(second.address, gone.token), 404);
    assert.equal(second.status().grants, 2);
  });

  test('a DCSF that restarts leaves the tokens of running calls alone', async (t) => {
    const dcar = await started(t);
    const before = client(t, dcar.internalAddress);
    const one = grant();
    before.grant([one]);
    await before.flushed();
    await before.close();
    const after = client(t, dcar.internalAddress);
    await after.flushed();
    assert.equal(await statusOf(dcar.address, one.token), 200);
  });

  test('bounds on both sides are counted', async (t) => {
    const dcar = await started(t, { limits: { maxGrants: 2 } });
    const metrics = new Metrics();
    const grants = client(t, dcar.internalAddress, { maxGrants: 3, metrics });
    grants.grant([grant(), grant(), grant(), grant()]);
    await grants.flushed();
    assert.equal(metrics.counter('imsdc_grants_dropped_total', '').value, 1);
    assert.equal(dcar.status().grants, 2);
  });

  test('a grant that has expired on arrival opens nothing', async (t) => {
    const dcar = await started(t);
    const grants = client(t, dcar.internalAddress);
    const late = grant({ expiresAtMs: 1 });
    grants.grant([late]);
    await grants.flushed();
    assert.equal(await statusOf(dcar.address, late.token), 404);
  });

  test('nothing throws while the repository is away or answers nonsense', async (t) => {
    let asked = 0;
    const answered = Promise.withResolvers<void>();
    const server = createServer((_request, response) => {
      response.end(['', '{', '{"bootId":5}'][asked++ % 3]!);
      if (asked === 3) answered.resolve();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const grants = client(t, `http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    grants.grant([grant()]);
    await answered.promise;
    const { live, connected } = grants.status();
    assert.deepEqual({ live, connected }, { live: 1, connected: false });
  });
});

describe('the internal interface', () => {
  const post = async (t: TestContext, address: string, secret: string, body: string) => {
    const peer = new Http2Peer(address, { log: silentLogger, userAgent: 'DCSF' });
    t.after(() => peer.close());
    const fields = encodeField('authorization', `Bearer ${secret}`) + encodeField('content-type', 'application/json');
    const path = '/internal/v1/grants';
    return await peer.exchange({ method: 'POST', path, fields, body }, 5_000);
  };

  test('wants its secret', async (t) => {
    const dcar = await started(t);
    const body = JSON.stringify({ grant: [grant()], revoke: [] });
    for (const secret of ['', 'wrong', `${SECRET}x`]) {
      assert.equal((await post(t, dcar.internalAddress, secret, body)).status, 401);
    }
    assert.equal(dcar.status().grants, 0);
    assert.equal((await post(t, dcar.internalAddress, SECRET, body)).status, 200);
  });

  test('wants whole grants', async (t) => {
    const dcar = await started(t);
    for (const bad of [
      { token: 'short' },
      { token: 'a/b'.repeat(10) },
      { streamId: -1 },
      { network: 'x' },
      { expiresAtMs: 'x' },
    ]) {
      const body = JSON.stringify({ grant: [{ ...grant(), ...bad }], revoke: [] });
      assert.equal((await post(t, dcar.internalAddress, SECRET, body)).status, 400, JSON.stringify(bad));
    }
    assert.equal((await post(t, dcar.internalAddress, SECRET, '{')).status, 400);
  });

  test('listens on loopback only and not without a secret', async (t) => {
    await assert.rejects(started(t, { internal: { port: 0, secret: 'short' } }), { code: 'DCAR_SECRET_MISSING' });
    await assert.rejects(started(t, { internal: { port: 0, secret: SECRET, host: '0.0.0.0' } }), {
      code: 'DCAR_PLAINTEXT',
    });
    await assert.rejects(started(t, { internal: { secret: SECRET }, mdc1: { port: 0, host: '0.0.0.0' } }), {
      code: 'DCAR_PLAINTEXT',
    });
    const options = { secret: SECRET, log: silentLogger, metrics: new Metrics() };
    assert.throws(() => new GrantClient({ ...options, url: 'http://192.0.2.1/' }), { code: 'SBI_PLAINTEXT' });
  });
});
