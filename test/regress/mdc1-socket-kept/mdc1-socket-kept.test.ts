import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { silentLogger } from '../../../src/base/log.ts';
import { Mdc1Client } from '../../../src/mf/bootstrap/mdc1-client.ts';
import { BootstrapStream } from '../../../src/mf/bootstrap/stream.ts';
import type { PayloadPort } from '../../../src/mf/engine/types.ts';

/**
 * An answer without a body (304, HEAD, an empty file) was never read to its end, so its connection was never free again:
 * with `mf.mdc1.maxSockets` such answers no UE got anything from that repository any more.
 */
for (const [what, method, status, lengthBytes, seen] of [
  ['HEAD', 'HEAD', 200, 100, 200],
  ['304', 'GET', 304, 100, 304],
  ['204', 'GET', 204, undefined, 204],
  ['an empty file', 'GET', 200, 0, 200],
  ['a file that is too long', 'GET', 200, 2_000_000, 502],
] as const) {
  test(`the connection is free again after ${what}`, { timeout: 10_000 }, async (t) => {
    const server = createServer((_, response) => {
      response.writeHead(status, lengthBytes === undefined ? {} : { 'content-length': lengthBytes });
      response.end(method === 'GET' && status === 200 ? Buffer.alloc(lengthBytes) : undefined);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const mdc1 = new Mdc1Client({ allowPlainHttp: true, maxSockets: 1, timeoutMs: 1_000 });
    t.after(() => {
      mdc1.close();
      server.closeAllConnections();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    const statuses: number[] = [];
    const done = Promise.withResolvers<void>();
    const wire: PayloadPort = {
      onMessage: () => undefined,
      onWritable: () => undefined,
      onClosed: () => undefined,
      send: () => true,
      grant: () => undefined,
      close: () => undefined,
    };
    const target = {
      replaceHttpUrl: `http://127.0.0.1:${port}/`,
      address: '127.0.0.1',
      port,
      peerMaxMessageSizeBytes: 65_536,
    };
    new BootstrapStream(target, {
      port: wire,
      mdc1,
      limits: { maxResponseBytes: 1_000, idleMs: 1_000 },
      log: silentLogger,
      reset: (reason) => done.reject(new Error(reason)),
      answered: (code) => {
        if (statuses.push(code) === 3) done.resolve();
      },
      ended: () => undefined,
    });
    for (let n = 0; n < 3; n++) wire.onMessage(Buffer.from(`${method} / HTTP/1.1\r\nHost: x\r\n\r\n`), 'binary');
    await done.promise;
    assert.deepEqual(statuses, [seen, seen, seen]);
  });
}
