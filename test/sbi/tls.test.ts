import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { silentLogger } from '../../src/base/log.ts';
import { Mdc1Client } from '../../src/mf/bootstrap/mdc1-client.ts';
import { SbiClient } from '../../src/sbi/client.ts';
import { SbiServer } from '../../src/sbi/server.ts';
import { isLoopback, type SbiTls, serverTlsOptions } from '../../src/sbi/tls.ts';
import { Authority } from './authority.ts';

const log = silentLogger;
const soon = () => Date.now() + 3_000;

// conformance: 33.501 13.1, 13.3 — mutual TLS between network functions
describe('mutual TLS', () => {
  const directory = mkdtempSync(join(tmpdir(), 'imsdc-tls-'));
  let ours: SbiTls;
  let strangers: SbiTls;
  let server: SbiServer;

  before(async () => {
    const file = (name: string, content: string) => {
      writeFileSync(join(directory, name), content);
      return join(directory, name);
    };
    const authority = await Authority.create('network');
    const other = await Authority.create('somebody else');
    const one = await authority.issue('mf1.example', ['127.0.0.1']);
    const two = await other.issue('stranger', ['127.0.0.1']);
    const caFile = file('ca.pem', authority.pem);
    ours = { certFile: file('1.pem', one.certificatePem), keyFile: file('1.key', one.keyPem), caFile };
    strangers = { certFile: file('2.pem', two.certificatePem), keyFile: file('2.key', two.keyPem), caFile };
    server = new SbiServer({ host: '127.0.0.1', port: 0, log, tls: ours });
    server.route({ method: 'GET', path: '/who', handler: ({ peer }) => ({ status: 200, body: { peer } }) });
    await server.listen();
  });
  after(async () => {
    await server.close();
    rmSync(directory, { recursive: true });
  });

  const ask = async (tls: SbiTls | undefined) => {
    const client = new SbiClient({ apiRoot: server.origin, userAgent: 'IMS_AS-1', log, tls });
    try {
      return await client.request({ method: 'GET', path: '/who', deadlineMs: soon() });
    } finally {
      await client.close();
    }
  };

  test('serves who our authority certified, under the name of its certificate', async () => {
    assert.match(server.origin, /^https:/);
    const reply = await ask(ours);
    assert.equal(reply.status, 200);
    assert.match((reply.body as { peer: string }).peer, /^IMS_AS-1@(?:[0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  });

  test('refuses strangers, and peers without a certificate', async () => {
    await assert.rejects(ask(strangers), { name: 'ImsdcError' });
    await assert.rejects(ask(undefined), { name: 'ImsdcError' });
  });

  // conformance: R27 — MDC1: connect to the endpoint, SNI and Host from the URL
  test('MDC1 over TLS: name from the URL, address from the AS', async () => {
    let seen: unknown;
    const repository = https.createServer(serverTlsOptions(ours) as https.ServerOptions, (request, response) => {
      seen = { host: request.headers.host, name: (request.socket as unknown as { servername: string }).servername };
      response.end('ok');
    });
    await new Promise<void>((resolve) => repository.listen(0, '127.0.0.1', resolve));
    const { port } = repository.address() as AddressInfo;
    const get = async (host: string, tls: SbiTls | undefined) => {
      const mdc1 = new Mdc1Client({ allowPlainHttp: false, maxSockets: 4, timeoutMs: 2_000, tls });
      const request = {
        method: 'GET',
        url: new URL(`https://${host}:${port}/t/`),
        headers: {},
        body: new Uint8Array(0),
      };
      try {
        const message = await mdc1.request(request, { address: '127.0.0.1', port }, new AbortController().signal);
        return message.statusCode;
      } finally {
        mdc1.close();
      }
    };
    assert.equal(await get('mf1.example', ours), 200);
    assert.deepEqual(seen, { host: `mf1.example:${port}`, name: 'mf1.example' });
    await assert.rejects(get('other.example', ours), { code: 'MDC1_UNREACHABLE' });
    await assert.rejects(get('mf1.example', strangers), { code: 'MDC1_UNREACHABLE' });
    repository.closeAllConnections();
    await new Promise((resolve) => repository.close(resolve));
  });
});

test('what counts as loopback', () => {
  for (const host of ['127.0.0.1', '127.9.9.9', '::1', '[::1]', 'localhost']) assert.ok(isLoopback(host), host);
  for (const host of ['0.0.0.0', '10.0.0.1', '::', 'localhost.example', '127.evil.example', ''])
    assert.ok(!isLoopback(host), host);
});
