import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { silentLogger } from '../../../src/base/log.ts';
import { Metrics } from '../../../src/base/metrics.ts';
import { echo } from '../../../src/dc-as/applications/echo.ts';
import { type DcAs, type DcAsChannel, startDcAs } from '../../../src/dc-as/library/index.ts';
import { DcAsClient } from '../../../src/dcsf/dc-as-client.ts';
import { type Mf, startMf } from '../../../src/mf/index.ts';
import type { PlainAssociation } from '../../../src/ndc/association.ts';
import type { Mdc2End } from '../../../src/services/common-data.ts';
import { sealTicket } from '../../../src/services/mdc2.ts';
import type { MediaInfo } from '../../../src/services/nmf-mrm.ts';
import { NmfMrmClient } from '../../../src/services/nmf-mrm-client.ts';
import { certificateA, certificateB, ORDERED, opened, reserveLocal } from '../../ndc/support.ts';
import { mfConfig } from '../config.ts';
import { context, endpoint, relayMedia } from '../rig.ts';

const SECRET = 'a secret between DCSF and DC AS';
const STREAM = 1_000;
const STREAMS = { [STREAM]: { streamId: STREAM, subprotocol: 'app', label: 'local_1_0_menu' } };
const DEADLINE_MS = 5_000;
const LOST_MS = 30_000;
const soon = () => ({ deadlineMs: Date.now() + DEADLINE_MS });
const hash = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');
const upper = (fingerprint: string) => fingerprint.replace(/^sha/, 'SHA');

type Proxy = 'DC_APPLICATION_PROXY' | 'UDP_PROXY';

