import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { silentLogger } from '../../src/base/log.ts';
import { SbiClient } from '../../src/sbi/client.ts';
import { problem, readProblem } from '../../src/sbi/problem.ts';
import { SbiServer } from '../../src/sbi/server.ts';
import { requireValid } from '../../src/sbi/validation.ts';
import { JsonPatch, MediaContext, type MediaEvent, type PatchItem } from '../../src/services/nmf-mrm.ts';
import { alphaContext, alphaPatch } from '../../src/services/nmf-mrm-alpha.ts';
import { NmfMrmClient } from '../../src/services/nmf-mrm-client.ts';
import { type MrmService, mediaEventRoute, nmfMrmRoutes } from '../../src/services/nmf-mrm-server.ts';
import { bootstrapContext } from './messages.ts';
import { example, generations, HAVE_EXAMPLES, HAVE_OPENAPI } from './openapi.ts';

const log = silentLogger;
const soon = () => Date.now() + 2_000;
const withoutExamples = HAVE_EXAMPLES ? false : 'the worked examples are not here';

describe('Nmf_MRM against the 3GPP schemas', { skip: HAVE_OPENAPI ? false : 'the OpenAPI files are not here' }, () => {
  const file = 'TS29176_Nmf_MRM.yaml';
  for (const generation of generations(/TS29176_Nmf_MRM/)) {
    // conformance: 29.176 6.1.6 — our create and patch messages fit the published schemas
    test(`create and patch, ${generation.name}`, () => {
      const validate = generation.validator(file, 'MediaContext');
      const fits = (context: MediaContext) => assert.ok(validate(context), JSON.stringify(validate.errors));
      fits(alphaContext(bootstrapContext()));
      const patch: PatchItem[] = [
        { op: 'test', path: '/terminations/1/terminationId', value: 'remote' },
        {
          op: 'add',
          path: '/terminations/1/medias/0/dcMedia/remoteDcEndpoint',
          value: { sctpPort: 5000, tlsId: 'x'.repeat(20) },
        },
      ];
      const item = generation.validator('TS29571_CommonData.yaml', 'PatchItem');
      for (const operation of alphaPatch(patch)) assert.ok(item(operation), JSON.stringify(item.errors));
      assert.equal(validate({ terminations: [] }), false);
    });

    test(`the worked examples fit, ${generation.name}`, { skip: withoutExamples }, () => {
      const validate = generation.validator(file, 'MediaContext');
      for (const name of ['03-dc2-create-context.json', '04-dc2-create-201.json', '21-dc2-create-p2a-udp.json']) {
        assert.ok(validate(example(name)), `${name}: ${JSON.stringify(validate.errors)}`);
      }
    });
  }
});

describe('Rel-19 common data', { skip: HAVE_OPENAPI ? false : 'the OpenAPI files are not here' }, () => {
  for (const generation of generations(/29571-commondata/)) {
    // conformance: 29.571 5.11 — Rel-19 DcEndpoint, DcStream and MediaProxy as we emit them
    test(`our endpoints, streams and proxy values fit, ${generation.name}`, () => {
      const dcMedia = bootstrapContext().terminations[0]!.medias[0]!.dcMedia!;
      const fits = (schema: string, value: unknown) => {
        const validate = generation.validator('3gpp-ts29571-commondata.yml', schema);
        assert.ok(validate(value), `${schema}: ${JSON.stringify(validate.errors)}`);
      };
      fits('DcEndpoint', dcMedia.remoteDcEndpoint);
      fits('DcStream', dcMedia.streams['0']);
      fits('MediaProxy', dcMedia.mediaProxyConfig);
    });
  }
});

describe('our schemas', { skip: withoutExamples }, () => {
  test('take the worked create, 201 and patch messages', () => {
    for (const name of ['03-dc2-create-context.json', '04-dc2-create-201.json', '21-dc2-create-p2a-udp.json']) {
      requireValid(MediaContext, example(name));
    }
  });

  test('take the worked patches', () => {
    for (const name of ['06-dc2-patch-answer.json', '52-dc2-patch-remove-media.json']) {
      requireValid(JsonPatch, example(name));
    }
  });

  test('read the worked problems', () => {
    const missing = readProblem(400, example('60-problem-mandatory-missing.json'));
    assert.equal(missing.cause, 'MANDATORY_IE_MISSING');
    assert.deepEqual(missing.invalidParams, [{ param: '/terminations', reason: 'missing' }]);
    assert.equal(readProblem(404, example('61-problem-context-not-found.json')).cause, 'CONTEXT_NOT_FOUND');
    assert.deepEqual(readProblem(500, 'oops'), { status: 500 });
  });
});

// conformance: R3, R4, R12 — what an alpha MF gets
test('an alpha MF gets old proxy names, hexadecimal tls-ids and no vendor member', () => {
  const context = alphaContext(bootstrapContext());
  const dcMedia = context.terminations[0]!.medias[0]!.dcMedia!;
  assert.equal(dcMedia.mediaProxyConfig, 'HTTP');
  assert.match(dcMedia.remoteDcEndpoint!.tlsId!, /^[0-9A-F]{40}$/);
  assert.equal('imsdc' in dcMedia, false);
  assert.equal('subprotocol' in dcMedia.streams['0']!, false);
  assert.equal(dcMedia.streams['0']!.label, 'list');
  const items = alphaPatch([
    { op: 'replace', path: '/terminations/0/medias/0/dcMedia/imsdc/localSetup', value: 'ACTIVE' },
    { op: 'replace', path: '/terminations/0/medias/0/dcMedia/mediaProxyConfig', value: 'UDP_PROXY' },
    { op: 'remove', path: '/terminations/1' },
  ]);
  assert.deepEqual(items, [
    { op: 'replace', path: '/terminations/0/medias/0/dcMedia/mediaProxyConfig', value: 'UDP' },
    { op: 'remove', path: '/terminations/1' },
  ]);
});

