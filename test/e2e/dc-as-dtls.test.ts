import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { silentLogger } from '../../src/base/log.ts';
import { echo } from '../../src/dc-as/applications/echo.ts';
import { menu } from '../../src/dc-as/applications/menu.ts';
import { whiteboard } from '../../src/dc-as/applications/whiteboard.ts';
import { Dc4Client, type DcAs, startDcAs } from '../../src/dc-as/library/index.ts';
import type { ChannelRecord } from '../../src/ims-as/records/channel-record.ts';
import { LOOPBACK } from '../../src/lab/config-file.ts';
import { freePort } from '../../src/lab/ports.ts';
import type { UeProcess } from '../../src/lab/process/ue-process.ts';
import { startWorld, type World } from '../../src/lab/world.ts';
import { nothingLeft } from './fixtures.ts';

const [DATAGRAMS, DTLS, BOARD, WEB_SOCKET, CALLING] = [
  '20000001',
  '20000002',
  '20000003',
  '20000004',
  '20000005',
] as const;
const SECRET = 'shared by DCSF and DC AS';
/** Beyond the media ports of labs. */
const FIRST_PORT = 21_000;
const SETTLE_LIMIT_MS = 10_000;

async function page(ue: UeProcess, streamId: number): Promise<string> {
  const { text } = await ue.run(`receive ${streamId}`);
  return (JSON.parse(String(text)) as { page: string }).page;
}

/** Whether `sdp` has a line in use with this channel. */
function isLive(sdp: unknown, stream: number): boolean {
  return String(sdp)
    .split(/^(?=m=)/m)
    .some((line) => /^m=application [1-9]/.test(line) && line.includes(`a=dcmap:${stream} `));
}

const tap = (ue: UeProcess, streamId: number, key: string) => ue.run(`send ${streamId} '{"tap":"${key}"}'`);

