import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { TypedEmitter } from '../../../src/base/emitter.ts';
import { IdMint } from '../../../src/base/ids.ts';
import { silentLogger } from '../../../src/base/log.ts';
import { Metrics } from '../../../src/base/metrics.ts';
import { RealTimers } from '../../../src/base/timers.ts';
import { type RunningScscf, startScscf } from '../../../src/lab/scscf/index.ts';
import { buildResponse, MessageWriter, type ParsedMessage } from '../../../src/sip/message/index.ts';
import { SipEndpoint } from '../../../src/sip/transport/index.ts';
import type { ServerKey } from '../../../src/sip/types.ts';
import { scscfConfig } from '../fixtures.ts';

interface PeerEvents {
  request: { readonly key: ServerKey; readonly message: ParsedMessage };
  response: ParsedMessage;
}

/** A SIP element whose every message the test writes itself. */
class Peer extends TypedEmitter<PeerEvents> {
  readonly #timers = new RealTimers();
  readonly endpoint = new SipEndpoint({
    listeners: [{ transport: 'udp', address: '127.0.0.1', port: 0 }],
    timers: this.#timers,
    ids: new IdMint({ instance: 'peer', worker: 0, epoch: 1 }),
    log: silentLogger,
    metrics: new Metrics(),
  });

  async start(): Promise<void> {
    this.endpoint.on('sip', (event) => {
      const message =
        event.kind === 'clientFailed' || event.kind === 'serverFailed' ? null : (event.message as ParsedMessage);
      if (event.kind === 'request') this.emit('request', { key: event.key, message: message! });
      if (event.kind === 'response') this.emit('response', message!);
    });
    await this.endpoint.start();
  }

  get hostPort(): string {
    return `127.0.0.1:${this.endpoint.addresses()[0]!.port}`;
  }

  /** Sends a request; `lines` are whole header lines. Resolves with the final response. */
  async send(method: string, uri: string, proxy: string, lines: readonly string[], body = ''): Promise<ParsedMessage> {
    const [to] = await this.endpoint.resolve(proxy);
    const branch = this.endpoint.newBranch();
    const writer = MessageWriter.request(method, uri).header('Via', this.endpoint.viaFor(to!, branch));
    for (const line of lines) writer.lines(`${line}\r\n`);
    const answer = this.next('response', ({ status, via }) => status >= 200 && via.branch === branch);
    this.endpoint.request({ wire: writer.finish(body), method, branch, to: to! });
    return answer;
  }

  respond(key: ServerKey, message: ParsedMessage, status: number): void {
    this.endpoint.respond(key, status, buildResponse(message, status, { toTag: 'peer' }));
  }

  async close(): Promise<void> {
    await this.endpoint.close();
    this.#timers.close();
  }
}

const party = (user: string, callId: string, more: readonly string[] = []) => [
  `From: <sip:${user}@ims.lab>;tag=${callId}`,
  'Max-Forwards: 70',
  `Call-ID: ${callId}`,
  ...more,
];