describe('Nmf_MRM over HTTP/2', () => {
  const calls: unknown[] = [];
  const server = new SbiServer({ host: '127.0.0.1', port: 0, log });
  let onDelete: () => void = () => undefined;
  let answerLate: () => void = () => undefined;
  const isLate = new Promise<void>((resolve) => {
    answerLate = resolve;
  });
  const service: MrmService = {
    create: async (context, info) => {
      if (context.terminations[0]!.terminationId === 'late') await isLate;
      calls.push(['create', info.idempotencyKey, info.peer]);
      return { ...context, contextId: 'ctx/1' };
    },
    patch: async (contextId, items) => {
      calls.push(['patch', contextId, items.length]);
      if (contextId === 'busy') throw problem(503, 'NF_CONGESTION', 'later');
      if (contextId === 'none') throw problem(404, 'CONTEXT_NOT_FOUND', 'none');
      if (contextId === 'test') throw problem(409, undefined, 'test failed');
      if (contextId === 'ports') throw problem(500, 'INSUFFICIENT_RESOURCES', 'no ports');
      return undefined;
    },
    delete: async (contextId) => {
      if (contextId === 'none') throw problem(404, 'CONTEXT_NOT_FOUND', 'none');
      calls.push(['delete', contextId]);
      onDelete();
    },
  };
  const events: MediaEvent[] = [];
  let client: NmfMrmClient;

  before(async () => {
    for (const route of nmfMrmRoutes(service)) server.route(route);
    server.route(mediaEventRoute('/media-events/:token', (event) => events.push(event)));
    await server.listen();
    client = new NmfMrmClient({ apiRoot: server.origin, userAgent: 'IMS_AS-1', log });
  });
  after(async () => {
    await client.close();
    await server.close();
  });

  // conformance: 29.176 5.2.2 — Create, Update, Delete
  test('creates, patches and deletes', async () => {
    const created = await client.createContext(bootstrapContext(), { deadlineMs: soon(), idempotencyKey: 'k1' });
    assert.equal(created.contextId, 'ctx/1');
    const items: PatchItem[] = [{ op: 'test', path: '/contextId', value: 'ctx/1' }];
    assert.equal(await client.patchContext(created.contextId, items, { deadlineMs: soon() }), undefined);
    await client.deleteContext(created.contextId, { deadlineMs: soon() });
    await client.deleteContext('none', { deadlineMs: soon() });
    assert.deepEqual(calls, [
      ['create', 'k1', 'IMS_AS-1@127.0.0.1'],
      ['patch', 'ctx/1', 1],
      ['delete', 'ctx/1'],
    ]);
  });

  test('turns every refusal into a code', async () => {
    const items: PatchItem[] = [{ op: 'remove', path: '/terminations/0' }];
    const code = (contextId: string, expected: string) =>
      assert.rejects(client.patchContext(contextId, items, { deadlineMs: soon() }), { code: expected });
    await code('busy', 'MRM_UNAVAILABLE');
    await code('none', 'MRM_NOT_FOUND');
    await code('test', 'MRM_CONFLICT');
    await code('ports', 'MRM_FAILED');
    await assert.rejects(
      client.createContext({ terminations: [] } as unknown as MediaContext, { deadlineMs: soon() }),
      (error: { code: string; details: { invalidParams: { param: string }[] } }) =>
        error.code === 'MRM_REJECTED' && error.details.invalidParams[0]!.param === '/terminations',
    );
    await assert.rejects(client.deleteContext('x', { deadlineMs: Date.now() - 1 }), { code: 'MRM_TIMEOUT' });
    const nobody = new NmfMrmClient({ apiRoot: 'http://127.0.0.1:9', userAgent: 'IMS_AS-1', log });
    await assert.rejects(nobody.deleteContext('x', { deadlineMs: soon() }), { code: 'MRM_UNAVAILABLE' });
    await nobody.close();
  });

  // conformance: R17 — a 201 that comes too late gets a DELETE
  test('deletes what a create that timed out has made after all', async () => {
    calls.length = 0;
    const late = bootstrapContext();
    late.terminations[0]!.terminationId = 'late';
    const deleted = new Promise<void>((resolve) => {
      onDelete = resolve;
    });
    await assert.rejects(client.createContext(late, { deadlineMs: Date.now() + 30, idempotencyKey: 'k2' }), {
      code: 'MRM_TIMEOUT',
    });
    answerLate();
    await deleted;
    assert.deepEqual(calls.at(-1), ['delete', 'ctx/1']);
  });

  // conformance: R25 — media events to the consumer
  test('the AS takes media events and refuses nonsense', async () => {
    const sbi = new SbiClient({ apiRoot: server.origin, userAgent: 'MF-1', log });
    const event = { contextId: 'c', terminationId: 'served', mediaId: 'm1', state: 'failed', reason: 'peerGone' };
    const post = (body: unknown) => sbi.request({ method: 'POST', path: '/media-events/t1', body, deadlineMs: soon() });
    assert.equal((await post(event)).status, 204);
    assert.equal((await post({ ...event, state: 'confused' })).status, 400);
    assert.deepEqual(events, [event]);
    await sbi.close();
  });
});
