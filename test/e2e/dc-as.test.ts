import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { silentLogger } from '../../src/base/log.ts';
import { echo } from '../../src/dc-as/applications/echo.ts';
import { menu } from '../../src/dc-as/applications/menu.ts';
import { whiteboard } from '../../src/dc-as/applications/whiteboard.ts';
import { Dc4Client, type DcAs, startDcAs } from '../../src/dc-as/library/index.ts';
import { LOOPBACK } from '../../src/lab/config-file.ts';
import { freePort } from '../../src/lab/ports.ts';
import type { UeProcess } from '../../src/lab/process/ue-process.ts';
import { startWorld, statusOf, type World } from '../../src/lab/world.ts';
import { nothingLeft } from './fixtures.ts';

const [MENU, BOARD, STAND_IN] = ['20000001', '20000002', '20000003'] as const;
const SECRET = 'shared by DCSF and DC AS';
const ALICE = 'sip:alice@ims.lab';

async function page(ue: UeProcess, streamId: number): Promise<string> {
  const { text } = await ue.run(`receive ${streamId}`);
  return (JSON.parse(String(text)) as { page: string }).page;
}

const tap = (ue: UeProcess, streamId: number, key: string) => ue.run(`send ${streamId} '{"tap":"${key}"}'`);

async function call(world: World): Promise<void> {
  await Promise.all([world.alice.run('register'), world.bob.run('register')]);
  await Promise.all([world.alice.run('call sip:bob@ims.lab'), world.bob.run('answer')]);
}

async function voice(world: World): Promise<void> {
  for (const ue of [world.alice, world.bob]) {
    const { received } = (await ue.run('audio')) as unknown as { received: number };
    const now = await ue.run(`audio --packets ${received + 3}`);
    assert.equal(now.corrupt, 0);
  }
}

/** What the network has said last: media and port of each line. */
const linesOf = ({ remote }: { readonly [detail: string]: unknown }) =>
  [...String(remote).matchAll(/^m=(\S+ \d+)/gm)].map(([, line]) => line);

const SETTLE_LIMIT_MS = 10_000;

/** So many channels end at DC ASs, each with one socket: at once, or as soon as what closes has closed. */
async function mdc2Is(world: World, count: number): Promise<void> {
  let now: unknown[] = [];
  for (const deadline = Date.now() + SETTLE_LIMIT_MS; Date.now() < deadline; ) {
    const { mdc2Channels, mdc2Sockets } = await statusOf(world.admin.mf);
    now = [mdc2Channels, mdc2Sockets];
    if (now.every((is) => is === count)) return;
  }
  assert.deepEqual(now, [count, count]);
}

function suite(engine: 'auto' | 'embedded', ueArgs: { bob?: readonly string[] }, run: (lab: Lab) => void): void {
  const lab = new Lab(engine, ueArgs);
  before(() => lab.start());
  after(() => lab.close());
  run(lab);
}

class Lab {
  world!: World;
  dcAs!: DcAs;
  dc4!: Dc4Client;
  readonly #engine: 'auto' | 'embedded';
  readonly #ueArgs: { bob?: readonly string[] };
  readonly #directory = mkdtempSync(join(tmpdir(), 'imsdc-dc-as-'));

  constructor(engine: 'auto' | 'embedded', ueArgs: { bob?: readonly string[] }) {
    this.#engine = engine;
    this.#ueArgs = ueArgs;
  }

  async start(): Promise<void> {
    const dc4Port = await freePort(LOOPBACK);
    this.dcAs = await startDcAs({
      address: LOOPBACK,
      port: 0,
      secret: SECRET,
      applications: { [MENU]: menu, [BOARD]: whiteboard, [STAND_IN]: echo },
      log: silentLogger,
    });
    const server = { url: this.dcAs.url, secret: SECRET };
    this.world = await startWorld({
      directory: this.#directory,
      engine: this.#engine,
      ueArgs: this.#ueArgs,
      startedMs: Date.now(),
      overrides: {
        dcsf: {
          policy: {
            dcAs: {
              [MENU]: server,
              [BOARD]: { ...server, between: true },
              [STAND_IN]: { ...server, interworking: true },
            },
            applications: { rules: { [BOARD]: { anchor: 'none' } } },
          },
          dc4: { enabled: true, port: dc4Port },
        },
      },
    });
    this.dc4 = new Dc4Client({ url: `http://${LOOPBACK}:${dc4Port}`, applicationId: MENU, secret: SECRET });
    await call(this.world);
  }

