import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { freePort } from '../../src/lab/ports.ts';
import type { EngineClient } from '../../src/mf/engine/client.ts';
import { remoteOf, reserveOptions, startEngine, stateOf, workerMissing } from './rig.ts';

/** OpenSSL's own client as the peer: what a UE may not do is refused, whatever it speaks. */
const openssl = spawnSync('openssl', ['version'], { encoding: 'utf8' });
const skip = workerMissing || (openssl.status === 0 ? false : 'openssl is not installed');
const folder = mkdtempSync(join(tmpdir(), 'imsdc-openssl-'));
let mf: EngineClient;
let fingerprint: string;
let serial = 0;

before(async () => {
  if (skip) return;
  for (const name of ['right', 'wrong']) {
    const subject = ['-subj', '/CN=ue', '-days', '2', '-keyout', join(folder, `${name}.key`)];
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    execFileSync('openssl', ['req', '-x509', ...key, ...subject, '-out', join(folder, `${name}.pem`)], {
      stdio: 'ignore',
    });
  }
  fingerprint = `SHA-256 ${new X509Certificate(readFileSync(join(folder, 'right.pem'))).fingerprint256}`;
  mf = await startEngine({ associationTimeoutMs: 8000 });
});
after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await mf?.close();
});

interface Outcome {
  readonly output: string;
  /** The MF's verdict, when there was one. */
  readonly reason: string | undefined;
}

/** Runs `openssl s_client` against a waiting association until the MF gives it up or `until` stands in its output. */
async function attempt(args: string[], until: RegExp, input?: string): Promise<Outcome> {
  const key = `k${serial++}`;
  const [local, port] = [await mf.reserve(key, key, reserveOptions), await freePort('127.0.0.1')];
  const remote = { role: 'passive', port, fingerprints: [fingerprint] } as const;
  const failed = stateOf(mf, key, 'failed');
  await mf.start(key, remoteOf(local, remote));
  const connect = ['-connect', `127.0.0.1:${local.port}`, '-bind', `127.0.0.1:${port}`];
  const client = spawn('openssl', ['s_client', ...connect, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  // It may end before it has read all of its input.
  client.stdin.on('error', () => undefined);
  let output = '';
  const decided = new Promise<void>((resolve) => {
    const read = (chunk: Buffer) => {
      output += chunk;
      if (input && output.includes('Extended master secret')) client.stdin.write(input);
      if (until.test(output)) resolve();
    };
    client.stdout.on('data', read);
    client.stderr.on('data', read);
  });
  const verdict = await Promise.race([failed.then((reason) => ({ reason })), decided.then(() => undefined)]);
  client.kill('SIGKILL');
  await mf.release(key);
  return { output, reason: verdict?.reason };
}

const CONNECTED = /Extended master secret: \w+/;
const NEVER = /(?!)/;

const certificate = (name: string) => ['-cert', join(folder, `${name}.pem`), '-key', join(folder, `${name}.key`)];

test('a peer with the right certificate completes DTLS 1.2 with an AEAD suite and extended master secret', {
  skip,
}, async () => {
  for (const cipher of [
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
  ]) {
    const { output, reason } = await attempt(['-dtls1_2', '-cipher', cipher, ...certificate('right')], CONNECTED);
    assert.match(output, new RegExp(`Cipher is ${cipher}`));
    assert.match(output, /Extended master secret: yes/);
    assert.equal(reason, undefined);
  }
});

// conformance: RFC 8122 6.2, ue-side 9 — no certificate, or one that matches no fingerprint: reported, freed
test('a wrong certificate is told from a missing one', { skip }, async () => {
  assert.equal((await attempt(['-dtls1_2', ...certificate('wrong')], NEVER)).reason, 'FINGERPRINT_MISMATCH');
  assert.equal((await attempt(['-dtls1_2'], NEVER)).reason, 'HANDSHAKE_FAILED');
});

// conformance: ue-side 9 — NULL, anonymous and other weak cipher suites: fatal alert, reported
test('DTLS 1.0 and suites without encryption, certificate, forward secrecy or authenticated encryption are refused', {
  skip,
}, async () => {
  assert.equal(
    (await attempt(['-dtls1', '-cipher', 'ALL:@SECLEVEL=0', ...certificate('right')], NEVER)).reason,
    'HANDSHAKE_FAILED',
  );
  for (const cipher of [
    'eNULL',
    'ECDHE-ECDSA-NULL-SHA',
    'aNULL',
    'AECDH-AES128-SHA',
    'ADH-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES128-SHA',
    'ECDHE-ECDSA-AES128-SHA256',
    'AES128-GCM-SHA256',
  ]) {
    const args = ['-dtls1_2', '-cipher', `${cipher}:@SECLEVEL=0`, ...certificate('right')];
    const { output, reason } = await attempt(args, NEVER);
    assert.equal(reason, 'HANDSHAKE_FAILED', cipher);
    assert.doesNotMatch(output, /no cipher match/, 'the client must have asked for it');
  }
});

// conformance: ue-side 9 — renegotiation: fatal alert, reported, freed
test('renegotiation ends the association', { skip }, async () => {
  const { output, reason } = await attempt(['-dtls1_2', ...certificate('right')], NEVER, 'R\n');
  assert.match(output, /RENEGOTIATING/);
  assert.equal(reason, 'HANDSHAKE_FAILED');
});
