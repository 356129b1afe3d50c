import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { silentLogger } from '../../../src/base/log.ts';
import { VirtualTimers } from '../../../src/base/timers.ts';
import { MfWatch } from '../../../src/ims-as/mf-watch.ts';
import { parseJson } from '../../../src/sbi/json.ts';
import { NmfMrmClient } from '../../../src/services/nmf-mrm-client.ts';

/**
 * An MF named a context by half a surrogate pair ("\ud800"), which is JSON and no URL. When the watch asked for it,
 * encodeURIComponent threw, nobody caught it, and the AS ended with all its calls.
 */
const TERMINATIONS = [{ terminationId: 'served', medias: [{ mediaId: 'm1', mediaResourceType: 'DC' }] }];

/** An MF that answers 201 with that body and Location. */
async function mfThatSays(body: string, location?: string) {
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer().on('session', (session) => sessions.add(session));
  server.on('stream', (stream) => {
    stream.on('error', () => undefined);
    stream.respond({ ':status': 201, 'content-type': 'application/json', ...(location && { location }) });
    stream.end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = new NmfMrmClient({
    apiRoot: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    userAgent: 'IMS_AS-test',
    log: silentLogger,
  });
  const close = async () => {
    await client.close();
    for (const session of sessions) session.destroy();
    server.close();
  };
  return { client, close };
}

describe('the name of a context that cannot be part of a URL', () => {
  const body = (contextId: string) => `{"contextId":"${contextId}","terminations":${JSON.stringify(TERMINATIONS)}}`;
  const without = JSON.stringify({ terminations: TERMINATIONS });
  for (const [what, text, location] of [
    ['in the body', body('\\ud800'), undefined],
    ['in Location', without, '/nmf-mrm/v1/contexts/%zz'],
  ] as const)
    test(`${what} is refused when it comes`, async (t) => {
      const { client, close } = await mfThatSays(text, location);
      t.after(close);
      const created = client.createContext({ terminations: TERMINATIONS }, { deadlineMs: Date.now() + 10_000 });
      await assert.rejects(created, { code: 'MRM_MALFORMED' });
    });

  test('a whole pair is a name as any other', async (t) => {
    const { client, close } = await mfThatSays(body('\\ud83d\\ude00'));
    t.after(close);
    const { contextId } = await client.createContext(
      { terminations: TERMINATIONS },
      { deadlineMs: Date.now() + 10_000 },
    );
    assert.equal(contextId, '\u{1f600}');
  });
});

test('half a surrogate pair is refused wherever a body has it', () => {
  for (const text of ['"\\udc00"', '{"a":["x\\uD800y"]}', '{"\\ud800":1}'])
    assert.throws(() => parseJson(text), /half a surrogate pair/);
});

test('a fault of ours is silence for the watch over an MF, and it asks on', async () => {
  const timers = new VirtualTimers(0);
  const lost = Promise.withResolvers<string>();
  let asked = 0;
  const watch = new MfWatch({
    timers,
    log: silentLogger,
    probeMs: 5_000,
    patienceMs: 8_000,
    client: {
      patchContext: () => {
        asked++;
        return Promise.reject(new TypeError('a fault of ours'));
      },
    },
    lost: (_, reason) => lost.resolve(reason),
    back: () => undefined,
  });
  watch.add('a');
  for (let turns = 0; !watch.isLost && turns < 100; turns++) {
    timers.advance(1_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  watch.close();
  assert.equal(watch.isLost, true);
  assert.ok(asked > 2, `asked ${asked} times`);
  assert.equal(await lost.promise, 'it does not answer');
});