describe('ISC: what the application server gets', () => {
  const as = new Peer();
  const ue = new Peer();
  let scscf: RunningScscf;
  let proxy: string;

  before(async () => {
    await as.start();
    await ue.start();
    scscf = await startScscf(
      scscfConfig({
        applicationServer: `sip:${as.hostPort}`,
        subscriptions: [['sip:alice@ims.lab', 'tel:+4930100001']],
        applicationServerTimeoutMs: 300,
      }),
      { log: silentLogger },
    );
    proxy = `sip:127.0.0.1:${scscf.port}`;
  });
  after(async () => {
    await ue.close();
    await as.close();
    await scscf.close();
  });

  async function register(user: string): Promise<ParsedMessage> {
    const third = as.next('request', ({ message }) => message.method === 'REGISTER');
    const answer = await ue.send('REGISTER', 'sip:ims.lab', proxy, [
      ...party(user, `reg-${user}`),
      `To: <sip:${user}@ims.lab>`,
      'CSeq: 1 REGISTER',
      `Contact: <sip:${user}@${ue.hostPort}>;+sip.app-subtype="webrtc-datachannel";expires=600`,
    ]);
    const { key, message } = await third;
    as.respond(key, message, 200);
    assert.equal(answer.status, 200);
    return message;
  }

  // conformance: R23 — the third-party REGISTER carries the UE's own as message/sip
  it('a third-party REGISTER with the REGISTER of the UE', async () => {
    const third = await register('alice');
    assert.equal(third.first('to'), '<sip:alice@ims.lab>');
    assert.equal(third.first('expires'), '600');
    assert.equal(third.first('content-type'), 'message/sip');
    assert.match(third.body, /^REGISTER sip:ims\.lab SIP\/2\.0\r\n/);
    assert.match(third.body, /\+sip\.app-subtype="webrtc-datachannel"/);
    await register('bob');
  });

  // conformance: R22 — P-Served-User and the Route below the AS, once as caller and once as callee
  it('each INVITE twice: originating, then terminating; the AS returns the Route below itself', async () => {
    const outcome = ue.send('INVITE', 'sip:bob@ims.lab', proxy, [
      `Route: <sip:orig@127.0.0.1:${scscf.port};lr>`,
      ...party('alice', 'isc-1', ['X-Unknown: kept;odd="a,b"']),
      'To: <sip:bob@ims.lab>',
      'CSeq: 1 INVITE',
      `Contact: <sip:alice@${ue.hostPort}>`,
    ]);
    const served: string[] = [];
    for (let pass = 0; pass < 2; pass++) {
      const { key, message } = await as.next('request', ({ message: { method } }) => method === 'INVITE');
      served.push(message.first('p-served-user')!);
      const [top, below] = message.list('route');
      assert.equal(top, `<sip:${as.hostPort};lr>`);
      assert.match(below!, /^<sip:odi-\S+@127\.0\.0\.1:\d+;lr>$/);
      assert.equal(message.first('p-asserted-identity'), '<sip:alice@ims.lab>, <tel:+4930100001>');
      assert.equal(message.first('x-unknown'), 'kept;odd="a,b"');
      assert.match(message.first('record-route')!, new RegExp(`<sip:127\\.0\\.0\\.1:${scscf.port};lr>`));
      void forwardAsB2bua(key, message, below!, pass);
    }
    const { key, message } = await ue.next('request', ({ message: { method } }) => method === 'INVITE');
    assert.equal(message.requestUri, `sip:bob@${ue.hostPort}`);
    assert.equal(message.first('p-called-party-id'), '<sip:bob@ims.lab>');
    assert.equal(message.first('p-served-user'), undefined);
    ue.respond(key, message, 486);
    assert.equal((await outcome).status, 486);
    assert.deepEqual(served, [
      '<sip:alice@ims.lab>;sescase=orig;regstate=reg',
      '<sip:bob@ims.lab>;sescase=term;regstate=reg',
    ]);
    assert.deepEqual(scscf.status(), { registered: 2, pendingRequests: 0, servicePasses: 0 });
  });

  async function forwardAsB2bua(key: ServerKey, message: ParsedMessage, route: string, pass: number): Promise<void> {
    const answer = await as.send('INVITE', message.requestUri, proxy, [
      `Route: ${route}`,
      ...party('alice', `b2b-${pass}`, [`P-Asserted-Identity: ${message.first('p-asserted-identity')}`]),
      'X-Unknown: kept;odd="a,b"',
      'To: <sip:bob@ims.lab>',
      'CSeq: 1 INVITE',
      `Contact: <sip:as@${as.hostPort}>`,
    ]);
    as.respond(key, message, answer.status);
  }

  it('an AS that says nothing, and one that answers 500, are skipped', async () => {
    for (const [callId, react] of [
      ['silent', () => undefined],
      ['broken', ({ key, message }: PeerEvents['request']) => as.respond(key, message, 500)],
    ] as const) {
      const off = as.on('request', (request) => react(request));
      const reached = ue.next('request', ({ message }) => message.method === 'INVITE');
      const outcome = ue.send('INVITE', 'sip:bob@ims.lab', proxy, [
        `Route: <sip:orig@127.0.0.1:${scscf.port};lr>`,
        ...party('alice', callId),
        'To: <sip:bob@ims.lab>',
        'CSeq: 1 INVITE',
        `Contact: <sip:alice@${ue.hostPort}>`,
      ]);
      const { key, message } = await reached;
      assert.match(message.first('p-asserted-identity')!, /sip:alice@ims\.lab/);
      ue.respond(key, message, 603);
      assert.equal((await outcome).status, 603);
      off();
    }
  });

  it('an identifier of the past is refused, not served twice', async () => {
    const answer = await as.send('INVITE', 'sip:bob@ims.lab', proxy, [
      `Route: <sip:odi-gone@127.0.0.1:${scscf.port};lr>`,
      ...party('alice', 'late'),
      'To: <sip:bob@ims.lab>',
      'CSeq: 1 INVITE',
    ]);
    assert.equal(answer.status, 481);
  });

  // conformance: RFC 3261 16.3 — Max-Forwards, URI scheme, Proxy-Require
  it('refuses what a proxy must refuse', async () => {
    const cases: readonly (readonly [number, string, readonly string[]])[] = [
      [483, 'sip:bob@ims.lab', ['Max-Forwards: 0']],
      [416, 'urn:service:sos', ['Max-Forwards: 70']],
      [420, 'sip:bob@ims.lab', ['Max-Forwards: 70', 'Proxy-Require: odd']],
      [480, 'sip:nobody@ims.lab', ['Max-Forwards: 70']],
      [404, 'tel:+999', ['Max-Forwards: 70']],
    ];
    for (const [index, [status, uri, lines]] of cases.entries()) {
      const off = as.on('request', ({ key, message }) => as.respond(key, message, 500));
      const answer = await ue.send('INVITE', uri, proxy, [
        `From: <sip:alice@ims.lab>;tag=r${index}`,
        'To: <sip:bob@ims.lab>',
        `Call-ID: refuse-${index}`,
        'CSeq: 1 INVITE',
        `Contact: <sip:alice@${ue.hostPort}>`,
        ...lines,
      ]);
      off();
      assert.equal(answer.status, status, `${uri} ${lines}`);
    }
  });
});
