import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { EngineClient } from '../../src/mf/engine/client.ts';
import { connect, remoteOf, reserveOptions, sent, startEngine, stream, workerMissing } from './rig.ts';

const engines: EngineClient[] = [];
after(() => Promise.all(engines.map((engine) => engine.close())));
const start = async (...args: Parameters<typeof startEngine>) => {
  const engine = await startEngine(...args);
  engines.push(engine);
  return engine;
};

function residentMb(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) / 1024;
}

/** A ClientHello that a server would answer, with its own random; no cookie. */
function clientHello(serial: number): Buffer {
  const random = Buffer.alloc(32);
  random.writeUInt32BE(serial, 28);
  const groups = Buffer.from('000a00060004001d0017', 'hex');
  const signatures = Buffer.from('000d000400020403', 'hex');
  const points = Buffer.from('000b00020100', 'hex');
  const extensions = Buffer.concat([groups, signatures, points, Buffer.from('00170000', 'hex')]);
  const lengthOf = (bytes: Buffer) => Buffer.from([bytes.length >> 8, bytes.length & 0xff]);
  const body = Buffer.concat([
    Buffer.from([0xfe, 0xfd]),
    random,
    Buffer.from([0, 0, 0, 2, 0xc0, 0x2b, 1, 0]),
    lengthOf(extensions),
    extensions,
  ]);
  const size = Buffer.from([0, body.length >> 8, body.length & 0xff]);
  const message = Buffer.concat([Buffer.from([1]), size, Buffer.alloc(5), size, body]);
  return Buffer.concat([Buffer.from('16fefd0000000000000000', 'hex'), lengthOf(message), message]);
}

async function attacker(address: string): Promise<Socket> {
  const socket = createSocket('udp4').bind(0, address);
  await once(socket, 'listening');
  return socket;
}

/** Sends, and every so often lets this process do something else. */
async function flood(socket: Socket, port: number, count: number, datagram: (index: number) => Buffer): Promise<void> {
  for (let index = 0; index < count; index++) {
    socket.send(datagram(index), port, '127.0.0.1');
    if (index % 32 === 31) await setImmediate();
  }
}

/** Round trips through the MF while something else goes on; the longest counts. */
async function pingWhile(
  mf: EngineClient,
  ue: EngineClient,
  work: Promise<unknown>,
): Promise<{ pings: number; slowestMs: number }> {
  await mf.route({ key: 'live', streamId: 0 }, { kind: 'stream', to: { key: 'live', streamId: 0 } });
  await ue.route({ key: 'live', streamId: 0 }, { kind: 'payload' });
  const port = ue.payload({ key: 'live', streamId: 0 }, 1 << 20);
  let [running, pings, slowestMs] = [true, 0, 0];
  void work.finally(() => {
    running = false;
  });
  while (running || pings === 0) {
    const at = performance.now();
    const back = new Promise<void>((resolve) => (port.onMessage = () => resolve()));
    await sent(port, Buffer.from('ping'), 'text');
    await back;
    port.grant(64);
    slowestMs = Math.max(slowestMs, performance.now() - at);
    pings++;
  }
  await work;
  return { pings, slowestMs };
}

test('100,000 ClientHellos from strangers cost no memory, and a live channel goes on', {
  skip: workerMissing,
}, async () => {
  const [mf, ue] = [await start(), await start()];
  await connect(ue, 'live', mf, 'live');
  // One that waits for its UE and looks at strangers (NAT option), the live one, and one that is only reserved.
  const waiting = await mf.reserve('waiting', 'waiting', reserveOptions);
  await mf.start('waiting', remoteOf(waiting, { role: 'passive', port: 9, natLatch: true }));
  const reserved = await mf.reserve('reserved', 'reserved', reserveOptions);
  const live = await mf.reserve('live', 'live', reserveOptions);
  const pid = (await mf.stats([])).workers[0]!.pid;
  const before = residentMb(pid);
  const strangers = await Promise.all(['127.0.0.2', '127.0.0.3', '127.0.0.4'].map(attacker));
  const targets = [waiting.port, reserved.port, live.port];
  const work = Promise.all(
    strangers.map((socket, index) => flood(socket, targets[index]!, index === 0 ? 60_000 : 20_000, clientHello)),
  );
  const { pings, slowestMs } = await pingWhile(mf, ue, work);
  for (const socket of strangers) socket.close();
  assert.ok(pings > 5 && slowestMs < 2000, `${pings} pings, the slowest ${slowestMs} ms`);
  assert.ok(residentMb(pid) - before < 16, `grew ${residentMb(pid) - before} MB`);
  const { associations } = await mf.stats(['waiting', 'live']);
  assert.deepEqual(associations.map(({ state }) => state).sort(), ['connected', 'connecting']);
});

test('who is first with a spoofed hello does not keep the UE out: the UE shows a cookie', {
  skip: workerMissing,
}, async () => {
  const [mf, ue] = [await start(), await start()];
  const mfLocal = await mf.reserve('k', 'k', reserveOptions);
  const ueLocal = await ue.reserve('k', 'k', reserveOptions);
  for (const engine of [mf, ue]) await engine.setStreams('k', [stream(0)]);
  await mf.start('k', remoteOf(ueLocal, { role: 'passive', natLatch: true }));
  const stranger = await attacker('127.0.0.2');
  const answered = once(stranger, 'message');
  await flood(stranger, mfLocal.port, 1, clientHello);
  await answered; // the MF has built a session for the stranger
  const connected = new Promise<void>((resolve) => {
    mf.on('state', ({ key, state }) => {
      if (key === 'k' && state === 'connected') resolve();
    });
  });
  await ue.start('k', remoteOf(mfLocal, { role: 'active' }));
  await connected;
  stranger.close();
});

test('10,000 half-open handshakes: bounded, and a live channel goes on', { skip: workerMissing }, async () => {
  const count = 10_000;
  const [mf, ue] = [await start({ maxAssociations: count + 10, memoryBudgetBytes: 4e9 }), await start()];
  await connect(ue, 'live', mf, 'live');
  const ports: number[] = [];
  for (let index = 0; index < count; index++) {
    const local = await mf.reserve(`h${index}`, `h${index}`, reserveOptions);
    await mf.start(`h${index}`, remoteOf(local, { role: 'passive', port: 9, natLatch: true }));
    ports.push(local.port);
  }
  const pid = (await mf.stats([])).workers[0]!.pid;
  const before = residentMb(pid);
  const stranger = await attacker('127.0.0.2');
  const work = (async () => {
    for (const [index, port] of ports.entries()) {
      stranger.send(clientHello(index), port, '127.0.0.1');
      if (index % 32 === 31) await setImmediate();
    }
  })();
  const { slowestMs } = await pingWhile(mf, ue, work);
  stranger.close();
  const grown = residentMb(pid) - before;
  // A thousand may be half open without a cookie; the rest has to show one, which is not remembered.
  assert.ok(grown < 120, `grew ${grown} MB`);
  assert.ok(slowestMs < 2000, `the slowest ping took ${slowestMs} ms`);
});
