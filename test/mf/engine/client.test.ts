import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { silentLogger } from '../../../src/base/log.ts';
import { Metrics } from '../../../src/base/metrics.ts';
import { EngineClient } from '../../../src/mf/engine/client.ts';
import type { EngineLimits } from '../../../src/mf/engine/options.ts';

const FAKE = fileURLToPath(new URL('./fake-worker.mjs', import.meta.url));
const RESERVE = { bindAddress: '127.0.0.1', port: 4000, ice: false };

function start(behaviour: string, limits: Partial<EngineLimits> = {}, workers = 1, metrics = new Metrics()) {
  const command = { file: process.execPath, args: [FAKE, behaviour] };
  return EngineClient.start({ command, certificatePem: '', keyPem: '', log: silentLogger, limits, workers, metrics });
}

async function withEngine(
  behaviour: string,
  body: (engine: EngineClient) => Promise<void>,
  limits: Partial<EngineLimits> = {},
  workers = 1,
): Promise<void> {
  const engine = await start(behaviour, limits, workers);
  try {
    await body(engine);
  } finally {
    await engine.close();
  }
}

test('a program that cannot be started, refuses, says nothing or talks garbage fails the start', async () => {
  const command = { file: '/nonexistent/worker', args: [] };
  const options = { certificatePem: '', keyPem: '', log: silentLogger };
  await assert.rejects(EngineClient.start({ command, ...options }), { code: 'WORKER_LOST' });
  await assert.rejects(start('refuses'), (error: { details?: { reason?: string } }) => {
    assert.equal(error.details?.reason, 'BAD_CERTIFICATE');
    return true;
  });
  await assert.rejects(start('silent', { startTimeoutMs: 50 }), { code: 'WORKER_LOST' });
  await assert.rejects(start('garbage'), { code: 'WORKER_LOST' });
});

test('a group stays in its worker; groups are spread by load', () =>
  withEngine(
    'good',
    async (engine) => {
      await Promise.all([engine.reserve('a1', 'one', RESERVE), engine.reserve('a2', 'one', RESERVE)]);
      await engine.reserve('b1', 'two', RESERVE);
      await engine.reserve('a3', 'one', RESERVE);
      assert.deepEqual(engine.workerLoads().toSorted(), [1, 3]);
      // Streams of different groups may be in different workers, so they are never routed to each other.
      const route = engine.route({ key: 'a1', streamId: 0 }, { kind: 'stream', to: { key: 'b1', streamId: 0 } });
      await assert.rejects(route, { code: 'WORKER_REFUSED' });
    },
    {},
    2,
  ));

test('frames of a released handle never reach its next owner', () =>
  withEngine('good', async (engine) => {
    const states: unknown[] = [];
    engine.on('state', (event) => states.push(event));
    await engine.reserve('first', 'group', RESERVE);
    await engine.release('first');
    await engine.reserve('second', 'group', RESERVE);
    const messages: string[] = [];
    const port = engine.payload({ key: 'second', streamId: 0 }, 77);
    await new Promise<void>((resolve) => {
      port.onMessage = (data) => {
        messages.push(Buffer.from(data).toString());
        resolve();
      };
    });
    // The handle number came back with the next generation, and what was late was counted.
    assert.deepEqual(messages, ['1.2 77']);
    assert.deepEqual(states, []);
    assert.equal(engine.lateFrames, 2);
  }));

test('promises of a worker that ends are rejected, and so are those it never answered', () =>
  withEngine('never', async (engine) => {
    await engine.reserve('a', 'group', RESERVE);
    const route = engine.route({ key: 'a', streamId: 0 }, { kind: 'payload' });
    const rejected = assert.rejects(route, { code: 'WORKER_LOST' });
    await engine.close();
    await rejected;
  }));

test('a worker that ends again and again is started again, with lost keys reported each time', () =>
  withEngine(
    'exits',
    async (engine) => {
      for (let round = 0; round < 3; round++) {
        const lost = engine.next('lost');
        await engine.reserve(`key${round}`, 'group', RESERVE);
        assert.deepEqual(await lost, { keys: [`key${round}`], reason: 'workerExit' });
      }
    },
    { restartDelayMs: 1 },
  ));

test('without a worker in time a reservation is refused', () =>
  withEngine(
    'exits',
    async (engine) => {
      const lost = engine.next('lost');
      await engine.reserve('a', 'group', RESERVE);
      await lost;
      await assert.rejects(engine.reserve('b', 'group', RESERVE), { code: 'WORKER_UNAVAILABLE' });
    },
    { restartDelayMs: 60_000, placementTimeoutMs: 20 },
  ));
