import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Ajv } from 'ajv';
import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import type { HttpHeader, HttpResponse } from '../../src/channel-http/types.ts';
import { header } from '../../src/channel-http/types.ts';
import { MfConfig } from '../../src/mf/config.ts';
import { type Mf, startMf } from '../../src/mf/index.ts';
import type { PlainAssociation } from '../../src/ndc/association.ts';
import { SbiServer } from '../../src/sbi/server.ts';
import type { MediaContext, MediaEvent, MediaInfo } from '../../src/services/nmf-mrm.ts';
import { NmfMrmClient } from '../../src/services/nmf-mrm-client.ts';
import { mediaEventRoute } from '../../src/services/nmf-mrm-server.ts';
import { type ClientProfile, requestMessages } from '../channel-http/request-writer.ts';
import { ResponseReader } from '../channel-http/response-reader.ts';
import { certificateB, ORDERED, opened, reserveLocal } from '../ndc/support.ts';
import { context, endpoint, httpMedia, relayMedia } from './rig.ts';

const log = silentLogger;
const soon = () => ({ deadlineMs: Date.now() + 5_000 });
const PACKAGE = randomBytes(300_000);

/** The repository's side of MDC1, with what goes wrong there. */
function serve(request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url!, 'http://h');
  const reply = (status: number, headers: Record<string, string>, body: string | Buffer) =>
    response.writeHead(status, { 'Content-Length': Buffer.byteLength(body), ...headers }).end(body);
  switch (url.pathname) {
    case '/bdc/tok/':
      return void reply(
        200,
        { 'Content-Type': 'application/zip', ETag: '"1"', 'Set-Cookie': 'a=b' },
        `root ${url.search}`,
      );
    case '/bdc/tok/applicationlist':
      return void reply(
        200,
        { 'Content-Type': 'application/json' },
        JSON.stringify({ host: request.headers.host, query: url.search }),
      );
    case '/bdc/tok/applications':
      return void reply(200, { 'Content-Type': 'application/zip', ETag: '1.0.8' }, PACKAGE);
    case '/bdc/tok/chunked':
      response.writeHead(200, { ETag: 'c' });
      response.write('first ');
      return void response.end('second');
    case '/bdc/tok/moved':
      return void reply(302, { Location: '/bdc/tok/there?x=1' }, '');
    case '/bdc/tok/away':
      return void reply(302, { Location: 'http://internal.example/' }, '');
    case '/bdc/tok/echo': {
      let length = 0;
      request.on('data', (chunk: Buffer) => (length += chunk.length));
      return void request.on('end', () => reply(200, {}, `${request.method} ${length}`));
    }
    case '/bdc/tok/silent':
      return;
    case '/bdc/tok/dies':
      response.writeHead(200, { 'Content-Length': '1000' });
      response.write('x'.repeat(10));
      return void setImmediate(() => response.destroy());
    default:
      return void reply(404, { 'Content-Type': 'text/plain' }, `no ${url.pathname}`);
  }
}

/** A UE with one association towards the MF. */
class Ue {
  readonly association: PlainAssociation;
  readonly #profile: ClientProfile;
  readonly #reader: ResponseReader;
  readonly #responses: HttpResponse[] = [];
  #arrived: () => void = () => undefined;

  constructor(association: PlainAssociation, profile: ClientProfile) {
    this.association = association;
    this.#profile = profile;
    this.#reader = new ResponseReader({ profile });
    association.on('message', ({ data, streamId }) => {
      if (streamId >= 1_000) return;
      this.#responses.push(...this.#reader.push(data));
      this.#arrived();
    });
  }

  get media(): Partial<MediaInfo> {
    return { remoteMbEndpoint: endpoint(this.association.localPort) };
  }

  get dc() {
    const fingerprint = certificateB.fingerprint.replace(/^sha/, 'SHA');
    return { sctpPort: 5_000, fingerprint, tlsId: 'ue-tls-id-0000000001' };
  }

  async connect(media: MediaInfo, streamId: number): Promise<void> {
    const { localMbEndpoint, dcMedia } = media;
    const { fingerprint, sctpPort } = dcMedia!.localDcEndpoint!;
    const open = opened(this.association, streamId);
    await this.association.start(
      {
        address: localMbEndpoint!.ip.ipv4Addr!,
        port: localMbEndpoint!.portNumber,
        sctpPort,
        fingerprints: [fingerprint!],
        role: dcMedia!.securitySetup === 'ACTIVE' ? 'passive' : 'active',
        maxMessageSizeBytes: 65_536,
      },
      [ORDERED(streamId)],
    );
    await open;
  }

