import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { Metrics } from '../../../src/base/metrics.ts';
import { buildResponse } from '../../../src/sip/message/index.ts';
import {
  SipEndpoint,
  type SipListenerConfig,
  type SipTlsConfig,
  TrustedPeers,
} from '../../../src/sip/transport/index.ts';
import { endpointOn, exchange, nextEvent, parsed, request, requestFrom } from '../support.ts';
import { TestCa } from './certificates.ts';

let ca: TestCa;
let server: SipTlsConfig;
before(async () => {
  ca = await TestCa.create();
  server = await ca.issue(['ws.home.test', '127.0.0.1']);
});
after(() => ca.remove());

const on = (config: Partial<SipListenerConfig> = {}): { listeners: SipListenerConfig[] } => ({
  listeners: [{ transport: 'ws', address: '127.0.0.1', port: 0, ...config }],
});

function urlOf(endpoint: SipEndpoint): string {
  const { transport, host, port } = endpoint.addresses()[0]!;
  return `${transport}://${host}:${port}/`;
}

async function opened(url: string, options: { protocol?: string; origin?: string } = {}): Promise<WebSocket> {
  const socket = new WebSocket(url, options.protocol ?? 'sip', { ...(options.origin && { origin: options.origin }) });
  await once(socket, 'open');
  return socket;
}

/** The status with which the opening handshake is refused. */
async function refusal(url: string, options: { protocol?: string; origin?: string }): Promise<number> {
  const socket = new WebSocket(url, options.protocol ?? 'sip', { ...(options.origin && { origin: options.origin }) });
  socket.on('error', () => undefined); // the status is what counts
  const [, response] = await once(socket, 'unexpected-response');
  response.destroy();
  socket.terminate();
  return response.statusCode;
}

const browserRequest = (name: string, method = 'OPTIONS'): string =>
  request({
    method,
    via: `SIP/2.0/WS ${name};branch=z9hG4bK${name}`,
    headers: `Contact: <sip:ua@${name};transport=ws>\r\n`,
    callId: name,
  });