  async close(): Promise<void> {
    await this.world?.close();
    await this.dcAs?.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

describe('two UEs and a DC AS, over the whole core', { timeout: 120_000 }, () => {
  suite('auto', {}, (lab) => {
    // conformance: 23.228 AC.7.2.2 — P2A: UE to DC AS, and the far side never hears of it
    test('P2A: a menu that answers taps', async () => {
      const { alice, bob } = lab.world;
      await alice.run(`open ${MENU} --endpoint server --stream 1000`);
      assert.equal(await page(alice, 1000), '');
      await tap(alice, 1000, 'bill');
      assert.equal(await page(alice, 1000), 'bill');
      await tap(alice, 1000, 'explain');
      assert.equal(await page(alice, 1000), 'explain');
      const { calls } = (await bob.run('status')) as unknown as { calls: { lines: { streams: unknown[] }[] }[] };
      const streams = calls[0]!.lines.flatMap((line) => line.streams) as { streamId: number }[];
      assert.ok(streams.every(({ streamId }) => streamId < 1_000));
      await mdc2Is(lab.world, 1);
      await voice(lab.world);
    });

    // conformance: 23.228 AC.7.2.3 — P2A2P: two associations, one DC AS between them
    test('P2A2P: a whiteboard that both draw on', async () => {
      const { alice, bob } = lab.world;
      await alice.run(`open ${BOARD} --stream 1010`);
      await bob.run('wait channel 1010');
      for (const [from, to] of [
        [alice, bob],
        [bob, alice],
      ] as const) {
        for (const kind of ['text', 'binary']) {
          const [sent, received] = await Promise.all([
            from.run(`send 1010 --random 3000 --kind ${kind}`),
            to.run('receive 1010'),
          ]);
          assert.deepEqual([received.kind, received.sha256], [kind, sent.sha256]);
        }
      }
      assert.deepEqual(lab.dcAs.status(), { associations: 0, channels: 3, sessions: 2, refused: 0 });
    });

    // conformance: 23.228 AC.7.2.2 — A2P: the DC AS calls, the AS sends a re-INVITE, the UE answers
    test('A2P: the menu comes by itself, and is taken away', async () => {
      const { alice } = lab.world;
      const line = await lab.dc4.originate({ servedUser: ALICE, channels: [{ name: 'menu' }] });
      assert.deepEqual(line.streams, [1001]);
      await alice.run('wait channel 1001');
      assert.equal(await page(alice, 1001), '');
      await tap(alice, 1001, 'roaming');
      assert.equal(await page(alice, 1001), 'roaming');
      const closed = alice.next('event', (event) => event.event === 'channel' && event.streamId === 1001);
      await lab.dc4.end(line);
      await closed;
      await mdc2Is(lab.world, 3);
    });

    // conformance: 23.228 AC.7.2.2 — the DC AS hangs up: DELETE_MEDIA, port 0 towards the UE by re-INVITE
    test('the menu says goodbye: its line goes to port 0, the others stay, and it can be opened again', async () => {
      const { alice } = lab.world;
      await alice.run(`open ${MENU} --endpoint server --stream 1004`);
      const before = linesOf(await alice.event('negotiated'));
      const reoffered = alice.next('event', ({ event }) => event === 'negotiated');
      await alice.run('send 1004 \'{"bye":true}\'');
      const after = linesOf(await reoffered);
      const changed = after.filter((line, slot) => line !== before[slot]);
      assert.deepEqual(changed, ['application 0'], `${before} → ${after}`);
      assert.equal(after.length, before.length);
      await mdc2Is(lab.world, 3);
      await voice(lab.world);
      await alice.run(`open ${MENU} --endpoint server --stream 1006`);
      assert.equal(await page(alice, 1006), '');
      await alice.run('close 1006');
      await mdc2Is(lab.world, 3);
    });

    test('the DC AS goes down: its channels close, the voice goes on, and so does the call', async () => {
      const { alice } = lab.world;
      const gone = alice.next('event', (event) => event.event === 'channel' && event.streamId === 1000);
      await lab.dcAs.close();
      await gone;
      await voice(lab.world);
      const refused = alice.next(
        'event',
        (event) => event.event === 'channel' && event.streamId === 1020 && event.state === 'closed',
      );
      // It opens, since the UE reaches the MF, and is closed when the MF does not reach the DC AS.
      await Promise.allSettled([alice.run(`open ${MENU} --endpoint server --stream 1020`)]);
      await refused;
      await voice(lab.world);
      await alice.run('hangup');
      await nothingLeft(lab.world);
      await mdc2Is(lab.world, 0);
    });
  });
});

describe('a UE without data channels', { timeout: 120_000 }, () => {
  suite('embedded', { bob: ['--data-channels', 'never'] }, (lab) => {
    // conformance: 23.228 AC.7.9 — P2P turned into P2A towards a DC AS that stands in
    test('a DC AS stands in for it, where the policy names one', async () => {
      const { alice } = lab.world;
      await alice.run(`open ${STAND_IN} --stream 1000`);
      const sent = await alice.run('send 1000 --random 5000');
      assert.equal((await alice.run('receive 1000')).sha256, sent.sha256);
      await mdc2Is(lab.world, 1);
      await voice(lab.world);
      await alice.run('hangup');
      await nothingLeft(lab.world);
    });
  });
});
