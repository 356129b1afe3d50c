import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type WebSocket, WebSocketServer } from 'ws';
import { silentLogger } from '../../../src/base/log.ts';
import { Metrics } from '../../../src/base/metrics.ts';
import { CREDIT_BYTES } from '../../../src/mf/application/channel.ts';
import { ApplicationProxy } from '../../../src/mf/application/proxy.ts';
import type { ApplicationTarget } from '../../../src/mf/mrm/service-port.ts';
import { FakeEngine, type FakePort } from '../fake-engine.ts';

const REF = { key: 'c1#1', streamId: 1_000 };

interface RigOptions {
  readonly maxChannels?: number;
  readonly slowReaderLimitMs?: number;
}

/** A proxy over the fake engine, and DC ASs that do what the test says. */
class Rig {
  readonly engine = new FakeEngine();
  readonly proxy: ApplicationProxy;
  readonly server: WebSocketServer;
  readonly closedByServer: string[] = [];
  readonly #sockets: WebSocket[] = [];
  #arrived: () => void = () => undefined;

  static async start(options: RigOptions = {}): Promise<Rig> {
    const rig = new Rig(options);
    if (rig.server.address() === null) await new Promise((resolve) => rig.server.once('listening', resolve));
    return rig;
  }

  private constructor(options: RigOptions) {
    this.proxy = new ApplicationProxy({
      engine: this.engine,
      maxChannels: options.maxChannels ?? 10,
      slowReaderLimitMs: options.slowReaderLimitMs ?? 10_000,
      connectTimeoutMs: 1_000,
      log: silentLogger,
      metrics: new Metrics(),
      closedByServer: ({ key, streamId }) => this.closedByServer.push(`${key} ${streamId}`),
    });
    this.server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    this.server.on('connection', (socket) => {
      this.#sockets.push(socket);
      this.#arrived();
    });
  }

  target(change: Partial<ApplicationTarget> = {}): ApplicationTarget {
    const { port } = this.server.address() as { port: number };
    const url = `ws://dc-as.example:${port}/channels`;
    const names = { terminationId: 'served', mediaId: 'm1', label: '', subprotocol: '', ticket: undefined };
    return { kind: 'mdc2', url, address: '127.0.0.1', port, peerMaxMessageSizeBytes: 1_000, ...names, ...change };
  }

  serve(change?: Partial<ApplicationTarget>): FakePort {
    this.proxy.serve(REF, this.target(change));
    return this.engine.ports.get(`${REF.key} ${REF.streamId}`)!;
  }

  open(): void {
    this.engine.emit('stream', { ...REF, state: 'open' });
  }