describe('SIP over WebSocket', () => {
  for (const transport of ['ws', 'wss'] as const) {
    // conformance: RFC 7118 5, 8 — WS and WSS, one message per frame, both directions over one connection
    test(`requests both ways over ${transport}`, async () => {
      const alice = await endpointOn(transport, on({ transport, tls: server }));
      const bob = await endpointOn(transport, on({ transport, tls: server }));
      try {
        const { received, flow, answer } = await exchange(alice, bob, { body: 'ö'.repeat(300) });
        assert.equal(received.via.transport, transport.toUpperCase());
        assert.match(answer.first('via')!, new RegExp(`^SIP/2.0/${transport.toUpperCase()} `));
        assert.equal(received.body.length, 300, 'a body that is no UTF-8 came in a binary frame');
        // In the dialog the other side asks over the flow it was called on.
        await exchange(bob, alice, { to: SipEndpoint.backOver(flow) });
        assert.equal(bob.status().connections, 1);
        assert.equal(alice.status().connections, 1);
      } finally {
        await alice.closeAll();
        await bob.closeAll();
      }
    });
  }

  // conformance: RFC 7118 4.1 — the subprotocol must be sip
  // conformance: RFC 6455 10.2 — pages of origins that are not on the list are refused
  test('who may open a connection', async () => {
    const metrics = new Metrics();
    const bob = await endpointOn('ws', { ...on({ allowedOrigins: ['https://phone.test'] }), metrics });
    const url = urlOf(bob);
    const good: WebSocket[] = [];
    try {
      assert.equal(await refusal(url, { protocol: 'chat' }), 400);
      assert.equal(await refusal(url, { origin: 'https://evil.test' }), 403);
      assert.equal(await refusal(url, { origin: 'https://phone.test.evil.test' }), 403);
      assert.equal(await refusal(url, { origin: 'null' }), 403);
      assert.equal(metrics.counter('imsdc_sip_socket_trouble_total', '').value, 4);
      good.push(await opened(url, { origin: 'https://phone.test' }));
      good.push(await opened(url, { origin: 'http://127.0.0.1:8080' }));
      good.push(await opened(url));
      assert.deepEqual(
        good.map(({ protocol }) => protocol),
        ['sip', 'sip', 'sip'],
      );
    } finally {
      for (const socket of good) socket.terminate();
      await bob.closeAll();
    }
  });

  test('a plain HTTP request is told to upgrade', async () => {
    const bob = await endpointOn('ws', on());
    try {
      const [response] = await once(httpRequest(urlOf(bob).replace('ws:', 'http:')).end(), 'response');
      assert.equal(response.statusCode, 426);
      response.destroy();
    } finally {
      await bob.closeAll();
    }
  });

  test('a connection above the limit is refused, a frame above 64 KiB ends its connection', async () => {
    const bob = await endpointOn('ws', { ...on(), maxConnections: 1 });
    const first = await opened(urlOf(bob));
    try {
      const closed = once(first, 'close');
      // It says a word, or it would go for the second one.
      first.send('\r\n\r\n');
      await once(first, 'message');
      const socket = new WebSocket(urlOf(bob), 'sip');
      const refused = once(socket, 'error');
      await refused;
      first.send('x'.repeat(64 * 1024 + 1));
      const [code] = await closed;
      assert.equal(code, 1009);
    } finally {
      first.terminate();
      await bob.closeAll();
    }
  });

  // conformance: RFC 7118 6, RFC 5626 4.4.1 — CRLF keep-alive as browsers' stacks send it
  test('a double CRLF is answered with one, and a ping with a pong', async () => {
    const bob = await endpointOn('ws', on());
    const socket = await opened(urlOf(bob));
    try {
      const answered = once(socket, 'message');
      socket.send('\r\n\r\n');
      assert.equal(String(((await answered) as [Buffer])[0]), '\r\n');
      const pong = once(socket, 'pong');
      socket.ping();
      await pong;
    } finally {
      socket.terminate();
      await bob.closeAll();
    }
  });

  // conformance: RFC 7118 5.1, 5.2 — `.invalid` leads back over the connection of the client that goes by it
  test('a client without an address is called over its own connection, and nobody can take its name', async () => {
    const metrics = new Metrics();
    const bob = await endpointOn('ws', { ...on(), metrics });
    const socket = await opened(urlOf(bob));
    try {
      const asked = nextEvent(bob, 'request');
      socket.send(browserRequest('k3x.invalid'));
      const { key, message, flow } = await asked;
      assert.equal(message.first('via'), 'SIP/2.0/WS k3x.invalid;branch=z9hG4bKk3x.invalid;received=127.0.0.1');
      const answered = once(socket, 'message');
      bob.respond(key, 200, buildResponse(message, 200, { toTag: 'b' }));
      assert.equal(parsed(((await answered) as [Buffer])[0]).status, 200);

      const [to] = await bob.resolve('sip:ua@K3X.invalid;transport=ws');
      assert.deepEqual(to, { transport: 'ws', address: 'k3x.invalid', port: 0 });
      const called = once(socket, 'message');
      bob.request(requestFrom(bob, to!, { method: 'MESSAGE', uri: 'sip:ua@k3x.invalid;transport=ws' }));
      const incoming = parsed(((await called) as [Buffer])[0]);
      assert.equal(`${incoming.method} ${incoming.via.transport}`, 'MESSAGE WS');
      assert.equal(`${incoming.via.host}:${incoming.via.port}`, `${flow.localAddress}:${flow.localPort}`);

      // Gone is gone: no connection is ever opened to such a name.
      const closed = once(socket, 'close');
      socket.terminate();
      await closed;
      while (bob.status().connections > 0) await new Promise((resolve) => setImmediate(resolve));
      const failed = nextEvent(bob, 'clientFailed');
      bob.request(requestFrom(bob, to!, { uri: 'sip:ua@k3x.invalid' }));
      assert.equal((await failed).reason, 'transport');
    } finally {
      socket.terminate();
      await bob.closeAll();
    }
  });

  test('strangers are kept out here as well, by address', async () => {
    const bob = await endpointOn('ws', { ...on(), trustedPeers: new TrustedPeers(['198.18.0.0/15']) });
    const socket = await opened(urlOf(bob));
    try {
      const asked = nextEvent(bob, 'request');
      socket.send(browserRequest('loop.invalid'));
      assert.equal((await asked).message.method, 'OPTIONS', 'loopback is always trusted');
    } finally {
      socket.terminate();
      await bob.closeAll();
    }
  });
});