function suite(engine: 'auto' | 'embedded', offset: number): void {
  const directory = mkdtempSync(join(tmpdir(), 'imsdc-dc-as-dtls-'));
  const records = join(directory, 'channels.jsonl');
  let world: World;
  let dcAs: DcAs;
  let dc4: Dc4Client;

  before(async () => {
    const dc4Port = await freePort(LOOPBACK);
    const firstPort = FIRST_PORT + offset;
    dcAs = await startDcAs({
      address: LOOPBACK,
      port: 0,
      secret: SECRET,
      applications: { [DATAGRAMS]: menu, [DTLS]: menu, [BOARD]: whiteboard, [WEB_SOCKET]: menu, [CALLING]: echo },
      dtls: { address: LOOPBACK, firstPort, lastPort: firstPort + 99, engine },
      log: silentLogger,
    });
    const asked = { dc4Url: dcAs.dc4Url, secret: SECRET };
    world = await startWorld({
      directory,
      engine,
      startedMs: Date.now(),
      overrides: {
        imsAs: { channelRecords: { file: records } },
        dcsf: {
          policy: {
            dcAs: {
              [DATAGRAMS]: { ...asked, mdc2: 'UDP_PROXY' },
              [DTLS]: { ...asked, mdc2: 'UDP/DTLS/SCTP' },
              [BOARD]: { ...asked, mdc2: 'UDP/DTLS/SCTP', between: true },
              [WEB_SOCKET]: { url: dcAs.url, secret: SECRET },
              [CALLING]: { ...asked, mdc2: 'UDP/DTLS/SCTP' },
            },
            applications: { rules: { [BOARD]: { anchor: 'none' } } },
          },
          dc4: { enabled: true, port: dc4Port },
        },
      },
    });
    dc4 = new Dc4Client({ url: `http://${LOOPBACK}:${dc4Port}`, applicationId: CALLING, secret: SECRET });
    await Promise.all([world.alice.run('register'), world.bob.run('register')]);
    await Promise.all([world.alice.run('call sip:bob@ims.lab'), world.bob.run('answer')]);
  });
  after(async () => {
    await world?.close();
    await dcAs?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  async function voice(): Promise<void> {
    for (const ue of [world.alice, world.bob]) {
      const { received } = (await ue.run('audio')) as unknown as { received: number };
      assert.equal((await ue.run(`audio --packets ${received + 3}`)).corrupt, 0);
    }
  }

  async function channelsAre(count: number): Promise<void> {
    let now = -1;
    for (const deadline = Date.now() + SETTLE_LIMIT_MS; Date.now() < deadline; await voice()) {
      now = dcAs.status().channels;
      if (now === count) return;
    }
    assert.equal(now, count);
  }

  // conformance: 23.228 AC.7.2.2 — P2A over each transport: the datagrams of the UE, DTLS of the MF, a WebSocket
  for (const [application, stream, transport] of [
    [DATAGRAMS, 1000, 'UDP_PROXY: DTLS of the UE ends at the DC AS'],
    [DTLS, 1002, 'UDP/DTLS/SCTP: DTLS of the MF ends at the DC AS'],
    [WEB_SOCKET, 1004, 'a WebSocket'],
  ] as const) {
    test(`a menu that answers taps over ${transport}`, async () => {
      const { alice } = world;
      await alice.run(`open ${application} --endpoint server --stream ${stream}`);
      assert.equal(await page(alice, stream), '');
      for (const key of ['bill', 'explain']) {
        await tap(alice, stream, key);
        assert.equal(await page(alice, stream), key);
      }
      await voice();
    });
  }

  // conformance: 23.228 AC.7.2.3 — P2A2P: two associations with the DC AS, text and binary kept, boundaries kept
  test('a whiteboard that both draw on, over DTLS', async () => {
    const { alice, bob } = world;
    await alice.run(`open ${BOARD} --stream 1010`);
    await bob.run('wait channel 1010');
    await channelsAre(5);
    for (const [from, to] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      for (const kind of ['text', 'binary']) {
        for (const bytes of [1, 3_000, 60_000]) {
          const [sent, received] = await Promise.all([
            from.run(`send 1010 --random ${bytes} --kind ${kind}`),
            to.run('receive 1010'),
          ]);
          assert.deepEqual([received.kind, received.sha256], [kind, sent.sha256]);
        }
      }
    }
  });

  // conformance: 23.228 AC.7.2.2 — A2P over DTLS
  test('the DC AS calls the user, over DTLS', async () => {
    const { alice } = world;
    const line = await dc4.originate({ servedUser: 'sip:alice@ims.lab', channels: [{ name: 'echo' }] });
    const [stream] = line.streams;
    await alice.run(`wait channel ${stream}`);
    const sent = await alice.run(`send ${stream} --random 5000`);
    assert.equal((await alice.run(`receive ${stream}`)).sha256, sent.sha256);
    const closed = alice.next('event', (event) => event.event === 'channel' && event.streamId === stream);
    await dc4.end(line);
    await closed;
    await channelsAre(5);
  });

  // conformance: 23.228 AC.7.2.2 — a DC AS hangs up over DTLS: DELETE_MEDIA, port 0 towards the UE by re-INVITE
  test('the application ends the channel: the UE sees it closed, and its line ends if the MF saw it, too', async () => {
    const { alice } = world;
    const bye = async (stream: number) => {
      const closed = alice.next('event', (event) => event.event === 'channel' && event.streamId === stream);
      await alice.run(`send ${stream} '{"bye":true}'`);
      await closed;
    };
    await bye(1000);
    const ended = alice.next('event', ({ event, remote }) => event === 'negotiated' && !isLive(remote, 1002));
    await bye(1002);
    assert.ok(isLive((await ended).remote, 1000), 'UDP_PROXY: nobody but its two ends saw it');
    await channelsAre(3);
  });

  test('the DC AS is down: its lines are refused, for that reason; the voice and the rest go on', async () => {
    const { alice, bob } = world;
    await dcAs.close();
    for (const application of [DATAGRAMS, DTLS]) {
      await assert.rejects(alice.run(`open ${application} --endpoint server --stream 1012`), /488/);
    }
    await voice();
    await alice.run('open 10000005 --stream 1014');
    await bob.run('wait channel 1014');
    await alice.run('hangup');
    await nothingLeft(world);
    await world.dcsf.stop();
    assert.match(readFileSync(join(directory, 'dcsf.log'), 'utf8'), /"code":"DC_AS_UNAVAILABLE"/);
    const all = readFileSync(records, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as ChannelRecord);
    const modes = new Map(all.map(({ applicationId, mode, proxy }) => [applicationId, `${mode} ${proxy}`]));
    assert.deepEqual(
      [DATAGRAMS, DTLS, WEB_SOCKET, CALLING].map((application) => modes.get(application)),
      ['P2A UDP_PROXY', 'P2A DC_APPLICATION_PROXY', 'P2A DC_APPLICATION_PROXY', 'A2P DC_APPLICATION_PROXY'],
    );
    const board = all.find(
      ({ applicationId, sessionCase }) => applicationId === BOARD && sessionCase === 'originating',
    );
    assert.equal(board?.mode, 'P2A2P');
    assert.equal(board?.legs.served?.from.messages, 6, JSON.stringify(board));
  });
}

describe('DTLS to a DC AS, over the whole core', { timeout: 120_000 }, () => suite('auto', 0));
describe('DTLS to a DC AS, on the embedded engine', { timeout: 120_000 }, () => suite('embedded', 100));
