import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { WebSocket } from 'ws';
import { IdMint } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { WorkerDispatcher } from '../../src/dispatch/dispatcher.ts';
import { HashRing } from '../../src/dispatch/ring.ts';
import { WorkerLink } from '../../src/dispatch/worker-link.ts';
import { buildResponse } from '../../src/sip/message/index.ts';
import { type SipEndpoint, type SipTlsConfig, TrustedPeers } from '../../src/sip/transport/index.ts';
import type { Destination, Flow, SipMessage } from '../../src/sip/types.ts';
import { destinationOf, endpointOn, nextEvent, parsed, request, requestFrom } from '../sip/support.ts';
import { TestCa } from '../sip/transport/certificates.ts';

const WORKERS = 2;
const HOME = new HashRing(WORKERS);
type Closing = SipEndpoint & { closeAll(): Promise<void> };

describe('TLS and WSS of a dispatcher, with whole SIP endpoints as workers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'imsdc-dispatch-tls-'));
  const pairs = createServer().listen(join(folder, 'line'));
  const metrics = new Metrics();
  const links: WorkerLink[] = [];
  const workers: Closing[] = [];
  let ca: TestCa;
  let client: SipTlsConfig;
  let scscf: Closing;
  let dispatcher: WorkerDispatcher;
  const counted = (name: string) => metrics.counter(`imsdc_dispatcher_${name}_total`, '').value;
  const portOf = (listener: number) => dispatcher.listeners[listener]!.port;
  const openConnections = () => {
    const gauge = metrics.entries.get('imsdc_dispatcher_connections');
    assert.ok(gauge?.type === 'gauge');
    return gauge.read();
  };

  async function startWorker(worker: number): Promise<void> {
    const accepted = once(pairs, 'connection') as Promise<[Socket]>;
    const far = connect(join(folder, 'line'));
    dispatcher.attach(worker, (await accepted)[0]);
    const link = new WorkerLink(far, () => undefined);
    const none = async () => ({ records: [], ttlMs: undefined });
    const here = async () => ({ records: ['127.0.0.1'], ttlMs: undefined });
    links.push(link);
    workers.push(
      await endpointOn('tls', {
        listeners: dispatcher.listeners,
        transports: link.transports,
        ids: new IdMint({ instance: 'core', worker, epoch: 1 }),
        nameServer: { addresses: here, services: none, pointers: none },
      }),
    );
    link.serve();
    // A tick: the dispatcher has heard it.
    await new Promise((resolve) => {
      link.lag(resolve);
    });
  }

  before(async () => {
    ca = await TestCa.create();
    const server = await ca.issue(['as.home.test', '127.0.0.1']);
    client = await ca.issue(['scscf.home.test', '127.0.0.1']);
    dispatcher = new WorkerDispatcher({
      instance: 'core',
      workers: WORKERS,
      listeners: [
        { transport: 'tls', address: '127.0.0.1', port: 0, tls: { ...server, requestCert: true } },
        { transport: 'wss', address: '127.0.0.1', port: 0, tls: server, allowedOrigins: ['https://phone.test'] },
      ],
      limits: {},
      trustedPeers: new TrustedPeers([]),
      retryAfterSeconds: 2,
      log: silentLogger,
      metrics,
    });
    await dispatcher.start();
    for (let worker = 0; worker < WORKERS; worker++) await startWorker(worker);
    scscf = await endpointOn('tls', {
      listeners: [{ transport: 'tls', address: '127.0.0.1', port: 0, tls: { ...client, requestCert: true } }],
    });
  });
  after(async () => {
    await scscf.closeAll();
    for (const worker of workers) await worker.closeAll();
    for (const link of links) link.close();
    await dispatcher.close();
    pairs.close();
    ca.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A request of the S-CSCF whose Call-ID belongs to `worker`, and its answer. */
  async function asks(worker: number, to: Destination): Promise<{ received: SipMessage; flow: Flow }> {
    let outgoing = requestFrom(scscf, to);
    while (HOME.home(parsed(outgoing.wire).callId) !== worker) outgoing = requestFrom(scscf, to);
    return answered(scscf, workers[worker]!, outgoing);
  }

  async function answered(from: SipEndpoint, at: SipEndpoint, outgoing: ReturnType<typeof requestFrom>) {
    const asked = nextEvent(at, 'request');
    const answer = nextEvent(from, 'response', ({ status }) => status >= 200);
    const failed = nextEvent(from, 'clientFailed').then(({ reason }) => assert.fail(`not sent: ${reason}`));
    from.request(outgoing);
    const { key, message, flow } = await Promise.race([asked, failed]);
    at.respond(key, 200, buildResponse(message, 200, { toTag: at.newTag() }));
    assert.equal((await answer).message.status, 200);
    return { received: message, flow };
  }

  // conformance: RFC 3261 26.2.1, RFC 5923 5 — mutual TLS before several workers: one connection, both directions
  test('one TLS connection serves both workers both ways, and each knows the names that the peer has proven', async () => {
    const to = destinationOf(workers[0]!, 'tls');
    for (const worker of [0, 1]) {
      const { received, flow } = await asks(worker, to);
      assert.equal(received.via.transport, 'TLS');
      assert.deepEqual(flow.peerNames, ['scscf.home.test', '127.0.0.1']);
    }
    for (const worker of workers) {
      const { flow } = await answered(worker, scscf, requestFrom(worker, destinationOf(scscf)));
      assert.deepEqual(flow.peerNames, ['as.home.test', '127.0.0.1']);
    }
    assert.equal(openConnections(), 1);
    assert.equal(scscf.status().connections, 1);
  });

  // conformance: RFC 5922 7.3 — the name that a worker has looked up is what the certificate must say
  test('a worker that calls a domain reaches it only where the certificate is for that domain', async () => {
    const { port } = destinationOf(scscf);
    const [good] = await workers[1]!.resolve(`sips:scscf.home.test:${port}`);
    await answered(workers[1]!, scscf, requestFrom(workers[1]!, good!));
    const [impostor] = await workers[1]!.resolve(`sip:bank.test:${port};transport=tls`);
    const refused = nextEvent(workers[1]!, 'clientFailed');
    workers[1]!.request(requestFrom(workers[1]!, impostor!));
    assert.equal((await refused).reason, 'transport');
  });

  test('without a certificate nobody comes in where mutual TLS is asked for', async () => {
    const trouble = counted('socket_trouble');
    const open = openConnections();
    const socket = connectTls({ port: portOf(0), host: '127.0.0.1', rejectUnauthorized: false });
    await Promise.race([once(socket, 'error'), once(socket, 'close')]);
    assert.deepEqual([counted('socket_trouble'), openConnections()], [trouble + 1, open]);
    socket.destroy();
  });

  // conformance: RFC 7118 5, 8 — WSS before several workers: the client is called by its name, from either
  test('a WSS client is answered by one worker, and called by the other over its own connection', async () => {
    const browser = await opened({ origin: 'https://phone.test' });
    const asked = nextEvent(workers[0]!, 'request');
    browser.send(fromBrowser('k3x.invalid', 0));
    const { key, message, flow } = await asked;
    assert.equal(`${flow.transport} ${message.via.transport}`, 'wss WSS');
    const told = once(browser, 'message');
    workers[0]!.respond(key, 200, buildResponse(message, 200, { toTag: 'b' }));
    assert.equal(parsed(((await told) as [Buffer])[0]).status, 200);

    // What the browser asks the other worker comes after the name in the same line.
    const second = nextEvent(workers[1]!, 'request');
    browser.send(fromBrowser('k3x.invalid', 1));
    await second;
    const [to] = await workers[1]!.resolve('sip:ua@k3x.invalid;transport=ws');
    const called = once(browser, 'message');
    workers[1]!.request(requestFrom(workers[1]!, to!, { method: 'MESSAGE', uri: 'sip:ua@k3x.invalid;transport=ws' }));
    const incoming = parsed(((await called) as [Buffer])[0]);
    assert.equal(`${incoming.method} ${incoming.via.transport}`, 'MESSAGE WSS');

    const before = openConnections();
    const closed = once(browser, 'close');
    browser.terminate();
    await closed;
    while (openConnections() === before) await new Promise((resolve) => setImmediate(resolve));
    const failed = nextEvent(workers[1]!, 'clientFailed');
    workers[1]!.request(requestFrom(workers[1]!, to!, { uri: 'sip:ua@k3x.invalid' }));
    assert.equal((await failed).reason, 'transport', 'gone is gone');
  });

  test('a page of another origin is refused', async () => {
    const socket = new WebSocket(`wss://127.0.0.1:${portOf(1)}/`, 'sip', {
      ca: readFileSync(ca.caFile),
      origin: 'https://evil.test',
    });
    socket.on('error', () => undefined); // the status is what counts
    const [, response] = await once(socket, 'unexpected-response');
    assert.equal(response.statusCode, 403);
    response.destroy();
    socket.terminate();
  });

  async function opened(options: { origin: string }): Promise<WebSocket> {
    const socket = new WebSocket(`wss://127.0.0.1:${portOf(1)}/`, 'sip', { ...options, ca: readFileSync(ca.caFile) });
    await once(socket, 'open');
    return socket;
  }

  /** With a Call-ID that belongs to `worker`. */
  function fromBrowser(name: string, worker: number): string {
    let serial = 0;
    while (HOME.home(`${name}${serial}`) !== worker) serial++;
    return request({
      method: 'OPTIONS',
      via: `SIP/2.0/WSS ${name};branch=z9hG4bK${worker}${name}`,
      headers: `Contact: <sip:ua@${name};transport=ws>\r\n`,
      callId: `${name}${serial}`,
    });
  }
});
