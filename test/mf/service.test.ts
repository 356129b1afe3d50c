import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { after, before, describe, test } from 'node:test';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { MfConfig } from '../../src/mf/config.ts';
import { type Mf, startMf } from '../../src/mf/index.ts';
import { EventPoster } from '../../src/mf/mrm/event-poster.ts';
import { SbiServer } from '../../src/sbi/server.ts';
import { alphaContext } from '../../src/services/nmf-mrm-alpha.ts';
import { NmfMrmClient } from '../../src/services/nmf-mrm-client.ts';
import { bootstrapContext } from '../services/messages.ts';
import { generations, HAVE_OPENAPI } from '../services/openapi.ts';
import { FakeEngine } from './fake-engine.ts';
import { context, endpoint, httpMedia } from './rig.ts';

const log = silentLogger;
const soon = () => ({ deadlineMs: Date.now() + 5_000 });

function config(more: object = {}): MfConfig {
  const value = { listen: { port: 0 }, ...more };
  new Ajv({ useDefaults: true, strict: false }).compile(MfConfig)(value);
  return value as MfConfig;
}
const start = (engine: FakeEngine, more: object = {}) =>
  startMf(config(more), { engine, log, metrics: new Metrics(), token: { instance: 'mf', worker: 0, epoch: 1 } });

