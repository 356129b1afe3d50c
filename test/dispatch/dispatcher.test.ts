import assert from 'node:assert/strict';
import { createSocket, type Socket as Datagrams } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { TypedEmitter } from '../../src/base/emitter.ts';
import { IdMint } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { WorkerDispatcher } from '../../src/dispatch/dispatcher.ts';
import { HashRing } from '../../src/dispatch/ring.ts';
import { WorkerLink } from '../../src/dispatch/worker-link.ts';
import { type SipTransport, TrustedPeers } from '../../src/sip/transport/index.ts';
import type { Flow } from '../../src/sip/types.ts';

const WORKERS = 2;
const LISTENERS = [
  { transport: 'udp', address: '127.0.0.1', port: 0 },
  { transport: 'tcp', address: '127.0.0.1', port: 0 },
  { transport: 'ws', address: '127.0.0.1', port: 0 },
] as const;
const HOME = new HashRing(WORKERS);
const id = (worker: number) => new IdMint({ instance: 'core', worker, epoch: 1 }).next();

/** A worker without an AS: shows what it gets, sends what it is told to. */
class Worker extends TypedEmitter<{ message: { text: string; flow: Flow; listener: number }; lag: number }> {
  readonly link: WorkerLink;
  readonly socket: Socket;
  readonly transports: readonly SipTransport[];

  constructor(socket: Socket) {
    super();
    this.socket = socket;
    this.link = new WorkerLink(socket, () => undefined);
    this.link.serve();
    this.transports = LISTENERS.map((config, listener) =>
      this.link.transports(
        config.transport,
        { address: config.address, port: config.port },
        {
          received: (bytes, flow) => this.emit('message', { text: bytes.toString('latin1'), flow, listener }),
          broken: () => assert.fail('streams are framed by the dispatcher'),
          trouble: () => undefined,
        },
        { ...config },
      ),
    );
  }

  /** The dispatcher has heard that it serves: nobody else is sent ticks. */
  up(): Promise<unknown> {
    return new Promise((resolve) => {
      this.link.lag(resolve);
    });
  }

  reply(listener: number, flow: Flow, wire: string): void {
    const { transport, remoteAddress: address, remotePort: port, connection } = flow;
    const to = { transport, address, port, ...(connection !== undefined && { connection }) };
    this.transports[listener]!.send(wire, to, (error) => assert.fail(error));
  }
}

function message(method: string, { callId, toTag }: { callId: string; toTag?: string }): string {
  return [
    `${method} sip:b@127.0.0.1 SIP/2.0`,
    `Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK${callId}`,
    'Max-Forwards: 70',
    'From: <sip:a@x>;tag=1',
    `To: <sip:b@x>${toTag === undefined ? '' : `;tag=${toTag}`}`,
    `Call-ID: ${callId}`,
    `CSeq: 1 ${method}`,
    'Content-Length: 0',
    '\r\n',
  ].join('\r\n');
}

/** A Call-ID whose home is `worker`. */
function callOf(worker: number, name: string): string {
  for (let n = 0; ; n++) if (HOME.home(`${name}${n}`) === worker) return `${name}${n}`;
}

