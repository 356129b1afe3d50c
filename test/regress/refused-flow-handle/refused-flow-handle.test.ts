import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { silentLogger } from '../../../src/base/log.ts';
import { EngineClient } from '../../../src/mf/engine/client.ts';
import type { DatagramPath } from '../../../src/mf/engine/datagram-path.ts';

/**
 * A UE that named an IPv6 address for an e2e channel at an MF on IPv4 stopped the whole worker: FLOW was refused after the
 * handle had become live, the engine took the handle for free, and since freed handles come back last in, first out, every
 * later RESERVE and FLOW got this one, and HANDLE_IN_USE. (The contract suite shows it with the real workers.) A kernel
 * path that failed did the same.
 */
const WORKER = fileURLToPath(new URL('./worker.mjs', import.meta.url));
const SIDE = { bindAddress: '127.0.0.1', port: 0 };
const FLOW = { a: SIDE, b: SIDE };

async function withEngine(body: (engine: EngineClient) => Promise<void>, datagrams?: DatagramPath): Promise<void> {
  const command = { file: process.execPath, args: [WORKER] };
  const options = { command, certificatePem: '', keyPem: '', log: silentLogger };
  const engine = await EngineClient.start({ ...options, ...(datagrams && { datagrams }) });
  try {
    await body(engine);
  } finally {
    await engine.close();
  }
}

test('a handle that a worker keeps after a refusal is released before it is used again', () =>
  withEngine(async (engine) => {
    const bad = { ...FLOW, a: { ...SIDE, remote: { address: '::1', port: 9 } } };
    for (let round = 0; round < 3; round++) {
      await assert.rejects(engine.flow(`bad${round}`, 'group', bad), { code: 'WORKER_REFUSED' });
      await engine.flow(`good${round}`, 'group', FLOW);
    }
    assert.deepEqual(engine.workerLoads(), [3]);
  }));

const none = { datagrams: 0, bytes: 0 };

test('without the kernel a flow goes through its worker', () => {
  const broken: DatagramPath = {
    set: () => Promise.reject(new Error('no kernel')),
    remove: async () => ({ a: none, b: none }),
    counters: async () => new Map(),
    wayOf: () => ({ path: 'kernel' }),
    close: async () => undefined,
  };
  return withEngine(async (engine) => {
    assert.equal((await engine.flow('f', 'group', FLOW)).path, 'user');
    await engine.updateFlow('f', { a: { ...SIDE, remote: { address: '127.0.0.1', port: 9 } } });
    await engine.release('f');
    assert.deepEqual(engine.workerLoads(), [0]);
  }, broken);
});

test('a flow that is released while it is changed leaves nothing in the kernel', () => {
  const inKernel = new Set<string>();
  const kernel: DatagramPath = {
    set: async (key) => {
      inKernel.add(key);
      return 'kernel';
    },
    remove: async (key) => {
      inKernel.delete(key);
      return { a: none, b: none };
    },
    counters: async () => new Map(),
    wayOf: () => ({ path: 'kernel' }),
    close: async () => undefined,
  };
  return withEngine(async (engine) => {
    await engine.flow('f', 'group', FLOW);
    assert.deepEqual([...inKernel], ['f']);
    const changed = engine.updateFlow('f', { b: { ...SIDE, remote: { address: '127.0.0.1', port: 9 } } });
    await Promise.all([changed, engine.release('f')]);
    assert.deepEqual([...inKernel], []);
  }, kernel);
});
