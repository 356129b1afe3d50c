import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { silentLogger } from '../../../src/base/log.ts';
import { Metrics } from '../../../src/base/metrics.ts';
import { echo } from '../../../src/dc-as/applications/echo.ts';
import { type DcAs, type DcAsChannel, startDcAs } from '../../../src/dc-as/library/index.ts';
import { type Mf, startMf } from '../../../src/mf/index.ts';
import type { PlainAssociation } from '../../../src/ndc/association.ts';
import { type Mdc2Ticket, sealTicket } from '../../../src/services/mdc2.ts';
import type { MediaInfo } from '../../../src/services/nmf-mrm.ts';
import { NmfMrmClient } from '../../../src/services/nmf-mrm-client.ts';
import { certificateB, ORDERED, opened, reserveLocal } from '../../ndc/support.ts';
import { mfConfig } from '../config.ts';
import { context, endpoint, relayMedia } from '../rig.ts';

const log = silentLogger;
const SECRET = 'a secret between DCSF and DC AS';
const STREAM = 1_000;
const soon = () => ({ deadlineMs: Date.now() + 5_000 });
const hash = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');

function ticket(change: Partial<Mdc2Ticket> = {}): string {
  const claims = { jti: randomBytes(16).toString('hex'), exp: Math.floor(Date.now() / 1_000) + 60, session: 's1' };
  return sealTicket({ ...claims, app: 'echo', mode: 'P2A', served: 'sip:alice@ims.lab', ...change }, SECRET);
}

/** Lets a test hold a DC AS back, and look at its channels. */
class Gate {
  readonly channels: DcAsChannel[] = [];
  #open = Promise.withResolvers<void>();

  release(): void {
    this.#open.resolve();
  }

  handler = async (channel: DcAsChannel): Promise<void> => {
    this.channels.push(channel);
    await this.#open.promise;
    await echo(channel);
  };
}