  async get(
    streamId: number,
    target: string,
    more: { method?: string; headers?: HttpHeader[]; body?: Uint8Array } = {},
  ) {
    for (const message of requestMessages({ target, ...more }, this.#profile)) this.send(streamId, message);
    return this.response();
  }

  send(streamId: number, message: Uint8Array): void {
    assert.ok(this.association.send(streamId, message, 'binary'));
  }

  async response(): Promise<HttpResponse> {
    for (;;) {
      const response = this.#responses.shift();
      if (response) return response;
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
      });
    }
  }
}

const hash = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');
const text = ({ body }: HttpResponse) => Buffer.from(body).toString();

function config(engine: 'embedded' | 'native', more: object = {}): MfConfig {
  const value = { listen: { port: 0 }, engine, workers: 1, mdc1: { timeoutMs: 400, idleMs: 400 }, ...more };
  new Ajv({ useDefaults: true, strict: false }).compile(MfConfig)(value);
  return value as MfConfig;
}

function suite(engine: 'embedded' | 'native'): void {
  let mf: Mf;
  let mrm: NmfMrmClient;
  let repository: Server;
  const as = new SbiServer({ host: '127.0.0.1', port: 0, log });
  const events: MediaEvent[] = [];
  let onEvent: () => void = () => undefined;
  const ues: Ue[] = [];

  before(async () => {
    repository = createServer({ requireHostHeader: false }, serve);
    await new Promise<void>((resolve) => repository.listen(0, '127.0.0.1', resolve));
    const route = mediaEventRoute('/media-events', (event) => {
      events.push(event);
      onEvent();
    });
    as.route(route);
    await as.listen();
    // Somebody else's ports are skipped, so any range will do.
    const firstPort = 20_000 + Math.floor(Math.random() * 200) * 50;
    const media = { media: { firstPort, lastPort: firstPort + 49 } };
    mf = await startMf(config(engine, media), {
      log,
      metrics: new Metrics(),
      token: { instance: 'test', worker: 0, epoch: 1 },
    });
    mrm = new NmfMrmClient({ apiRoot: mf.address, userAgent: 'IMS_AS-test', log });
  });
  after(async () => {
    await Promise.all(ues.map(({ association }) => association.close()));
    await mrm.close();
    await mf.close();
    await as.close();
    repository.closeAllConnections();
    await new Promise((resolve) => repository.close(resolve));
  });

  const newUe = async (profile: ClientProfile) => {
    const ue = new Ue(await reserveLocal(certificateB), profile);
    ues.push(ue);
    return ue;
  };
  /** A bootstrap line of `ue` on `streamId`, as the AS asks for it. */
  const bootstrap = (ue: Ue, streamId: number, securitySetup: 'ACTIVE' | 'ACTPASS' = 'ACTPASS') => {
    const { port } = repository.address() as AddressInfo;
    const media = httpMedia('m1', streamId, ue.media);
    Object.assign(media.dcMedia!, {
      remoteMdc1Endpoint: endpoint(port),
      replaceHttpUrl: { [streamId]: { streamId, replaceHttpUrl: `http://dcsf.example:${port}/bdc/tok/` } },
      remoteDcEndpoint: ue.dc,
      securitySetup,
      imsdc: { eventUri: `${as.origin}/media-events` },
    });
    return media;
  };
  const event = async (match: (event: MediaEvent) => boolean): Promise<MediaEvent> => {
    for (;;) {
      const found = events.find(match);
      if (found) return found;
      await new Promise<void>((resolve) => {
        onEvent = resolve;
      });
    }
  };
  const isIdle = () => {
    const { contexts, associations, flows, bootstrapStreams, ports } = mf.status();
    assert.deepEqual([contexts, associations, flows, bootstrapStreams, ports.taken], [0, 0, 0, 0, 0]);
  };

  for (const [profile, setup] of [
    ['china-mobile', 'ACTPASS'],
    ['china-telecom', 'ACTIVE'],
    ['browser', 'ACTPASS'],
  ] as const) {
    // conformance: 26.114 6.2.10.1 — HTTP on the bootstrap channel, through URL replacement and MDC1 (R27)
    test(`serves a ${profile} UE (its setup: ${setup})`, async () => {
      const ue = await newUe(profile);
      const created = await mrm.createContext(context({ served: [bootstrap(ue, 0, setup)] }), soon());
      await ue.connect(created.terminations[0]!.medias[0]!, 0);
      const root = await ue.get(0, '/?Terminal_Vendor=x&Terminal_Model=y');
      assert.equal(root.status, 200);
      assert.equal(text(root), 'root ?Terminal_Vendor=x&Terminal_Model=y');
      assert.equal(header(root.headers, 'ETag'), '"1"');
      assert.equal(header(root.headers, 'Set-Cookie'), undefined);
      const list = await ue.get(0, '/applicationlist?begin-index=0&app-num=100');
      assert.deepEqual(JSON.parse(text(list)), {
        host: `dcsf.example:${(repository.address() as AddressInfo).port}`,
        query: '?begin-index=0&app-num=100',
      });
      const app = await ue.get(0, '/applications?appid=10000005');
      assert.equal(hash(app.body), hash(PACKAGE));
      assert.equal(header(app.headers, 'etag'), '1.0.8');
      assert.equal(
        (await event(({ contextId, state }) => contextId === created.contextId && state === 'connected')).mediaId,
        'm1',
      );
      await mrm.deleteContext(created.contextId, soon());
      isIdle();
    });
  }

  test('what goes wrong at the repository, and what a UE may not ask', async () => {
    const ue = await newUe('china-telecom');
    const created = await mrm.createContext(context({ served: [bootstrap(ue, 100)] }), soon());
    await ue.connect(created.terminations[0]!.medias[0]!, 100);
    const status = async (target: string, more = {}) => (await ue.get(100, target, more)).status;
    assert.equal(await status('/none'), 404);
    assert.equal(await status('/silent'), 504);
    assert.equal(await status('/..%2f..%2fetc/passwd'), 400);
    assert.equal(await status('http://elsewhere.example/applicationlist'), 200);
    assert.equal(await status('/../../secret'), 404);
    assert.equal(await status('/', { method: 'DELETE' }), 405);
    assert.equal(text(await ue.get(100, '/echo', { method: 'POST', body: randomBytes(20_000) })), 'POST 20000');
    const chunked = await ue.get(100, '/chunked');
    assert.equal(header(chunked.headers, 'Content-Length'), '12');
    assert.equal(text(chunked), 'first second');
    assert.equal(header((await ue.get(100, '/moved')).headers, 'Location'), '/there?x=1');
    assert.equal(header((await ue.get(100, '/away')).headers, 'Location'), undefined);
    // Pipelined: answered in order. A response from a UE is ignored (TS 26.114 6.2.10.1).
    ue.send(100, Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi'));
    for (const target of ['/none', '/chunked', '/none']) ue.send(100, Buffer.from(`GET ${target} HTTP/1.1\r\n\r\n`));
    assert.deepEqual(
      [(await ue.response()).status, (await ue.response()).status, (await ue.response()).status],
      [404, 200, 404],
    );
    // A body that breaks off cannot be repaired: the stream is reset.
    const reset = ue.association.next('stream', ({ streamId, state }) => streamId === 100 && state === 'closed');
    ue.send(100, Buffer.from('GET /dies HTTP/1.1\r\n\r\n'));
    await reset;
    await mrm.deleteContext(created.contextId, soon());
    isIdle();
  });

  test('garbage on a bootstrap stream resets it', async () => {
    const ue = await newUe('browser');
    const created = await mrm.createContext(context({ served: [bootstrap(ue, 0)] }), soon());
    await ue.connect(created.terminations[0]!.medias[0]!, 0);
    const reset = ue.association.next('stream', ({ streamId, state }) => streamId === 0 && state === 'closed');
    ue.send(0, Buffer.from('\x16\x03\x01 not http at all\r\n\r\n'));
    await reset;
    await mrm.deleteContext(created.contextId, soon());
    isIdle();
  });

  // conformance: R2 — relay per stream between two terminations; boundaries and kinds are kept
  test('relays an application channel between two UEs', async () => {
    const [alice, bob] = [await newUe('browser'), await newUe('browser')];
    const leg = (ue: Ue) => {
      const media = relayMedia('m2', 1_000, ue.media);
      Object.assign(media.dcMedia!, { remoteDcEndpoint: ue.dc, securitySetup: 'PASSIVE' });
      return media;
    };
    const first = structuredClone(leg(bob));
    delete first.remoteMbEndpoint;
    delete first.dcMedia!.remoteDcEndpoint;
    delete first.dcMedia!.securitySetup;
    const created = await mrm.createContext(context({ served: [leg(alice)], remote: [first] }), soon());
    const patched = (await mrm.patchContext(
      created.contextId,
      [
        { op: 'test', path: '/terminations/1/medias/0/mediaId', value: 'm2' },
        { op: 'replace', path: '/terminations/1/medias/0', value: leg(bob) },
      ],
      soon(),
    )) as MediaContext;
    assert.deepEqual(
      patched.terminations[1]!.medias[0]!.localMbEndpoint,
      created.terminations[1]!.medias[0]!.localMbEndpoint,
    );
    for (const [i, ue] of [alice, bob].entries()) {
      await ue.connect(patched.terminations[i]!.medias[0]!, 1_000);
    }
    const got = bob.association.next('message');
    const data = randomBytes(64_000);
    assert.ok(alice.association.send(1_000, data, 'binary'));
    assert.equal(hash((await got).data), hash(data));
    await mrm.deleteContext(created.contextId, soon());
    isIdle();
  });

  // conformance: R25 — the peer goes: event, association freed, context stays until DELETE
  test('a UE that ends its association is reported, and its context stays until DELETE', async () => {
    const ue = await newUe('browser');
    const created = await mrm.createContext(context({ served: [bootstrap(ue, 0)] }), soon());
    await ue.connect(created.terminations[0]!.medias[0]!, 0);
    await ue.association.close();
    const { state } = await event(({ contextId, state }) => contextId === created.contextId && state !== 'connected');
    assert.match(state, /^(?:failed|closed)$/);
    assert.equal(mf.status().contexts, 1);
    assert.equal(mf.status().associations, 0);
    await mrm.deleteContext(created.contextId, soon());
    isIdle();
  });

  const noChildren = existsSync('/proc/self/task') ? false : 'the processes of this system are not listed in /proc';
  // conformance: R25 — a worker that dies: events, 404 to a patch of tests, and the next context lives
  test('a killed worker loses its contexts, and the MF goes on', { skip: noChildren }, async () => {
    const ue = await newUe('browser');
    const created = await mrm.createContext(context({ served: [bootstrap(ue, 0)] }), soon());
    await ue.connect(created.terminations[0]!.medias[0]!, 0);
    const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'latin1').trim().split(' ');
    assert.equal(children.length, 1);
    process.kill(Number(children[0]), 'SIGKILL');
    const lost = await event(({ contextId, state }) => contextId === created.contextId && state === 'failed');
    assert.equal(lost.reason, 'workerExit');
    const alive = [{ op: 'test' as const, path: '/contextId', value: created.contextId }];
    await assert.rejects(mrm.patchContext(created.contextId, alive, soon()), { code: 'MRM_NOT_FOUND' });
    assert.equal(mf.status().lostContexts, 1);
    await mrm.deleteContext(created.contextId, soon());
    isIdle();
    const next = await newUe('browser');
    const again = await mrm.createContext(context({ served: [bootstrap(next, 0)] }), soon());
    await next.connect(again.terminations[0]!.medias[0]!, 0);
    assert.equal((await next.get(0, '/')).status, 200);
    await mrm.deleteContext(again.contextId, soon());
    isIdle();
  });

  test('a fingerprint that is not the certificate of the UE fails the association', async () => {
    const ue = await newUe('browser');
    const media = bootstrap(ue, 0);
    media.dcMedia!.remoteDcEndpoint!.fingerprint = `SHA-256 ${'AB:'.repeat(31)}AB`;
    const created = await mrm.createContext(context({ served: [media] }), soon());
    ue.connect(created.terminations[0]!.medias[0]!, 0).catch(() => undefined);
    const failed = await event(({ contextId, state }) => contextId === created.contextId && state === 'failed');
    assert.match(failed.reason!, /FINGERPRINT|HANDSHAKE/);
    await mrm.deleteContext(created.contextId, soon());
    isIdle();
  });
}

describe('MF with the embedded engine', () => suite('embedded'));
const built = process.env.IMSDC_NATIVE_WORKER ?? join(import.meta.dirname, '../../native/build/imsdc-media-worker');
const skip = existsSync(built) ? false : 'the native worker is not built';
describe('MF with the native engine', { skip }, () => suite('native'));
