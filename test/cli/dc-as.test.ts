import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { MDC2_HEADER, MDC2_SUBPROTOCOL, sealTicket } from '../../src/services/mdc2.ts';

const MAIN = resolve(import.meta.dirname, '../../src/cli/main.ts');
const SECRET = 'shared with the DCSF';

const dcAs = (...options: string[]): ChildProcess =>
  spawn(process.execPath, [MAIN, 'dc-as', ...options], { env: { ...process.env, IMSDC_LOG: 'error' } });

async function result(child: ChildProcess): Promise<{ status: number; text: string }> {
  let text = '';
  child.stdout!.on('data', (piece: Buffer) => (text += piece));
  child.stderr!.on('data', (piece: Buffer) => (text += piece));
  const [status] = (await once(child, 'close')) as [number];
  return { status, text };
}

test('says where it listens, serves its applications, ends when told to', { timeout: 60_000 }, async () => {
  const child = dcAs('--menu', '1', '--echo', '2', '--secret', SECRET, '--port', '0');
  const [line] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string];
  const { url, applications } = JSON.parse(line) as { url: string; applications: string[] };
  assert.deepEqual(applications, ['1', '2']);
  const exp = Math.floor(Date.now() / 1_000) + 60;
  const ticket = sealTicket({ jti: 'j'.repeat(32), exp, app: '1', session: 's', mode: 'P2A' }, SECRET);
  const headers = {
    authorization: `Bearer ${ticket}`,
    [MDC2_HEADER.termination]: 'served',
    [MDC2_HEADER.mediaId]: 'm1',
    [MDC2_HEADER.streamId]: '1000',
    [MDC2_HEADER.maxMessageSize]: '65536',
  };
  const socket = new WebSocket(url, [MDC2_SUBPROTOCOL], { headers });
  const pages: string[] = [];
  const closed = once(socket, 'close');
  socket.on('message', (data) => {
    pages.push((JSON.parse(String(data)) as { page: string }).page);
    // A tap, what is none, and a farewell.
    const says = ['{"tap":"roaming"}', 'no JSON', '{"bye":true}'][pages.length - 1];
    if (says) socket.send(says);
  });
  assert.equal(((await closed) as [number])[0], 1000);
  assert.deepEqual(pages, ['', 'roaming', '']);
  const ended = once(child, 'close');
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
});

test('mistakes on the command line', { timeout: 60_000 }, async () => {
  const cases: [options: string[], status: number, text: RegExp][] = [
    [['--help'], 0, /sample DC AS/],
    [['--menu', '1'], 64, /--secret is missing/],
    [['--secret', SECRET], 64, /which applications/],
    [['--secret', SECRET, '--menu', '1', '--port', 'x'], 64, /--port x is not a port/],
    [['--secret', SECRET, '--menu', '1', '--tls-cert', 'x'], 64, /go together/],
    [['--secret', SECRET, '--menu', '1', '--address', '192.0.2.1'], 78, /loopback only/],
    [['--secret', SECRET, '--menu', '1', '--media-ports', '9-5'], 64, /--media-ports 9-5/],
    [['--secret', SECRET, '--menu', '1', '--media-ports', '20000-20009', '--engine', 'x'], 64, /--engine x/],
    [['--wrong'], 64, /Unknown option/],
  ];
  const results = await Promise.all(cases.map(([options]) => result(dcAs(...options))));
  for (const [i, [, status, text]] of cases.entries()) {
    assert.equal(results[i]!.status, status, results[i]!.text);
    assert.match(results[i]!.text, text);
  }
});
