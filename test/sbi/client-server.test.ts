import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { after, before, describe, test } from 'node:test';
import Type from 'typebox';
import { silentLogger } from '../../src/base/log.ts';
import { ImsdcError } from '../../src/errors.ts';
import { SbiClient } from '../../src/sbi/client.ts';
import { problem } from '../../src/sbi/problem.ts';
import { SbiServer, type SbiServerRequest } from '../../src/sbi/server.ts';

const log = silentLogger;
const Thing = Type.Object({ name: Type.String({ maxLength: 8 }), list: Type.Optional(Type.Array(Type.Integer())) });
const soon = () => Date.now() + 2_000;

function newClient(apiRoot: string, more: Partial<ConstructorParameters<typeof SbiClient>[0]> = {}): SbiClient {
  return new SbiClient({ apiRoot, userAgent: 'IMS_AS-test', log, ...more });
}

describe('SBI client and server', () => {
  const server = new SbiServer({ host: '127.0.0.1', port: 0, log, maxBodyBytes: 4_096 });
  const seen: SbiServerRequest[] = [];
  let client: SbiClient;
  let release: (() => void) | undefined;

  before(async () => {
    server.route({
      method: 'POST',
      path: '/svc/v1/things',
      body: Thing,
      handler: (request) => {
        seen.push(request);
        return { status: 201, headers: { location: '/svc/v1/things/7' }, body: request.body };
      },
    });
    server.route({
      method: 'PATCH',
      path: '/svc/v1/things/:id',
      contentType: 'application/json-patch+json',
      body: Type.Array(Type.Unknown(), { minItems: 1 }),
      handler: (request) => ({ status: 200, body: { id: request.params.id } }),
    });
    server.route({
      method: 'DELETE',
      path: '/svc/v1/things/:id',
      handler: (request) => {
        if (request.params.id === 'gone') throw problem(404, 'CONTEXT_NOT_FOUND', 'no thing gone');
        if (request.params.id === 'coded') throw new ImsdcError('SBI_TIMEOUT', { peer: 'x', request: 'y' });
        if (request.params.id === 'bug') throw new Error('secret detail');
        return { status: 204 };
      },
    });
    server.route({
      method: 'GET',
      path: '/svc/v1/slow',
      handler: () =>
        new Promise((resolve) => {
          release = () => resolve({ status: 204 });
        }),
    });
    await server.listen();
    client = newClient(`${server.origin}/svc`);
  });
  after(async () => {
    release?.();
    await client.close();
    await server.close();
  });

  // conformance: 29.500 5.2.3 — 3gpp-Sbi header fields on requests
  test('carries a body there and back, with deadline, idempotency key and priority', async () => {
    const reply = await client.request({
      method: 'POST',
      path: '/v1/things',
      body: { name: 'ä', extra: [1] },
      deadlineMs: soon(),
      idempotencyKey: 'call-1/2/3',
      priority: 3,
    });
    assert.equal(reply.status, 201);
    assert.equal(reply.headers.get('location'), '/svc/v1/things/7');
    assert.deepEqual(reply.body, { name: 'ä', extra: [1] });
    const request = seen.at(-1)!;
    assert.equal(request.peer, 'IMS_AS-test@127.0.0.1');
    assert.equal(request.priority, 3);
    assert.equal(request.idempotencyKey, 'call-1/2/3');
    assert.ok(request.deadlineMs! > Date.now() && request.deadlineMs! <= soon());
  });

  // conformance: 29.500 5.2.7 — ProblemDetails for every failure, with JSON pointers
  test('answers every kind of bad request with ProblemDetails', async () => {
    const cases: [string, string, string | undefined, string | undefined, number, string | undefined, string?][] = [
      ['POST', '/svc/v1/things', 'application/json', '{}', 400, 'MANDATORY_IE_MISSING', '/name'],
      ['POST', '/svc/v1/things', 'application/json', '{"name":7}', 400, 'MANDATORY_IE_INCORRECT', '/name'],
      [
        'POST',
        '/svc/v1/things',
        'application/json',
        '{"name":"a","list":[1,"x"]}',
        400,
        'MANDATORY_IE_INCORRECT',
        '/list/1',
      ],
      ['POST', '/svc/v1/things', 'application/json', '[]', 400, 'MANDATORY_IE_INCORRECT', ''],
      ['POST', '/svc/v1/things', 'application/json', '{"name":', 400, 'INVALID_MSG_FORMAT'],
      ['POST', '/svc/v1/things', 'application/json', '{"name":"a","__proto__":{}}', 400, 'INVALID_MSG_FORMAT'],
      ['POST', '/svc/v1/things', 'application/json', '{"name":"a","__pr\\u006fto__":{}}', 400, 'INVALID_MSG_FORMAT'],
      ['POST', '/svc/v1/things', 'application/json', '['.repeat(1_000), 400, 'INVALID_MSG_FORMAT'],
      ['POST', '/svc/v1/things', 'application/json', `"${'x'.repeat(5_000)}"`, 413, undefined],
      ['POST', '/svc/v1/things', 'text/plain', 'hello', 415, undefined],
      ['POST', '/svc/v1/things', undefined, undefined, 415, undefined],
      ['PATCH', '/svc/v1/things/1', 'application/json', '[{}]', 415, undefined],
      ['PATCH', '/svc/v1/things/1', 'application/json-patch+json', '[]', 400, 'MANDATORY_IE_MISSING', ''],
      ['GET', '/svc/v1/things', undefined, undefined, 405, undefined],
      ['GET', '/svc/v2/none', undefined, undefined, 404, 'RESOURCE_URI_STRUCTURE_NOT_FOUND'],
      ['DELETE', '/svc/v1/things/gone', undefined, undefined, 404, 'CONTEXT_NOT_FOUND'],
      ['DELETE', '/svc/v1/things/coded', undefined, undefined, 504, 'TIMED_OUT_REQUEST'],
      ['DELETE', '/svc/v1/things/bug', undefined, undefined, 500, 'UNSPECIFIED_NF_FAILURE'],
    ];
    const session = http2.connect(server.origin);
    for (const [method, path, type, body, status, cause, param] of cases) {
      const stream = session.request({ ':method': method, ':path': path, ...(type ? { 'content-type': type } : {}) });
      stream.end(body);
      const headers = await new Promise<http2.IncomingHttpHeaders>((resolve) => stream.on('response', resolve));
      let text = '';
      stream.setEncoding('utf8');
      for await (const chunk of stream) text += chunk;
      const what = `${method} ${path} ${body?.slice(0, 40)}`;
      assert.equal(headers[':status'], status, what);
      assert.equal(headers['content-type'], 'application/problem+json', what);
      const details = JSON.parse(text);
      assert.equal(details.status, status, what);
      assert.equal(details.cause, cause, what);
      if (param !== undefined) assert.equal(details.invalidParams[0].param, param, what);
      assert.doesNotMatch(text, /secret/);
      if (status === 405) assert.equal(headers.allow, 'POST');
    }
    session.close();
    assert.equal(server.inFlight, 0);
  });

  test('gives up at the deadline and cancels the stream', async () => {
    await assert.rejects(client.request({ method: 'GET', path: '/v1/slow', deadlineMs: Date.now() + 40 }), {
      code: 'SBI_TIMEOUT',
    });
    assert.equal(client.inFlight, 0);
    await assert.rejects(client.request({ method: 'GET', path: '/v1/slow', deadlineMs: Date.now() - 1 }), {
      code: 'SBI_TIMEOUT',
    });
  });
});

