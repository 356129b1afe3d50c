import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { WebSocket } from 'ws';
import { silentLogger } from '../../../src/base/log.ts';
import { type DcAs, startDcAs } from '../../../src/dc-as/library/index.ts';
import { type Mdc2SocketOptions, socketOpener } from '../../../src/mf/application/mdc2-socket.ts';
import type { SbiTls } from '../../../src/sbi/tls.ts';
import { sealTicket } from '../../../src/services/mdc2.ts';
import { Authority } from '../../sbi/authority.ts';

const SECRET = 'a secret between DCSF and DC AS';
const directory = mkdtempSync(join(tmpdir(), 'imsdc-mdc2-'));
let dcAs: DcAs;
let mf: SbiTls;
let stranger: SbiTls;

async function files(authority: Authority, name: string): Promise<SbiTls> {
  const { certificatePem, keyPem } = await authority.issue(name, []);
  const path = (what: string) => join(directory, `${name}.${what}`);
  writeFileSync(path('pem'), certificatePem);
  writeFileSync(path('key'), keyPem);
  writeFileSync(path('ca'), authority.pem);
  return { certFile: path('pem'), keyFile: path('key'), caFile: path('ca') };
}

before(async () => {
  const [ours, theirs] = [await Authority.create('operator'), await Authority.create('somebody')];
  [mf, stranger] = [await files(ours, 'mf.example'), await files(theirs, 'stranger.example')];
  dcAs = await startDcAs({
    address: '127.0.0.1',
    port: 0,
    secret: SECRET,
    tls: await files(ours, 'dc-as.example'),
    log: silentLogger,
    applications: {
      hello: async (channel) => {
        await channel.send('over TLS');
        await channel.closed;
      },
    },
  });
});
after(async () => {
  await dcAs.close();
  rmSync(directory, { recursive: true });
});

function connect(options: Pick<Mdc2SocketOptions, 'tls'>, host = 'dc-as.example'): WebSocket {
  const port = Number(new URL(dcAs.url).port);
  const exp = Math.floor(Date.now() / 1_000) + 60;
  const ticket = sealTicket({ jti: 'j'.repeat(32), exp, app: 'hello', session: 's1', mode: 'P2A' }, SECRET);
  const open = socketOpener({ connectTimeoutMs: 5_000, ...options });
  const names = { terminationId: 'served', mediaId: 'm1', label: '', subprotocol: '', peerMaxMessageSizeBytes: 0 };
  const url = `wss://${host}:${port}/channels`;
  return open({ kind: 'mdc2', url, address: '127.0.0.1', port, ticket, ...names }, 1_000, 65_536);
}

const failure = (socket: WebSocket) =>
  new Promise<string>((resolve, reject) => {
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on('message', () => reject(new Error('it was let in')));
  });

// conformance: R27 — mutual TLS off loopback; SNI and Host from the URL, the address from the AS
test('MDC2 over mutual TLS, to an address, by the name of the URL', async () => {
  const socket = connect({ tls: mf });
  assert.equal(await new Promise((resolve) => socket.on('message', (data) => resolve(String(data)))), 'over TLS');
  socket.close();
});

test('a DC AS that is another one than the URL says is not talked to', async () => {
  assert.equal(await failure(connect({ tls: mf }, 'other.example')), 'ERR_TLS_CERT_ALTNAME_INVALID');
});

test('neither side trusts a stranger', async () => {
  assert.match(await failure(connect({ tls: { ...stranger, caFile: mf.caFile } })), /TLS|SSL|ECONNRESET|EPIPE/);
  assert.match(await failure(connect({ tls: stranger })), /UNABLE_TO|SELF_SIGNED/);
  assert.match(await failure(connect({})), /UNABLE_TO|SELF_SIGNED/);
});

test('without TLS a DC AS is for loopback only', async () => {
  const options = { address: '192.0.2.1', port: 0, secret: SECRET, applications: {}, log: silentLogger };
  await assert.rejects(startDcAs(options), { code: 'SBI_PLAINTEXT' });
});
