import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { IdMint } from '../../../src/base/ids.ts';
import { silentLogger } from '../../../src/base/log.ts';
import { Metrics } from '../../../src/base/metrics.ts';
import { WorkerDispatcher } from '../../../src/dispatch/dispatcher.ts';
import { FRAME, FrameLink } from '../../../src/dispatch/frame-link.ts';
import { HashRing } from '../../../src/dispatch/ring.ts';
import type { NameOfListener } from '../../../src/dispatch/types.ts';
import { WorkerLine } from '../../../src/dispatch/worker-line.ts';
import { WorkerLink } from '../../../src/dispatch/worker-link.ts';
import { type SipTransport, TrustedPeers } from '../../../src/sip/transport/index.ts';
import type { Flow } from '../../../src/sip/types.ts';

/**
 * What the dispatcher tells a worker only once was lost where the line was full, and after a restart of the worker: flows
 * that are void, names of WebSocket clients. A process that had just been spawned counted as up: new calls went to it,
 * and were lost with it when it never came to serve.
 */
const folder = mkdtempSync(join(tmpdir(), 'imsdc-not-told-'));
const pairs = createServer().listen(join(folder, 'line'));
after(() => {
  pairs.close();
  rmSync(folder, { recursive: true, force: true });
});

async function socketPair(): Promise<{ near: Socket; far: Socket }> {
  const accepted = once(pairs, 'connection') as Promise<[Socket]>;
  const far = connect(join(folder, 'line'));
  const [near] = await accepted;
  return { near, far };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('a line to a worker that does not read', () => {
  const flowOf = (number: number) => {
    const flow: Flow = {
      ...{ transport: 'udp', remoteAddress: '192.0.2.7', remotePort: number },
      ...{ localAddress: '192.0.2.1', localPort: 5060 },
    };
    return { number, listener: 0, flow };
  };

  /** A line whose worker serves but does not read, filled to the brim; what the worker reads once it does. */
  async function fullLine(names: NameOfListener[] = []) {
    const { near, far } = await socketPair();
    const line = new WorkerLine(() => names);
    const frames: { kind: number; text: string }[] = [];
    line.attach(
      near,
      () => undefined,
      () => undefined,
    );
    const options = {
      maxBacklogBytes: 1 << 20,
      onFrame: (kind: number, body: Buffer) => frames.push({ kind, text: body.toString('latin1', 4) }),
      onClosed: () => undefined,
    };
    const worker = new FrameLink(far, options);
    worker.begin(FRAME.serving, 0);
    while (!line.isUp) await turn();
    far.pause();
    for (let room = true; room; ) room = line.deliver(flowOf(1), Buffer.alloc(50_000));
    // Not even a short one fits.
    for (let room = true; room; ) room = line.deliver(flowOf(1), Buffer.alloc(10));
    const drained = async () => {
      far.resume();
      while (line.backlogBytes > 0) await turn();
      const from = frames.length;
      return { later: () => frames.slice(from).filter(({ kind }) => kind !== FRAME.tick) };
    };
    return { line, drained, frames, close: () => line.close() };
  }

  test('flows are forgotten later, and before anything of a flow', async () => {
    const { line, drained, frames, close } = await fullLine();
    line.forgetFlows();
    await drained();
    assert.equal(line.deliver(flowOf(2), Buffer.from('hello')), true);
    while (frames.at(-1)?.text !== 'hello') await turn();
    assert.deepEqual(
      frames.slice(-3).map(({ kind }) => kind),
      [FRAME.forgetFlows, FRAME.flow, FRAME.received],
    );
    close();
  });

  test('a name is told later', async () => {
    const names: NameOfListener[] = [];
    const { line, drained, frames, close } = await fullLine(names);
    names.push({ listener: 2, name: 'phone.invalid' });
    line.tellName(2, 'phone.invalid');
    await drained();
    line.tick(Date.now());
    while (frames.at(-1)?.kind !== FRAME.tick) await turn();
    assert.deepEqual(frames.at(-2), { kind: FRAME.name, text: 'phone.invalid' });
    close();
  });
});

describe('a worker that is started again', () => {
  const ring = new HashRing(2);
  const callOf = (worker: number, name: string) => {
    for (let n = 0; ; n++) if (ring.home(`${name}${n}`) === worker) return `${name}${n}`;
  };
  const request = (method: string, callId: string, toTag = '') =>
    [
      `${method} sip:b@127.0.0.1 SIP/2.0`,
      `Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK${callId}`,
      'From: <sip:a@x>;tag=1',
      `To: <sip:b@x>${toTag}`,
      `Call-ID: ${callId}`,
      `CSeq: 1 ${method}`,
      'Content-Length: 0',
      '\r\n',
    ].join('\r\n');

  /** A dispatcher on UDP and WebSocket. A process of a worker does not serve before it is told to. */
  async function network() {
    const listeners = (['udp', 'ws'] as const).map((transport) => ({ transport, address: '127.0.0.1', port: 0 }));
    const metrics = new Metrics();
    const dispatcher = new WorkerDispatcher({
      ...{ instance: 'core', workers: 2, listeners, limits: {}, trustedPeers: new TrustedPeers([]) },
      ...{ retryAfterSeconds: 2, log: silentLogger, metrics },
    });
    await dispatcher.start();
    const spawn = async (worker: number) => {
      const { near, far } = await socketPair();
      dispatcher.attach(worker, near);
      const gone = Promise.withResolvers<void>();
      const link = new WorkerLink(far, () => gone.resolve());
      const texts: string[] = [];
      const flows: Flow[] = [];
      const sink = {
        received: (bytes: Buffer, flow: Flow) => {
          texts.push(bytes.toString('latin1'));
          flows.push(flow);
        },
        broken: () => assert.fail('streams are framed by the dispatcher'),
        trouble: () => undefined,
      };
      const [udp, ws] = listeners.map((one) =>
        link.transports(one.transport, { address: one.address, port: one.port }, sink, one),
      ) as [SipTransport, SipTransport];
      const serve = () =>
        new Promise((resolve) => {
          link.lag(resolve);
          link.serve();
        });
      const got = async (method: string) => {
        while (!texts.some((text) => text.startsWith(method))) await turn();
        return flows.at(-1)!;
      };
      return { link, far, udp, ws, serve, got, texts, gone: gone.promise };
    };
    const ports = dispatcher.listeners.map(({ port }) => port);
    return {
      dispatcher,
      spawn,
      ports,
      counted: (name: string) => metrics.counter(`imsdc_dispatcher_${name}_total`, ''),
    };
  }

  test('takes no new calls before it serves, and finds what waited for it, also after a process that never did', async (t) => {
    const { dispatcher, spawn, ports, counted } = await network();
    t.after(() => dispatcher.close());
    const peer = createSocket('udp4');
    t.after(() => peer.close());
    const send = (text: string) => peer.send(text, ports[0], '127.0.0.1');
    const other = await spawn(0);
    await other.serve();
    const first = await spawn(1);
    send(request('INVITE', callOf(1, 'new')));
    await other.got('INVITE');
    assert.equal(counted('elsewhere').value, 1);
    send(request('BYE', 'x', `;tag=${new IdMint({ instance: 'core', worker: 1, epoch: 1 }).next()}`));
    while (counted('received').value < 2) await turn();
    first.far.destroy();
    const second = await spawn(1);
    await second.serve();
    await second.got('BYE');
    assert.equal(counted('dropped').value, 0);
  });

  test('knows the names of WebSocket clients that it was told before', async (t) => {
    const { dispatcher, spawn, ports } = await network();
    t.after(() => dispatcher.close());
    const first = await spawn(0);
    await first.serve();
    const client = new WebSocket(`ws://127.0.0.1:${ports[1]}/`, 'sip');
    await once(client, 'open');
    t.after(() => client.terminate());
    client.send(request('REGISTER', callOf(0, 'name')));
    const flow = await first.got('REGISTER');
    first.ws.claimName!(flow.connection!, 'Phone.invalid');
    while (first.ws.holdsName!('phone.invalid') === false) await turn();
    first.far.destroy();
    const second = await spawn(0);
    await second.serve();
    assert.equal(second.ws.holdsName!('phone.invalid'), true);
  });
});