test('bounds its requests in flight, and the server sheds load but keeps room for priority calls', async () => {
  const server = new SbiServer({ host: '127.0.0.1', port: 0, log, maxInFlight: 8 });
  const waiting: (() => void)[] = [];
  let arrived: (() => void) | undefined;
  server.route({
    method: 'GET',
    path: '/wait',
    handler: () =>
      new Promise((resolve) => {
        waiting.push(() => resolve({ status: 204 }));
        arrived?.();
      }),
  });
  await server.listen();
  const client = newClient(server.origin, { maxInFlight: 9 });
  const get = (priority?: number) => client.request({ method: 'GET', path: '/wait', deadlineMs: soon(), priority });
  const all = new Promise<void>((resolve) => {
    arrived = () => waiting.length === 8 && resolve();
  });
  const running = Array.from({ length: 8 }, () => get());
  await all;
  const refused = await get();
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get('retry-after'), '1');
  assert.equal((refused.body as { cause: string }).cause, 'NF_CONGESTION');
  const urgent = get(1);
  await assert.rejects(get(), { code: 'SBI_CONGESTED' });
  await new Promise<void>((resolve) => {
    arrived = resolve;
  });
  for (const go of waiting) go();
  for (const reply of await Promise.all([...running, urgent])) assert.equal(reply.status, 204);
  await client.close();
  await server.close();
});

test('fails at once while the peer is away, and comes back by itself', async () => {
  const server = new SbiServer({ host: '127.0.0.1', port: 0, log });
  server.route({ method: 'GET', path: '/x', handler: () => ({ status: 204 }) });
  await server.listen();
  let connections = 0;
  const client = newClient(server.origin, { onConnected: () => connections++ });
  const port = Number(new URL(server.origin).port);
  assert.equal((await client.request({ method: 'GET', path: '/x', deadlineMs: soon() })).status, 204);
  await server.close();
  await assert.rejects(client.request({ method: 'GET', path: '/x', deadlineMs: soon() }), { code: 'SBI_UNAVAILABLE' });
  const again = new SbiServer({ host: '127.0.0.1', port, log });
  again.route({ method: 'GET', path: '/x', handler: () => ({ status: 204 }) });
  await again.listen();
  const giveUpAtMs = soon();
  for (;;) {
    try {
      assert.equal((await client.request({ method: 'GET', path: '/x', deadlineMs: soon() })).status, 204);
      break;
    } catch (error) {
      if (Date.now() > giveUpAtMs) throw error;
      await new Promise(setImmediate);
    }
  }
  assert.equal(connections, 2);
  await client.close();
  await again.close();
});

