import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { Ajv } from 'ajv';
import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { DcarConfig } from '../../src/dcar/config.ts';
import { type Dcar, startDcar } from '../../src/dcar/index.ts';
import { writeZip } from '../../src/dcar/package/zip-write.ts';
import type { Grant } from '../../src/services/ndcar.ts';
import { GrantClient } from '../../src/services/ndcar-client.ts';

export const SECRET = 'a-secret-for-tests-only';

export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'imsdc-dcar-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A package with index.html, properties.json and what is given. */
export function packaged(properties: object = {}, files: Record<string, string> = {}): Buffer {
  const all = {
    'index.html': '<!doctype html><title>t</title>',
    'properties.json': JSON.stringify({ appId: '10000005', version: '1.0.0', permissions: [], ...properties }),
    ...files,
  };
  return writeZip(Object.entries(all).map(([name, content]) => ({ name, content: Buffer.from(content) })));
}

export function configured(overrides: object): DcarConfig {
  const config = structuredClone(overrides) as DcarConfig;
  const validate = new Ajv({ strict: false, useDefaults: true }).compile(DcarConfig);
  assert.ok(validate(config), JSON.stringify(validate.errors));
  return config;
}

export async function started(t: TestContext, overrides: object = {}): Promise<Dcar> {
  const config = configured({
    mdc1: { port: 0 },
    internal: { port: 0, secret: SECRET },
    repository: { directory: temporaryDirectory(t) },
    ...overrides,
  });
  const dcar = await startDcar(config, { log: silentLogger, metrics: new Metrics() });
  t.after(() => dcar.close());
  return dcar;
}

export function client(t: TestContext, url: string, more: object = {}): GrantClient {
  const grants = new GrantClient({ url, secret: SECRET, log: silentLogger, metrics: new Metrics(), ...more });
  t.after(() => grants.close());
  return grants;
}

let tokens = 0;
export function grant(more: Partial<Grant> = {}): Grant {
  return {
    token: (++tokens).toString(16).padStart(32, '0'),
    sessionId: 's1',
    streamId: 0,
    subscriber: 'sip:alice@ims.example',
    network: 'own',
    applications: '*',
    peerSupportsDc: true,
    profile: 'auto',
    expiresAtMs: Date.now() + 60_000,
    ...more,
  };
}

export interface RawResponse {
  readonly status: number;
  /** Names lower-case, values as sent. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  readonly headerBytes: number;
}

/** Writes exactly these bytes and reads one response by its Content-Length, as a handset would. */
export async function exchange(address: string, bytes: string): Promise<RawResponse> {
  const url = new URL(address);
  const socket = connect(Number(url.port), url.hostname);
  socket.write(bytes);
  let received = Buffer.alloc(0);
  for await (const chunk of socket) {
    received = Buffer.concat([received, chunk as Buffer]);
    const end = received.indexOf('\r\n\r\n');
    if (end < 0) continue;
    const [statusLine, ...lines] = received.subarray(0, end).toString('latin1').split('\r\n');
    const headers = new Map(
      lines.map((line) => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    const status = Number(statusLine!.split(' ')[1]);
    const length = status === 304 || bytes.startsWith('HEAD') ? 0 : Number(headers.get('content-length'));
    const body = received.subarray(end + 4);
    if (body.length < length) continue;
    socket.destroy();
    assert.equal(body.length, length, 'not a byte more than Content-Length');
    return { status, headers, body, headerBytes: end + 4 };
  }
  throw new Error(`connection closed after ${received.length} bytes`);
}
