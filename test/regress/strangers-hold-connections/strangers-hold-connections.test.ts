import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { WebSocket } from 'ws';
import type { SipTlsConfig } from '../../../src/sip/transport/index.ts';
import { STREAM_LIMITS, type StreamLimits } from '../../../src/sip/transport/stream.ts';
import { TcpTransport } from '../../../src/sip/transport/tcp.ts';
import { readTlsMaterial, TlsTransport } from '../../../src/sip/transport/tls.ts';
import type { SipTransport, TransportSink } from '../../../src/sip/transport/transport.ts';
import { WebSocketTransport } from '../../../src/sip/transport/websocket.ts';
import { TestCa } from '../../sip/transport/certificates.ts';

/**
 * Anybody could hold all connections of a listener, silent, for half an hour each, and the S-CSCF was refused; and one half
 * of a message held its connection as long.
 */
const LOCAL = { address: '127.0.0.1', port: 0 };
const TRUSTED = '127.0.0.1';
const [STRANGER, ANOTHER] = ['127.0.0.2', '127.0.0.3'];
/** Of a small listener. */
const MAX_STRANGERS = 16;
const OPTIONS = 'OPTIONS sip:as@x SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9hG4bK1\r\nContent-Length: 0\r\n\r\n';
const LIMITS: StreamLimits = { ...STREAM_LIMITS, maxConnections: 2 };

/** Trusts one address, and a certificate of the S-CSCF. */
class Sink implements TransportSink {
  readonly texts: string[] = [];
  readonly troubles: string[] = [];
  readonly answers: number[] = [];

  received(bytes: Buffer): void {
    this.texts.push(bytes.toString('latin1'));
  }

  broken(status: number): void {
    this.answers.push(status);
  }

  trouble(what: string): void {
    this.troubles.push(what);
  }

  trusts({ remoteAddress, peerNames }: Parameters<NonNullable<TransportSink['trusts']>>[0]): boolean {
    return remoteAddress === TRUSTED || peerNames?.includes('scscf.home.test') === true;
  }

  count(what: string): number {
    return this.troubles.filter((one) => one === what).length;
  }
}

/** Its end may come as a reset. */
const closed = (socket: Socket) => new Promise((resolve) => socket.resume().once('close', resolve));

function from(localAddress: string, { local }: SipTransport): Socket {
  return connect({ host: '127.0.0.1', port: local.port, localAddress }).on('error', () => undefined);
}

async function opened(address: string, transport: SipTransport): Promise<Socket> {
  const socket = from(address, transport);
  await once(socket, 'connect');
  return socket;
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn();
}

describe('strangers on TCP', () => {
  async function listener(limits: Partial<StreamLimits> = {}) {
    const sink = new Sink();
    const transport = new TcpTransport(LOCAL, sink, { ...LIMITS, ...limits });
    await transport.start();
    return { sink, transport };
  }

  test('take no place of those whom we trust, and the oldest of them goes for the newest', async (t) => {
    const { sink, transport } = await listener();
    t.after(() => transport.close());
    const first = await opened(STRANGER!, transport);
    const gone = closed(first);
    for (let n = 1; n < MAX_STRANGERS; n++) await opened(STRANGER!, transport);
    await opened(ANOTHER!, transport);
    await gone;
    await until(() => transport.connections === MAX_STRANGERS);
    assert.equal(sink.count('strangerCut'), 1);
    for (let n = 0; n < LIMITS.maxConnections; n++) (await opened(TRUSTED, transport)).write(OPTIONS);
    await until(() => sink.texts.length === LIMITS.maxConnections);
    const refused = from(TRUSTED, transport);
    await closed(refused);
    assert.equal(sink.count('connectionRefused'), 1);
  });

  test('are few per address', async (t) => {
    const { sink, transport } = await listener({ maxStrangersPerAddress: 2 });
    t.after(() => transport.close());
    const [first] = [await opened(STRANGER!, transport), await opened(STRANGER!, transport)];
    await closed(from(STRANGER!, transport));
    assert.equal(sink.count('strangerCut'), 1);
    first.destroy();
    await until(() => transport.connections === 1);
    (await opened(STRANGER!, transport)).write(OPTIONS);
    await until(() => sink.texts.length === 1);
  });

  test('end after their time, whatever they say', async (t) => {
    const { sink, transport } = await listener({ strangerTimeoutMs: 100 });
    t.after(() => transport.close());
    const friend = await opened(TRUSTED, transport);
    const stranger = await opened(STRANGER!, transport);
    stranger.on('data', () => stranger.write('\r\n\r\n'));
    stranger.write(`${OPTIONS}\r\n\r\n`);
    await closed(stranger);
    assert.equal(sink.count('strangerCut'), 1);
    friend.write(OPTIONS);
    await until(() => sink.texts.length === 2);
  });
});

