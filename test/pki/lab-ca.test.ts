import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect, createServer } from 'node:tls';
import { pkiCommand } from '../../src/cli/pki.ts';
import { createCa, issue } from '../../src/pki/lab-ca.ts';

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'imsdc-pki-'));
});
after(() => rmSync(folder, { recursive: true }));

const now = { validityDays: 2, nowMs: Date.now() };

/** A mutual TLS handshake with certificates of two CAs; resolves with what the server saw. */
function handshake(serverCa: string, server: { certificatePem: string; privateKeyPem: string }, client: typeof server) {
  return new Promise<string>((resolve, reject) => {
    const listener = createServer({
      cert: server.certificatePem,
      key: server.privateKeyPem,
      ca: serverCa,
      requestCert: true,
      rejectUnauthorized: true,
    });
    const finish = (result: () => void) => {
      listener.close();
      result();
    };
    listener.on('tlsClientError', (error) => finish(() => reject(error)));
    listener.on('secureConnection', (socket) => {
      const subject = String(socket.getPeerCertificate().subject.CN);
      socket.destroy();
      finish(() => resolve(subject));
    });
    listener.listen(0, '127.0.0.1', () => {
      const { port } = listener.address() as { port: number };
      const socket = connect({
        host: '127.0.0.1',
        port,
        ca: serverCa,
        cert: client.certificatePem,
        key: client.privateKeyPem,
      });
      socket.on('error', () => undefined); // the server's verdict is what counts
    });
  });
}

test('functions with certificates of the lab CA trust each other, by address too', async () => {
  const ca = await createCa({ commonName: 'test CA', ...now });
  const mf = await issue(ca, { names: ['mf1', '127.0.0.1'], ...now });
  const as = await issue(ca, { names: ['dcsf1'], ...now });
  assert.equal(await handshake(ca.certificatePem, mf, as), 'dcsf1');
});

test('a certificate of another CA is refused', async () => {
  const ca = await createCa({ commonName: 'test CA', ...now });
  const other = await createCa({ commonName: 'test CA', ...now });
  const mf = await issue(ca, { names: ['mf1', '127.0.0.1'], ...now });
  await assert.rejects(handshake(ca.certificatePem, mf, await issue(other, { names: ['dcsf1'], ...now })));
});

test('imsdc pki init makes what is missing and keeps what is there; keys are private', async () => {
  const dir = join(folder, 'pki');
  assert.equal(await pkiCommand(['init', '--dir', dir, 'mf1,127.0.0.1']), 0);
  const first = readFileSync(join(dir, 'mf1.pem'), 'utf8');
  assert.equal(await pkiCommand(['init', '--dir', dir, 'mf1,127.0.0.1', 'dcsf1']), 0);
  assert.equal(readFileSync(join(dir, 'mf1.pem'), 'utf8'), first);
  assert.equal(statSync(join(dir, 'dcsf1.key')).mode & 0o777, 0o600);
  await assert.rejects(pkiCommand(['init', '--dir', dir, '../escape']), /does not start with a host name/);
  await assert.rejects(pkiCommand(['init', '--days', 'soon']), /whole number of days/);
});