test('says when the host of the peer has ended the connection, or refused one', async () => {
  const raw = http2.createServer();
  raw.on('stream', (stream, headers) => {
    if (headers[':path'] === '/end') stream.session?.socket.destroy();
  });
  await new Promise<void>((resolve) => raw.listen(0, '127.0.0.1', resolve));
  let ended = 0;
  const client = newClient(`http://127.0.0.1:${(raw.address() as { port: number }).port}`, {
    onEndedByPeer: () => ended++,
  });
  const get = (path: string, deadlineMs = soon()) => client.request({ method: 'GET', path, deadlineMs });
  const is = (code: string, endedByPeer: boolean) => (error: unknown) =>
    error instanceof ImsdcError && error.code === code && (error.details.endedByPeer ?? false) === endedByPeer;
  await assert.rejects(get('/silent', Date.now() + 40), is('SBI_TIMEOUT', false));
  assert.equal(ended, 0);
  await assert.rejects(get('/end'), is('SBI_INTERRUPTED', true));
  assert.equal(ended, 1);
  await new Promise<void>((resolve) => raw.close(() => resolve()));
  // While it backs off, what it knows is said at once.
  for (let refused = 0; refused < 3; refused++) await assert.rejects(get('/any'), is('SBI_UNAVAILABLE', true));
  assert.equal(ended, 1, 'a connection that never was has not ended');
  await client.close();
});

// conformance: 29.500 6.10.9 — redirects, at most three, to allowed origins only
test('follows redirects only where they are allowed, at most three times', async () => {
  const target = new SbiServer({ host: '127.0.0.1', port: 0, log });
  target.route({ method: 'GET', path: '/here', handler: () => ({ status: 200, body: { here: true } }) });
  await target.listen();
  const front = new SbiServer({ host: '127.0.0.1', port: 0, log });
  front.route({
    method: 'GET',
    path: '/away',
    handler: () => ({ status: 307, headers: { location: `${target.origin}/here` } }),
  });
  front.route({ method: 'GET', path: '/round', handler: () => ({ status: 308, headers: { location: '/round' } }) });
  await front.listen();
  const trusting = newClient(front.origin, { redirectOrigins: [target.origin] });
  const strict = newClient(front.origin);
  const get = (client: SbiClient, path: string) => client.request({ method: 'GET', path, deadlineMs: soon() });
  assert.deepEqual((await get(trusting, '/away')).body, { here: true });
  await assert.rejects(get(strict, '/away'), { code: 'SBI_REDIRECT' });
  await assert.rejects(get(trusting, '/round'), { code: 'SBI_REDIRECT' });
  for (const closing of [trusting, strict, front, target]) await closing.close();
});

test('a PING tells the server that the peer lives, and a peer that answers none is dropped', async () => {
  const server = new SbiServer({ host: '127.0.0.1', port: 0, log, pingIntervalMs: 30 });
  server.route({ method: 'GET', path: '/x', handler: () => ({ status: 204 }) });
  await server.listen();
  const client = newClient(server.origin, { pingIntervalMs: 10 });
  await client.request({ method: 'GET', path: '/x', deadlineMs: soon() });
  for (let i = 0; i < 3; i++) assert.equal((await server.next('alive')).peer, 'IMS_AS-test@127.0.0.1');
  await client.close();
  await server.close();
});

test('refuses cleartext off loopback, and answers that are too long or not JSON', async () => {
  assert.throws(() => new SbiServer({ host: '0.0.0.0', port: 0, log }), { code: 'SBI_PLAINTEXT' });
  assert.throws(() => newClient('http://192.0.2.1:80'), { code: 'SBI_PLAINTEXT' });
  assert.throws(() => newClient('ftp://127.0.0.1'), { code: 'SBI_UNAVAILABLE' });
  const raw = http2.createServer();
  raw.on('stream', (stream, headers) => {
    stream.respond({ ':status': 200, 'content-type': 'application/json' });
    stream.end(headers[':path'] === '/long' ? `"${'x'.repeat(5_000)}"` : '<html>');
  });
  await new Promise<void>((resolve) => raw.listen(0, '127.0.0.1', resolve));
  const client = newClient(`http://127.0.0.1:${(raw.address() as { port: number }).port}`, { maxResponseBytes: 1_000 });
  for (const path of ['/long', '/html']) {
    await assert.rejects(client.request({ method: 'GET', path, deadlineMs: soon() }), { code: 'SBI_MALFORMED' });
  }
  await client.close();
  await new Promise<void>((resolve) => raw.close(() => resolve()));
});