describe('Nmf_MRM at a running MF', () => {
  const engine = new FakeEngine();
  let mf: Mf;
  let mrm: NmfMrmClient;
  let session: http2.ClientHttp2Session;

  before(async () => {
    mf = await start(engine);
    mrm = new NmfMrmClient({ apiRoot: mf.address, userAgent: 'IMS_AS-1', log });
    session = http2.connect(mf.address);
  });
  after(async () => {
    session.close();
    await mrm.close();
    await mf.close();
  });

  async function send(method: string, path: string, body: string, type = 'application/json') {
    const endStream = body === '';
    const stream = session.request({ ':method': method, ':path': path, 'content-type': type }, { endStream });
    stream.setEncoding('utf8');
    if (!endStream) stream.end(body);
    let text = '';
    stream.on('data', (chunk: string) => {
      text += chunk;
    });
    const headers = await new Promise<http2.IncomingHttpHeaders>((resolve, reject) => {
      stream.on('response', resolve);
      stream.on('error', reject);
    });
    if (!stream.readableEnded) await new Promise((resolve) => stream.on('end', resolve));
    return { status: Number(headers[':status']), headers, body: text === '' ? undefined : JSON.parse(text) };
  }

  // conformance: 29.176 6.1.3.2.3.1 — 201 with Location and representation
  test('creates with Location, and deletes', async () => {
    const created = await send(
      'POST',
      '/nmf-mrm/v1/contexts',
      JSON.stringify(context({ served: [httpMedia('m1', 0)] })),
    );
    assert.equal(created.status, 201);
    assert.equal(created.headers.location, `/nmf-mrm/v1/contexts/${encodeURIComponent(created.body.contextId)}`);
    assert.equal(mf.status().contexts, 1);
    const deleted = await send('DELETE', created.headers.location, '');
    assert.equal(deleted.status, 204);
    const again = await send('DELETE', created.headers.location, '');
    assert.equal(again.status, 404);
    assert.equal(again.body.cause, 'CONTEXT_NOT_FOUND');
  });

  test('the answers of the MF fit the published schemas', {
    skip: HAVE_OPENAPI ? false : 'the OpenAPI files are not here',
  }, async () => {
    for (const generation of generations(/TS29176_Nmf_MRM/)) {
      const created = await mrm.createContext(alphaContext(bootstrapContext()), soon());
      const validate = generation.validator('TS29176_Nmf_MRM.yaml', 'MediaContext');
      // R12: the AS of an alpha network cannot be spared our base64url tls-id unless it wishes for another.
      for (const { medias } of created.terminations)
        for (const { dcMedia } of medias) delete dcMedia!.localDcEndpoint!.tlsId;
      assert.ok(validate(created), `${generation.name}: ${JSON.stringify(validate.errors)}`);
      await mrm.deleteContext(created.contextId, soon());
    }
  });

  // conformance: network-side 3.6 (18) — ports from 1 to 65535, whatever the schema allows
  test('bad messages get the place and the reason, and reserve nothing', async () => {
    const good = JSON.stringify(context({ served: [httpMedia('m1', 0)] }));
    const cases: [string, number, string | undefined, string][] = [
      ['{}', 400, 'MANDATORY_IE_MISSING', '/terminations'],
      ['{"terminations":[]}', 400, 'MANDATORY_IE_MISSING', '/terminations'],
      [good.replace('"m1"', '7'), 400, 'MANDATORY_IE_INCORRECT', '/terminations/0/medias/0/mediaId'],
      [good.replace('"DC"', '"AUDIO"'), 400, 'MANDATORY_IE_INCORRECT', '/terminations/0/medias/0/mediaResourceType'],
      ...['0', '65536', '1.5', '-1'].map((port): [string, number, string, string] => [
        good.replace('8080', port),
        400,
        'MANDATORY_IE_INCORRECT',
        '/terminations/0/medias/0/dcMedia/remoteMdc1Endpoint/portNumber',
      ]),
    ];
    for (const [body, status, cause, param] of cases) {
      const answer = await send('POST', '/nmf-mrm/v1/contexts', body);
      assert.equal(answer.status, status, body);
      assert.equal(answer.headers['content-type'], 'application/problem+json');
      assert.equal(answer.body.cause, cause);
      assert.equal(answer.body.invalidParams[0].param, param);
    }
    const huge = await send('POST', '/nmf-mrm/v1/contexts', JSON.stringify({ x: 'y'.repeat(100_000) }));
    assert.equal(huge.status, 413);
    assert.equal(engine.associations.size, 0);
    const patchPath = '/nmf-mrm/v1/contexts/none';
    assert.equal((await send('PATCH', patchPath, '[{"op":"remove","path":"/x"}]')).status, 415);
    const patch = await send('PATCH', patchPath, '[{"op":"remove","path":"/x"}]', 'application/json-patch+json');
    assert.equal(patch.body.cause, 'CONTEXT_NOT_FOUND');
    const many = JSON.stringify(Array.from({ length: 257 }, () => ({ op: 'remove', path: '/x' })));
    assert.equal((await send('PATCH', patchPath, many, 'application/json-patch+json')).status, 400);
    const odd = await send('PATCH', patchPath, '[{"op":"steal","path":"/x"}]', 'application/json-patch+json');
    assert.equal(odd.body.invalidParams[0].param, '/0/op');
  });

  test('whatever JSON comes, the answer is an answer and nothing stays', async () => {
    const good = context({ served: [httpMedia('m1', 0)] });
    const paths = JSON.stringify(good)
      .match(/"[A-Za-z]+":/g)!
      .map((name) => name.slice(1, -2));
    const mutate = fc
      .record({ name: fc.constantFrom(...paths), value: fc.jsonValue({ maxDepth: 4 }) })
      .map(({ name, value }) => JSON.stringify(good, (key, old) => (key === name ? value : old)));
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.json(), mutate, fc.string()), async (body) => {
        const answer = await send('POST', '/nmf-mrm/v1/contexts', body);
        assert.ok(
          answer.status === 201 || (answer.status >= 400 && answer.status < 500),
          `${answer.status} to ${body}`,
        );
        if (answer.status === 201) await send('DELETE', answer.headers.location!, '');
      }),
      { numRuns: 300 },
    );
    assert.equal(mf.status().contexts, 0);
    assert.equal(engine.associations.size, 0);
  });

  test('whatever patch comes to a live context, it stays whole', async () => {
    const created = await mrm.createContext(bootstrapContext(), soon());
    const path = `/nmf-mrm/v1/contexts/${encodeURIComponent(created.contextId)}`;
    const pointer = fc.constantFrom(
      '',
      '/terminations',
      '/terminations/0',
      '/terminations/0/medias/0/dcMedia',
      '/terminations/1/medias/0/dcMedia/streams/100',
      '/contextId',
      '/terminations/0/medias/-',
    );
    const items = fc.array(
      fc.record({
        op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy'),
        path: pointer,
        from: pointer,
        value: fc.jsonValue(),
      }),
      { minLength: 1, maxLength: 3 },
    );
    await fc.assert(
      fc.asyncProperty(items, async (patch) => {
        const { status } = await send('PATCH', path, JSON.stringify(patch), 'application/json-patch+json');
        assert.ok([200, 204, 400, 409].includes(status), `${status}`);
        assert.equal(mf.status().associations, engine.associations.size);
      }),
      { numRuns: 300 },
    );
    await mrm.deleteContext(created.contextId, soon());
    assert.equal(engine.associations.size, 0);
  });
});