test('of those whom we trust the one that never said a word makes room', async (t) => {
  const sink = new Sink();
  const transport = new TcpTransport(LOCAL, sink, LIMITS);
  await transport.start();
  t.after(() => transport.close());
  const talks = await opened(TRUSTED, transport);
  talks.write(OPTIONS);
  await until(() => sink.texts.length === 1);
  const silent = await opened(TRUSTED, transport);
  await until(() => transport.connections === 2);
  const gone = closed(silent);
  (await opened(TRUSTED, transport)).write(OPTIONS);
  await gone;
  await until(() => sink.texts.length === 2);
  assert.deepEqual(sink.troubles, ['silentCut']);
  talks.write(OPTIONS);
  await until(() => sink.texts.length === 3);
});

test('half a message ends its connection with 408; half a keep-alive does not', async (t) => {
  const sink = new Sink();
  const transport = new TcpTransport(LOCAL, sink, { ...LIMITS, messageTimeoutMs: 100 });
  await transport.start();
  t.after(() => transport.close());
  const waits = await opened(TRUSTED, transport);
  waits.write(`${OPTIONS}\r\n`);
  await until(() => sink.texts.length === 1);
  const half = await opened(TRUSTED, transport);
  half.write(OPTIONS + OPTIONS.slice(0, 30));
  await closed(half);
  assert.deepEqual([sink.answers, sink.troubles], [[408], ['halfMessage']]);
  waits.write(OPTIONS);
  await until(() => sink.texts.length === 3);
});

describe('strangers on TLS and WebSocket', () => {
  let ca: TestCa;
  let server: SipTlsConfig;
  let client: SipTlsConfig;
  before(async () => {
    ca = await TestCa.create();
    server = await ca.issue(['as.home.test', '127.0.0.1']);
    client = await ca.issue(['scscf.home.test']);
  });
  after(() => ca.remove());

  test('who never ends the handshake goes, and who has shown a trusted name stays', async (t) => {
    const sink = new Sink();
    const limits = { ...LIMITS, strangerTimeoutMs: 1_000, connectTimeoutMs: 60_000 };
    const transport = new TlsTransport(LOCAL, sink, limits, readTlsMaterial({ ...server, requestCert: true }));
    await transport.start();
    t.after(() => transport.close());
    const { cert, key, ca: authority } = readTlsMaterial(client);
    const scscf = connectTls({
      ...{ cert, key, ca: authority, servername: 'as.home.test' },
      socket: from(STRANGER!, transport),
    }) as TLSSocket;
    await once(scscf, 'secureConnect');
    await until(() => transport.connections === 1);
    const silent = await Promise.all(Array.from({ length: MAX_STRANGERS }, () => opened(ANOTHER!, transport)));
    await Promise.all(silent.map((socket) => closed(socket)));
    assert.equal(sink.count('strangerCut'), MAX_STRANGERS);
    scscf.write(OPTIONS);
    await until(() => sink.texts.length === 1);
    scscf.destroy();
  });

  test('who never asks to upgrade goes, a WebSocket of a stranger too; one of a friend stays', async (t) => {
    const sink = new Sink();
    const limits = { ...LIMITS, strangerTimeoutMs: 200 };
    const transport = new WebSocketTransport(LOCAL, sink, { limits, tls: undefined, allowedOrigins: [] });
    await transport.start();
    t.after(() => transport.close());
    const url = `ws://127.0.0.1:${transport.local.port}/`;
    const friend = new WebSocket(url, 'sip');
    await once(friend, 'open');
    t.after(() => friend.terminate());
    const stranger = new WebSocket(url, 'sip', { localAddress: STRANGER! });
    await once(stranger, 'open');
    const silent = from(STRANGER!, transport);
    await Promise.all([once(stranger, 'close'), closed(silent)]);
    assert.equal(sink.count('strangerCut'), 2);
    friend.send(OPTIONS);
    await until(() => sink.texts.length === 1);
  });
});