function suite(engine: 'embedded' | 'native', offset: number): void {
  let mf: Mf;
  let mrm: NmfMrmClient;
  let dcAs: DcAs;
  let client: DcAsClient;
  let held = Promise.withResolvers<void>();
  const channels: DcAsChannel[] = [];
  const ues: PlainAssociation[] = [];
  let serial = 0;

  before(async () => {
    mf = await startMf(mfConfig({ engine, slowReaderLimitMs: 20_000 }), {
      log: silentLogger,
      metrics: new Metrics(),
      token: { instance: 'test', worker: 0, epoch: 1 },
    });
    mrm = new NmfMrmClient({ apiRoot: mf.address, userAgent: 'IMS_AS-test', log: silentLogger });
    const firstPort = 31_000 + offset;
    dcAs = await startDcAs({
      address: '127.0.0.1',
      port: 0,
      secret: SECRET,
      log: silentLogger,
      applications: {
        echo,
        slow: async (channel) => {
          channels.push(channel);
          await held.promise;
          await echo(channel);
        },
        source: async (channel) => {
          for (let sent = 0; sent < 60; sent++) await channel.send(randomBytes(60_000));
        },
      },
      dtls: { address: '127.0.0.1', firstPort, lastPort: firstPort + 49, engine },
    });
    client = new DcAsClient({ url: dcAs.dc4Url, secret: SECRET });
  });
  after(async () => {
    await Promise.all(ues.map((ue) => ue.close()));
    client.close();
    await mrm.close();
    await mf.close();
    await dcAs.close();
  });

  /** What the DCSF and the AS do: ask the DC AS, tell the MF, tell the DC AS. `known`: whom it is told to expect. */
  async function line(app: string, proxy: Proxy, known?: string) {
    const name = { sessionId: `s${++serial}`, mediaId: 'm1' };
    const exp = Math.floor(Date.now() / 1_000) + 60;
    const ticket = sealTicket(
      { jti: randomBytes(16).toString('hex'), exp, app, session: name.sessionId, mode: 'P2A' },
      SECRET,
    );
    const asked = { ticket, proxy, streams: STREAMS };
    const { legs } = await client.put(name, { ...asked, legs: { served: {} } }, DEADLINE_MS);
    const end = legs.served!;
    const ue = await reserveLocal(certificateB);
    ues.push(ue);
    const media = relayMedia('m1', STREAM, { remoteMbEndpoint: endpoint(ue.localPort) });
    Object.assign(media.dcMedia!, {
      mediaProxyConfig: proxy,
      remoteMdc2Endpoint: end.endpoint,
      mdc2Protocol: 'UDP/DTLS/SCTP',
      streams: STREAMS,
      ...(proxy === 'UDP_PROXY'
        ? {}
        : {
            remoteDcEndpoint: {
              sctpPort: 5_000,
              fingerprint: upper(certificateB.fingerprint),
              tlsId: 'ue-tls-id-0000000001',
            },
            securitySetup: 'ACTPASS',
            imsdc: { mdc2: { dcEndpoint: end.dcEndpoint, maxMessageSizeBytes: end.maxMessageSizeBytes } },
          }),
    });
    const created = await mrm.createContext(context({ served: [media] }), soon());
    const told = created.terminations[0]!.medias[0]!;
    const shown = proxy === 'UDP_PROXY' ? upper(certificateB.fingerprint) : told.dcMedia!.localDcEndpoint!.fingerprint!;
    const dcEndpoint = { sctpPort: 5_000, fingerprints: [known ?? shown] };
    const far = { endpoint: told.dcMedia!.localMdc2Endpoint!, dcEndpoint };
    await client.put(name, { ...asked, legs: { served: far } }, DEADLINE_MS);
    return { ue, told, end, contextId: created.contextId, name };
  }

  /** The UE's side of the answer: whom it expects, and the role it has. */
  async function connect(ue: PlainAssociation, { localMbEndpoint, dcMedia }: MediaInfo, end: Mdc2End): Promise<void> {
    const { fingerprint, sctpPort } = dcMedia!.localDcEndpoint ?? end.dcEndpoint!;
    const isPassive = dcMedia!.localDcEndpoint !== undefined && dcMedia!.securitySetup === 'ACTIVE';
    const role = isPassive ? ('passive' as const) : ('active' as const);
    const far = { address: localMbEndpoint!.ip.ipv4Addr!, port: localMbEndpoint!.portNumber, sctpPort };
    await ue.start({ ...far, fingerprints: [fingerprint!], role, maxMessageSizeBytes: 65_536 }, [ORDERED(STREAM)]);
  }

  async function isIdle(): Promise<void> {
    for (const deadline = Date.now() + DEADLINE_MS; dcAs.status().channels > 0; await new Promise(setImmediate)) {
      assert.ok(Date.now() < deadline, 'channels stay');
    }
    const { contexts, associations, flows } = mf.status();
    assert.deepEqual([contexts, associations, flows], [0, 0, 0]);
  }

  for (const proxy of ['DC_APPLICATION_PROXY', 'UDP_PROXY'] as const) {
    // conformance: 23.228 AC.7.2.2 — MDC2 over UDP/DTLS/SCTP, with either proxy: messages, kinds and boundaries are kept
    test(`${proxy}: messages of every kind and size cross both ways as they are`, async () => {
      const { ue, told, end, contextId, name } = await line('echo', proxy);
      const open = opened(ue, STREAM);
      await connect(ue, told, end);
      await open;
      for (const [kind, data] of [
        ['text', Buffer.from('tap')],
        ['binary', randomBytes(1)],
        ['text', Buffer.from('ü€😀'.repeat(1_000))],
        ['binary', randomBytes(65_536)],
      ] as const) {
        const back = ue.next('message');
        while (!ue.send(STREAM, data, kind)) await ue.next('writable');
        const message = await back;
        assert.deepEqual([message.kind, hash(message.data)], [kind, hash(data)]);
      }
      await mrm.deleteContext(contextId, soon());
      await client.delete(name, DEADLINE_MS);
      await isIdle();
    });

    // conformance: R29 — back-pressure from the DC AS to the UE, without loss
    test(`${proxy}: a DC AS that does not read makes its UE wait, and then gets everything`, async () => {
      held = Promise.withResolvers();
      const { ue, told, end, contextId, name } = await line('slow', proxy);
      const open = opened(ue, STREAM);
      await connect(ue, told, end);
      await open;
      const data = randomBytes(60_000);
      const total = 100;
      let echoed = 0;
      const all = new Promise<void>((resolve) => {
        ue.on('message', (message) => {
          assert.equal(hash(message.data), hash(data));
          if (++echoed === total) resolve();
        });
      });
      let waited = 0;
      for (let sent = 0; sent < total; sent++) {
        while (!ue.send(STREAM, data, 'binary')) {
          waited++;
          held.resolve();
          await ue.next('writable');
        }
      }
      held.resolve();
      await all;
      assert.ok(waited > 0, 'the UE never had to wait');
      await mrm.deleteContext(contextId, soon());
      await client.delete(name, DEADLINE_MS);
      await isIdle();
    });

    test(`${proxy}: a DC AS that sends faster than the UE takes waits, and loses nothing`, async () => {
      const { ue, told, end, contextId, name } = await line('source', proxy);
      let received = 0;
      const all = new Promise<void>((resolve) => {
        ue.on('message', ({ data }) => {
          assert.equal(data.length, 60_000);
          if (++received === 60) resolve();
        });
      });
      await connect(ue, told, end);
      await all;
      await mrm.deleteContext(contextId, soon());
      await client.delete(name, DEADLINE_MS);
      await isIdle();
    });
  }

  // conformance: RFC 8122 6 — the certificate must be the announced one, on MDC2 too
  test('another certificate than the DCSF announced: no channel, and the UE hears of it', async () => {
    const stranger = upper(certificateA.fingerprint);
    const relayed = await line('echo', 'DC_APPLICATION_PROXY', stranger);
    const closed = relayed.ue.next('stream', ({ streamId, state }) => streamId === STREAM && state === 'closed');
    await connect(relayed.ue, relayed.told, relayed.end);
    await closed;
    const forwarded = await line('echo', 'UDP_PROXY', stranger);
    await connect(forwarded.ue, forwarded.told, forwarded.end);
    for (const deadline = Date.now() + LOST_MS; dcAs.status().associations > 0; await new Promise(setImmediate)) {
      assert.ok(Date.now() < deadline, 'the DC AS keeps an association with a stranger');
    }
    assert.equal(dcAs.status().channels, 0);
    for (const { contextId } of [relayed, forwarded]) await mrm.deleteContext(contextId, soon());
    await isIdle();
  });

  test('what a DC AS refuses to the DCSF, with its reason', async () => {
    const name = { sessionId: 's', mediaId: 'm' };
    const legs = { served: {} };
    const asked = { proxy: 'UDP_PROXY', streams: STREAMS, legs } as const;
    await assert.rejects(client.put(name, { ...asked, ticket: 'forged' }, DEADLINE_MS), /status 403: .*ticket/);
    await assert.rejects(client.put(name, asked, DEADLINE_MS), /status 403: .*ticket/);
    await assert.rejects(client.put(name, { ...asked, legs: 5 } as never, DEADLINE_MS), /status 400/);
    const stranger = new DcAsClient({ url: dcAs.dc4Url, secret: 'another secret' });
    await assert.rejects(stranger.put(name, asked, DEADLINE_MS), /status 401/);
    stranger.close();
    const nobody = new DcAsClient({ url: 'http://127.0.0.1:9', secret: SECRET });
    await assert.rejects(nobody.put(name, asked, DEADLINE_MS), /ECONNREFUSED/);
    nobody.close();
    await client.delete(name, DEADLINE_MS);
  });
}

describe('MDC2 over DTLS with the embedded engine', { timeout: 120_000 }, () => suite('embedded', 0));
const built = process.env.IMSDC_NATIVE_WORKER ?? join(import.meta.dirname, '../../../native/build/imsdc-media-worker');
const skip = existsSync(built) ? false : 'the native worker is not built';
describe('MDC2 over DTLS with the native engine', { skip, timeout: 120_000 }, () => suite('native', 50));
