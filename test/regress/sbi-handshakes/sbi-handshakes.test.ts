import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { silentLogger } from '../../../src/base/log.ts';
import { createCa, issue } from '../../../src/pki/lab-ca.ts';
import { SbiClient } from '../../../src/sbi/client.ts';
import { SbiServer } from '../../../src/sbi/server.ts';
import type { SbiTls } from '../../../src/sbi/tls.ts';

/**
 * Anybody could leave TLS handshakes of the SBI unfinished, for two minutes each and as many as the process has file
 * descriptors.
 */
const MAX_NEWCOMERS = 128;
const folder = mkdtempSync(join(tmpdir(), 'imsdc-handshakes-'));
let tls: SbiTls;
before(async () => {
  const ca = await createCa({ commonName: 'test', validityDays: 2, nowMs: Date.now() });
  const pair = await issue(ca, { names: ['mf1', '127.0.0.1'], validityDays: 2, nowMs: Date.now() });
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  tls = {
    certFile: file('own.pem', pair.certificatePem),
    keyFile: file('own.key', pair.privateKeyPem),
    caFile: file('ca.pem', ca.certificatePem),
  };
});
after(() => rmSync(folder, { recursive: true }));

test('of too many unfinished handshakes the oldest goes; who has shown a certificate stays and is served', async (t) => {
  const said: string[] = [];
  const log = Object.assign(Object.create(silentLogger), { debug: (_: object, text: string) => said.push(text) });
  const server = new SbiServer({ host: '127.0.0.1', port: 0, tls, log });
  server.route({ method: 'GET', path: '/here', handler: () => ({ status: 204 }) });
  await server.listen();
  const sessions: number[] = [];
  const options = { apiRoot: server.origin, userAgent: 'IMS_AS-test', tls, log: silentLogger };
  const client = new SbiClient({ ...options, onConnected: () => sessions.push(1) });
  const silent: Socket[] = [];
  t.after(async () => {
    for (const socket of silent) socket.destroy();
    await client.close();
    await server.close();
  });
  const ask = async (who: SbiClient) => {
    const { status } = await who.request({ method: 'GET', path: '/here', deadlineMs: Date.now() + 10_000 });
    assert.equal(status, 204);
  };
  await ask(client);
  const { port } = new URL(server.origin);
  const open = async () => {
    const socket = connect(Number(port), '127.0.0.1').on('error', () => undefined);
    silent.push(socket);
    await once(socket, 'connect');
    return socket;
  };
  const first = await open();
  const gone = new Promise((resolve) => first.resume().once('close', resolve));
  for (let n = 0; n < MAX_NEWCOMERS; n++) await open();
  await gone;
  assert.ok(said.includes('too many TLS handshakes, ending the oldest'));
  await ask(client);
  assert.equal(sessions.length, 1, 'the session that was there');
  const another = new SbiClient(options);
  await ask(another);
  await another.close();
});