describe('a dispatcher between peers and workers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'imsdc-dispatch-'));
  const path = join(folder, 'line');
  const pairs = createServer().listen(path);
  const metrics = new Metrics();
  const peer: Datagrams = createSocket('udp4');
  let dispatcher: WorkerDispatcher;
  let workers: Worker[];
  const port = (listener: number) => dispatcher.listeners[listener]!.port;
  const counted = (name: string) => metrics.counter(`imsdc_dispatcher_${name}_total`, '').value;

  async function attach(worker: number): Promise<Worker> {
    const accepted = once(pairs, 'connection') as Promise<[Socket]>;
    const far = connect(path);
    const [near] = await accepted;
    dispatcher.attach(worker, near);
    return new Worker(far);
  }
  const fromPeer = (wire: string) => peer.send(Buffer.from(wire, 'latin1'), port(0), '127.0.0.1');

  before(async () => {
    dispatcher = new WorkerDispatcher({
      instance: 'core',
      workers: WORKERS,
      listeners: LISTENERS.map((listener) => ({ ...listener })),
      limits: {},
      trustedPeers: new TrustedPeers([]),
      retryAfterSeconds: 2,
      log: silentLogger,
      metrics,
    });
    await dispatcher.start();
    workers = [await attach(0), await attach(1)];
    await Promise.all(workers.map((worker) => worker.up()));
    peer.bind(0, '127.0.0.1');
    await once(peer, 'listening');
  });
  after(async () => {
    peer.close();
    for (const worker of workers) worker.link.close();
    await dispatcher.close();
    pairs.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test('INVITE, CANCEL and the ACK of a refusal come to one worker by their Call-ID', async () => {
    for (const worker of [0, 1]) {
      const callId = callOf(worker, 'new');
      for (const method of ['INVITE', 'CANCEL', 'ACK']) {
        const arrived = workers[worker]!.next('message');
        fromPeer(message(method, { callId }));
        assert.equal((await arrived).text, message(method, { callId }));
      }
    }
  });

  test('a request inside a dialog comes to the worker of its To tag, and the answer leaves from the shared socket', async () => {
    const callId = callOf(0, 'bye');
    const arrived = workers[1]!.next('message');
    fromPeer(message('BYE', { callId, toTag: `${id(1)}-s0` }));
    const { flow } = await arrived;
    assert.equal(flow.remotePort, peer.address().port);
    const answered = once(peer, 'message') as Promise<[Buffer, { port: number }]>;
    workers[1]!.reply(0, flow, 'SIP/2.0 200 OK\r\n\r\n');
    const [answer, from] = await answered;
    assert.equal(answer.toString(), 'SIP/2.0 200 OK\r\n\r\n');
    assert.equal(from.port, port(0));
  });

  test('one TCP connection carries messages of both workers, both ways, cut where they end', async () => {
    const socket = connect(port(1), '127.0.0.1');
    const [first, second] = [
      message('INVITE', { callId: callOf(0, 'tcp') }),
      message('INVITE', { callId: callOf(1, 'tcp') }),
    ];
    const both = [workers[0]!.next('message'), workers[1]!.next('message')];
    socket.write(first + second.slice(0, 50));
    const { flow } = await both[0]!;
    socket.write(second.slice(50));
    assert.equal((await both[1]!).text, second);
    const data = once(socket, 'data') as Promise<[Buffer]>;
    workers[1]!.reply(1, flow, 'SIP/2.0 180 Ringing\r\n\r\n');
    assert.equal((await data)[0].toString(), 'SIP/2.0 180 Ringing\r\n\r\n');
    socket.destroy();
  });

  // conformance: RFC 7118 5.1 — any worker reaches a WebSocket client by the name that it goes by
  test('a WebSocket client that one worker has heard of can be called by the other', async () => {
    const client = new WebSocket(`ws://127.0.0.1:${port(2)}/`, 'sip');
    await once(client, 'open');
    const arrived = workers[0]!.next('message');
    client.send(message('REGISTER', { callId: callOf(0, 'ws') }));
    const { flow } = await arrived;
    workers[0]!.transports[2]!.claimName?.(flow.connection!, 'Client.invalid');
    // Its line is in order: when the answer is here, the dispatcher has taken the name.
    const told = once(client, 'message');
    workers[0]!.reply(2, flow, 'SIP/2.0 200 OK\r\n\r\n');
    await told;
    const seen = workers[1]!.next('message');
    client.send(message('OPTIONS', { callId: callOf(1, 'ws') }));
    await seen;
    assert.equal(workers[1]!.transports[2]!.holdsName?.('client.invalid'), true);
    assert.equal(workers[1]!.transports[1]!.holdsName?.('client.invalid'), false);
    const called = once(client, 'message') as Promise<[Buffer]>;
    const to = { transport: 'ws', address: 'client.invalid', port: 0 } as const;
    workers[1]!.transports[2]!.send('INVITE sip:c SIP/2.0\r\n\r\n', to, (error) => assert.fail(error));
    assert.match((await called)[0].toString(), /^INVITE/);
    client.terminate();
  });

  test('what cannot be sent comes back to its sender as a failure', async () => {
    const failed = Promise.withResolvers<Error>();
    const to = { transport: 'tcp', address: '127.0.0.1', port: 1 } as const;
    workers[0]!.transports[1]!.send('OPTIONS sip:x SIP/2.0\r\n\r\n', to, failed.resolve);
    assert.match((await failed.promise).message, /ECONNREFUSED|refused|closed/i);
  });

  test('a stream that is no SIP gets its answer from the dispatcher before it is closed', async () => {
    const socket = connect(port(1), '127.0.0.1');
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString();
    });
    const closed = once(socket, 'close');
    socket.write(message('OPTIONS', { callId: 'broken' }).replace('Content-Length: 0', 'Content-Length: x'));
    await closed;
    assert.match(text, /^SIP\/2\.0 400 /);
  });

  test('while a worker is away its calls wait for it, new ones go to the other, and their CANCEL follows', async () => {
    const gone = workers[1]!;
    const closed = once(gone.socket, 'close');
    gone.socket.destroy();
    await closed;
    const callId = callOf(1, 'away');
    // The dispatcher hears of it in its own time: until then new calls may still be handed to the dead line.
    for (let n = 0, elsewhere = counted('elsewhere'); counted('elsewhere') === elsewhere; n++) {
      fromPeer(message('INVITE', { callId: callOf(1, `probe${n}-`) }));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const [invite, cancel] = [
      workers[0]!.next('message', isOf(callId, 'INVITE')),
      workers[0]!.next('message', isOf(callId, 'CANCEL')),
    ];
    fromPeer(message('INVITE', { callId }));
    await invite;
    const bye = message('BYE', { callId: callOf(0, 'held'), toTag: `${id(1)}-s0` });
    fromPeer(bye);
    workers[1] = await attach(1);
    assert.equal((await workers[1].next('message', ({ text }) => text.startsWith('BYE'))).text, bye);
    fromPeer(message('CANCEL', { callId }));
    await cancel;
    const again = workers[1].next('message');
    fromPeer(message('INVITE', { callId: callOf(1, 'back') }));
    await again;
  });

  test('a worker that does not read costs what it may hold, no more; the other one goes on', async () => {
    workers[1]!.socket.pause();
    const dropped = counted('dropped');
    const large = message('INFO', { callId: 'x', toTag: `${id(1)}-s0` }) + 'x'.repeat(50_000);
    for (let sent = 0; counted('dropped') === dropped; sent++) {
      assert.ok(sent < 2000, 'nothing is ever dropped');
      fromPeer(large);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const other = workers[0]!.next('message', isOf(callOf(0, 'on'), 'OPTIONS'));
    fromPeer(message('OPTIONS', { callId: callOf(0, 'on') }));
    await other;
    const refused = counted('refused');
    const socket = connect(port(1), '127.0.0.1');
    const answer = once(socket, 'data') as Promise<[Buffer]>;
    socket.write(message('INVITE', { callId: callOf(1, 'busy') }));
    assert.match((await answer)[0].toString(), /^SIP\/2\.0 503 [\s\S]*Retry-After: 2/);
    assert.equal(counted('refused'), refused + 1);
    socket.destroy();
    const late = Promise.withResolvers<number>();
    workers[1]!.link.lag(late.resolve);
    workers[1]!.socket.resume();
    assert.ok((await late.promise) >= 0);
  });
});

function isOf(callId: string, method: string) {
  return ({ text }: { text: string }) => text.startsWith(method) && text.includes(`Call-ID: ${callId}\r`);
}