// conformance: R25 — HTTP/2 PING renews the lease; a consumer that is gone loses its contexts after it
test('PINGs keep the lease; a consumer that is gone loses its contexts', async () => {
  const engine = new FakeEngine();
  const mf = await start(engine, { leaseMs: 2_500 });
  const living = new NmfMrmClient({ apiRoot: mf.address, userAgent: 'IMS_AS-living', log, pingIntervalMs: 100 });
  const dying = new NmfMrmClient({ apiRoot: mf.address, userAgent: 'IMS_AS-dying', log });
  const kept = await living.createContext(context({ served: [httpMedia('m1', 0)] }), soon());
  await dying.createContext(context({ served: [httpMedia('m1', 0)] }), soon());
  await dying.close();
  assert.equal(mf.status().owners, 2);
  while (mf.status().contexts === 2) await new Promise(setImmediate);
  assert.equal(mf.status().owners, 1);
  await living.patchContext(kept.contextId, [{ op: 'test', path: '/contextId', value: kept.contextId }], soon());
  const drained = mf.drain();
  await assert.rejects(living.createContext(bootstrapContext(), soon()), { code: 'MRM_UNAVAILABLE' });
  await living.deleteContext(kept.contextId, soon());
  await drained;
  await living.close();
  await mf.close();
});

// conformance: R25 — media events are posted to eventUri, a few times, never for ever
test('media events are repeated while the consumer cannot take them, and dropped when it refuses', async () => {
  const as = new SbiServer({ host: '127.0.0.1', port: 0, log });
  const seen: string[] = [];
  as.route({
    method: 'POST',
    path: '/:how',
    body: {},
    handler: ({ params }) => {
      seen.push(params.how!);
      const first = seen.filter((how) => how === params.how).length === 1;
      return { status: params.how === 'refuse' ? 400 : params.how === 'busy' && first ? 503 : 204 };
    },
  });
  await as.listen();
  const metrics = new Metrics();
  const poster = new EventPoster({ userAgent: 'MF-1', log, metrics, retryDelaysMs: [1, 1, 1] });
  const event = { contextId: 'c', terminationId: 't', mediaId: 'm', state: 'failed' as const };
  for (const how of ['fine', 'busy', 'refuse']) poster.post(`${as.origin}/${how}`, event);
  poster.post('http://127.0.0.1:9/nobody', event);
  poster.post('http://192.0.2.1/not-in-clear', event);
  poster.post('nonsense', event);
  while (poster.pending > 0) await new Promise(setImmediate);
  assert.deepEqual(seen.sort(), ['busy', 'busy', 'fine', 'refuse']);
  assert.equal(metrics.counter('imsdc_mf_events_posted_total', '').value, 2);
  assert.equal(metrics.counter('imsdc_mf_events_dropped_total', '').value, 4);
  await poster.close();
  poster.post(`${as.origin}/fine`, event);
  assert.equal(metrics.counter('imsdc_mf_events_dropped_total', '').value, 5);
  await as.close();
});

test('a port range that is none is said at start', async () => {
  await assert.rejects(start(new FakeEngine(), { media: { firstPort: 5_000, lastPort: 4_000 } }), { code: 'USAGE' });
  assert.equal(endpoint(1).portNumber, 1);
});