  /** The next socket that a DC AS got. */
  async socket(): Promise<WebSocket> {
    for (;;) {
      const socket = this.#sockets.shift();
      if (socket) return socket;
      await new Promise<void>((resolve) => (this.#arrived = resolve));
    }
  }

  async close(): Promise<void> {
    this.proxy.close();
    for (const client of this.server.clients) client.terminate();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

const next = (socket: WebSocket) => new Promise<Buffer>((resolve) => socket.once('message', resolve));
const ended = (socket: WebSocket) => new Promise<number>((resolve) => socket.once('close', resolve));
async function until(holds: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 5_000; !holds(); ) {
    assert.ok(Date.now() < deadline, 'it never came true');
    await new Promise(setImmediate);
  }
}

describe('a channel to a DC AS', () => {
  let rig: Rig;
  before(async () => {
    rig = await Rig.start();
  });
  after(() => rig.close());

  test('the engine may open the stream before we are told to serve it', async () => {
    rig.open();
    const port = rig.serve();
    const socket = await rig.socket();
    port.onMessage(Buffer.from('first'), 'text');
    assert.equal(String(await next(socket)), 'first');
    rig.proxy.end(REF);
    assert.equal(await ended(socket), 1000);
    assert.ok(port.closed);
    rig.proxy.endAll(REF.key);
    await until(() => rig.proxy.sockets === 0);
  });

  test('what comes before the socket is open waits for it, and credit comes back when it is out', async () => {
    const port = rig.serve();
    rig.open();
    for (const text of ['a', 'b', 'c']) port.onMessage(Buffer.from(text), 'text');
    assert.equal(port.credit, CREDIT_BYTES, 'no more until the kernel has taken something');
    const socket = await rig.socket();
    const got: string[] = [];
    socket.on('message', (data: Buffer) => got.push(String(data)));
    await until(() => got.length === 3 && port.credit === CREDIT_BYTES + 3 * 17);
    assert.deepEqual(got, ['a', 'b', 'c']);
    rig.proxy.endAll(REF.key);
    await ended(socket);
  });

  test('a DC AS that is done is told of; one that goes away, fails or breaks off is not', async () => {
    for (const [close, told] of [
      [(socket: WebSocket) => socket.close(1000), 1],
      [(socket: WebSocket) => socket.close(), 1],
      [(socket: WebSocket) => socket.close(1001), 0],
      [(socket: WebSocket) => socket.close(1011), 0],
      [(socket: WebSocket) => socket.terminate(), 0],
    ] as const) {
      rig.closedByServer.length = 0;
      rig.serve();
      rig.open();
      close(await rig.socket());
      await until(() => rig.proxy.size === 0 && rig.proxy.sockets === 0);
      assert.equal(rig.closedByServer.length, told);
      rig.proxy.endAll(REF.key);
    }
  });

  test('a UE that takes nothing stops its DC AS, and later gets everything in order', async () => {
    const port = rig.serve();
    rig.open();
    const socket = await rig.socket();
    port.writable = false;
    const total = 20_000;
    for (let i = 0; i < total; i++) socket.send(Buffer.alloc(1_000, String(i)));
    await until(() => socket.bufferedAmount > 0);
    assert.equal(port.sent.length, 0);
    assert.ok(socket.bufferedAmount > total * 100, 'most of it waits at the DC AS');
    port.writable = true;
    port.onWritable();
    await until(() => port.sent.length === total);
    assert.ok(port.sent.every((message, i) => message.length === 1_000 && message[0] === String(i).charCodeAt(0)));
    rig.proxy.endAll(REF.key);
    await ended(socket);
  });

  test('what a DC AS sent before it closed reaches the UE first', async () => {
    const port = rig.serve();
    rig.open();
    const socket = await rig.socket();
    port.writable = false;
    socket.send('last words');
    socket.close(1000);
    await ended(socket);
    assert.equal(port.closed, false);
    port.writable = true;
    port.onWritable();
    await until(() => port.closed);
    assert.deepEqual(port.sent.map(String), ['last words']);
    assert.equal(rig.proxy.size, 0);
    rig.proxy.endAll(REF.key);
  });

  test('a message larger than the UE takes, and a broken connection, reset the stream', async () => {
    for (const harm of [(s: WebSocket) => s.send(Buffer.alloc(1_001)), (s: WebSocket) => s.terminate()]) {
      rig.engine.log.length = 0;
      rig.serve();
      rig.open();
      const socket = await rig.socket();
      harm(socket);
      await until(() => rig.proxy.size === 0);
      assert.deepEqual(rig.engine.log, [`resetStream ${REF.key}`]);
      rig.proxy.endAll(REF.key);
    }
    await until(() => rig.proxy.sockets === 0);
  });

  test('another DC AS: the socket moves, the stream stays; the same one: nothing happens', async () => {
    const port = rig.serve();
    rig.open();
    const first = await rig.socket();
    port.onMessage(Buffer.from('open'), 'text');
    await next(first);
    const moved = ended(first);
    rig.serve();
    rig.serve({ ticket: 'new' });
    const second = await rig.socket();
    assert.equal(await moved, 4002);
    port.onMessage(Buffer.from('here'), 'binary');
    assert.equal(String(await next(second)), 'here');
    assert.equal(port.closed, false);
    rig.proxy.endAll(REF.key);
    await ended(second);
  });

  test('the number of channels is bounded', async () => {
    const few = await Rig.start({ maxChannels: 0 });
    assert.throws(() => few.serve(), { code: 'MF_NO_RESOURCES' });
    await few.close();
  });
});

// conformance: R29 — after slowReaderLimitMs the stream is reset with a reason
test('a UE that never takes anything loses the channel', async () => {
  const rig = await Rig.start({ slowReaderLimitMs: 50 });
  const port = rig.serve();
  rig.open();
  const socket = await rig.socket();
  port.writable = false;
  socket.send('anybody there?');
  assert.equal(await ended(socket), 4001);
  assert.deepEqual(rig.engine.log, [`resetStream ${REF.key}`]);
  await rig.close();
});