function suite(engine: 'embedded' | 'native'): void {
  let mf: Mf;
  let mrm: NmfMrmClient;
  let dcAs: DcAs;
  let gate = new Gate();
  const greeted: (string | undefined)[] = [];
  const ues: PlainAssociation[] = [];

  before(async () => {
    mf = await startMf(mfConfig({ engine, slowReaderLimitMs: 2_000, mdc2: { connectTimeoutMs: 1_000 } }), {
      log,
      metrics: new Metrics(),
      token: { instance: 'test', worker: 0, epoch: 1 },
    });
    mrm = new NmfMrmClient({ apiRoot: mf.address, userAgent: 'IMS_AS-test', log });
    dcAs = await startDcAs({
      address: '127.0.0.1',
      port: 0,
      secret: SECRET,
      log,
      applications: {
        echo,
        slow: (channel) => gate.handler(channel),
        greeter: async (channel) => {
          greeted.push(channel.facts.user);
          await channel.send(`hello ${channel.facts.termination} ${channel.facts.label}`);
          for await (const message of channel) if (message === 'bye') return;
        },
      },
    });
  });
  after(async () => {
    await Promise.all(ues.map((ue) => ue.close()));
    await mrm.close();
    await mf.close();
    await dcAs.close();
  });

  /** A line of `ue` that ends at a DC AS, as the AS asks for it. */
  function line(ue: PlainAssociation, change: { ticket?: string; url?: string; mediaId?: string } = {}): MediaInfo {
    const url = new URL(change.url ?? dcAs.url);
    const media = relayMedia(change.mediaId ?? 'm1', STREAM, { remoteMbEndpoint: endpoint(ue.localPort) });
    const fingerprint = certificateB.fingerprint.replace(/^sha/, 'SHA');
    Object.assign(media.dcMedia!, {
      remoteMdc2Endpoint: endpoint(Number(url.port)),
      mdc2Protocol: 'TCP',
      remoteDcEndpoint: { sctpPort: 5_000, fingerprint, tlsId: 'ue-tls-id-0000000001' },
      securitySetup: 'ACTPASS',
      streams: { [STREAM]: { streamId: STREAM, subprotocol: 'app', label: 'local_1_0_menü' } },
      imsdc: { mdc2: { url: url.href, ticket: change.ticket ?? ticket() } },
    });
    return media;
  }

  async function newUe(): Promise<PlainAssociation> {
    const ue = await reserveLocal(certificateB);
    ues.push(ue);
    return ue;
  }

  async function connect(ue: PlainAssociation, media: MediaInfo): Promise<void> {
    const open = opened(ue, STREAM);
    await begin(ue, media);
    await open;
  }

  /** Without waiting for the stream: a channel that is refused may be closed before its UE has seen it open. */
  async function begin(ue: PlainAssociation, { localMbEndpoint, dcMedia }: MediaInfo): Promise<void> {
    const { fingerprint, sctpPort } = dcMedia!.localDcEndpoint!;
    const far = { address: localMbEndpoint!.ip.ipv4Addr!, port: localMbEndpoint!.portNumber, sctpPort };
    const role = dcMedia!.securitySetup === 'ACTIVE' ? ('passive' as const) : ('active' as const);
    await ue.start({ ...far, fingerprints: [fingerprint!], role, maxMessageSizeBytes: 65_536 }, [ORDERED(STREAM)]);
  }

  async function talk(change: Parameters<typeof line>[1] = {}) {
    const ue = await newUe();
    const created = await mrm.createContext(context({ served: [line(ue, change)] }), soon());
    return { ue, created, media: created.terminations[0]!.medias[0]! };
  }

  async function isIdle(): Promise<void> {
    for (const deadline = Date.now() + 5_000; mf.status().mdc2Sockets + dcAs.status().channels > 0; ) {
      assert.ok(Date.now() < deadline, 'sockets stay');
      await new Promise(setImmediate);
    }
    const { contexts, associations, mdc2Channels, ports } = mf.status();
    assert.deepEqual([contexts, associations, mdc2Channels, ports.taken], [0, 0, 0, 0]);
    assert.equal(dcAs.status().sessions, 0);
  }

  const closedAt = (ue: PlainAssociation) =>
    ue.next('stream', ({ streamId, state }) => streamId === STREAM && state === 'closed');

  // conformance: 23.228 AC.7.2.2 — P2A: the channel ends at the MF and goes on to the DC AS over MDC2
  // conformance: R3 — DC_APPLICATION_PROXY with MDC2
  test('messages of every kind and size cross both ways as they are', async () => {
    const { ue, created, media } = await talk();
    assert.deepEqual(media.dcMedia!.localMdc2Endpoint, {
      ip: { ipv4Addr: '127.0.0.1' },
      transport: 'TCP',
      portNumber: 9,
    });
    assert.equal(mf.status().mdc2Sockets, 0, 'a DC AS hears of a channel when it is open, not when it is planned');
    await connect(ue, media);
    const samples = [
      ['text', Buffer.from('tap')],
      ['binary', randomBytes(1)],
      ['text', Buffer.from('ü€😀'.repeat(1_000))],
      ['binary', randomBytes(16_384)],
      ['binary', randomBytes(65_536)],
      ['text', Buffer.from('x'.repeat(65_536))],
    ] as const;
    for (const [kind, data] of samples) {
      const back = ue.next('message');
      assert.ok(ue.send(STREAM, data, kind));
      const message = await back;
      assert.deepEqual([message.kind, message.data.length, hash(message.data)], [kind, data.length, hash(data)]);
    }
    assert.equal(mf.status().mdc2Sockets, 1);
    await mrm.deleteContext(created.contextId, soon());
    await isIdle();
  });

  test('a DC AS speaks first, knows who it is, and may end the channel', async () => {
    const { ue, created, media } = await talk({ ticket: ticket({ app: 'greeter' }) });
    const first = ue.next('message');
    await connect(ue, media);
    assert.equal(Buffer.from((await first).data).toString(), 'hello served local_1_0_menü');
    assert.deepEqual(greeted, ['sip:alice@ims.lab']);
    const closed = closedAt(ue);
    ue.send(STREAM, Buffer.from('bye'), 'text');
    await closed;
    assert.equal(mf.status().mdc2Channels, 0);
    assert.equal(mf.status().associations, 1, 'the association is a matter of the AS');
    await mrm.deleteContext(created.contextId, soon());
    await isIdle();
  });

  test('a UE that closes its stream closes the socket, behind what it sent', async () => {
    gate = new Gate();
    const { ue, created, media } = await talk({ ticket: ticket({ app: 'slow' }) });
    await connect(ue, media);
    for (let i = 0; i < 10; i++) ue.send(STREAM, Buffer.from([i]), 'binary');
    ue.closeStream(STREAM);
    while (gate.channels.length === 0) await new Promise(setImmediate);
    const [channel] = gate.channels;
    const received: number[] = [];
    for await (const message of channel!) received.push((message as Uint8Array)[0]!);
    gate.release();
    assert.deepEqual(received, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await mrm.deleteContext(created.contextId, soon());
    await isIdle();
  });

  test('no DC AS, a wrong ticket, an unknown application: the channel is closed, the association stays', async () => {
    const nobody = 'ws://127.0.0.1:9/channels';
    const forged = `${ticket().slice(0, -2)}xx`;
    const expired = ticket({ exp: Math.floor(Date.now() / 1_000) - 1 });
    for (const change of [
      { url: nobody },
      { ticket: forged },
      { ticket: expired },
      { ticket: ticket({ app: 'none' }) },
    ]) {
      const { ue, created, media } = await talk(change);
      const closed = closedAt(ue);
      await begin(ue, media);
      await closed;
      const { associations, mdc2Channels } = mf.status();
      assert.deepEqual([associations, mdc2Channels], [1, 0]);
      await mrm.deleteContext(created.contextId, soon());
    }
    await isIdle();
  });

  // conformance: R2, 23.228 AC.7.2.3 — P2A2P: the same medium ends at the MF on both legs
  test('two legs of one medium are two channels of one session at the DC AS', async () => {
    const [alice, bob] = [await newUe(), await newUe()];
    const shared = { ticket: ticket({ app: 'greeter', mode: 'P2A2P', peer: 'sip:bob@ims.lab' }) };
    greeted.length = 0;
    const created = await mrm.createContext(
      context({ served: [line(alice, shared)], remote: [line(bob, shared)] }),
      soon(),
    );
    const hello = [alice.next('message'), bob.next('message')] as const;
    for (const [i, ue] of [alice, bob].entries()) await connect(ue, created.terminations[i]!.medias[0]!);
    const texts = (await Promise.all(hello)).map(({ data }) => Buffer.from(data).toString());
    assert.deepEqual(texts, ['hello served local_1_0_menü', 'hello remote local_1_0_menü']);
    assert.deepEqual(greeted.toSorted(), ['sip:alice@ims.lab', 'sip:bob@ims.lab']);
    assert.deepEqual(dcAs.status(), { ...dcAs.status(), channels: 2, sessions: 1 });
    await mrm.deleteContext(created.contextId, soon());
    await isIdle();
  });

  // conformance: R29 — a slow DC AS slows its UE, memory is bounded, nothing is lost
  test('a DC AS that does not read makes its UE wait, and then gets everything', { timeout: 60_000 }, async () => {
    gate = new Gate();
    const { ue, created, media } = await talk({ ticket: ticket({ app: 'slow' }) });
    await connect(ue, media);
    const data = randomBytes(60_000);
    const total = 60;
    let echoed = 0;
    const all = new Promise<void>((resolve) => {
      ue.on('message', (message) => {
        assert.equal(hash(message.data), hash(data));
        if (++echoed === total) resolve();
      });
    });
    for (let sent = 0; sent < total; sent++) {
      if (sent === 20) gate.release();
      while (!ue.send(STREAM, data, 'binary')) await ue.next('writable');
    }
    await all;
    await mrm.deleteContext(created.contextId, soon());
    await isIdle();
  });

  // conformance: R29 — neither side keeps the other waiting for ever
  test('a DC AS that never reads loses the channel after the limit, the association stays', {
    timeout: 60_000,
  }, async () => {
    gate = new Gate();
    const { ue, created, media } = await talk({ ticket: ticket({ app: 'slow' }) });
    await connect(ue, media);
    const closed = closedAt(ue);
    let open = true;
    closed.then(() => (open = false));
    const data = randomBytes(60_000);
    // More than all buffers between here and there.
    for (let sent = 0; sent < 400 && open; sent++) {
      while (open && !ue.send(STREAM, data, 'binary')) await Promise.race([ue.next('writable'), closed]);
    }
    await closed;
    assert.deepEqual([mf.status().associations, mf.status().mdc2Channels], [1, 0]);
    gate.release();
    await mrm.deleteContext(created.contextId, soon());
    await isIdle();
  });

  test('what the MF does not serve is refused with its place', async () => {
    const ue = await newUe();
    const refused = async (change: object, at: RegExp) => {
      const media = line(ue);
      Object.assign(media.dcMedia!, change);
      await assert.rejects(mrm.createContext(context({ served: [media] }), soon()), at);
    };
    await refused({ mdc2Protocol: 'SCTP' }, /mdc2Protocol SCTP is not served/);
    await refused({ mdc2Protocol: 'UDP/DTLS/SCTP' }, /could be anybody/);
    await refused({ mediaProxyConfig: 'UDP_PROXY' }, /mdc2Protocol TCP is not served/);
    await refused({ remoteMdc2Endpoint: endpoint(443, '192.0.2.1') }, /loopback only/);
    await refused({ imsdc: { mdc2: { url: 'https://h/' } } }, /is not a ws: URL/);
    await refused({ imsdc: { mdc2: { url: 'ws://user:pass@h/' } } }, /fragment or a user/);
    await isIdle();
  });
}

describe('MDC2 with the embedded engine', () => suite('embedded'));
const built = process.env.IMSDC_NATIVE_WORKER ?? join(import.meta.dirname, '../../../native/build/imsdc-media-worker');
const skip = existsSync(built) ? false : 'the native worker is not built';
describe('MDC2 with the native engine', { skip }, () => suite('native'));
