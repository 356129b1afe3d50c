import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { silentLogger } from '../../src/base/log.ts';
import { menu } from '../../src/dc-as/applications/menu.ts';
import { Dc4Client, type Dc4Error, type DcAs, startDcAs } from '../../src/dc-as/library/index.ts';
import { LOOPBACK } from '../../src/lab/config-file.ts';
import { freePort } from '../../src/lab/ports.ts';
import type { UeProcess } from '../../src/lab/process/ue-process.ts';
import { startWorld, type World } from '../../src/lab/world.ts';
import { nothingLeft } from './fixtures.ts';

const MENU = '20000001';
const [ALICE, BOB] = ['sip:alice@ims.lab', 'sip:bob@ims.lab'] as const;

async function streamsOf(ue: UeProcess): Promise<number[][]> {
  const { calls } = (await ue.run('status')) as unknown as {
    calls: { lines: { streams: { streamId: number }[] }[] }[];
  };
  return calls[0]!.lines.map(({ streams }) => streams.map(({ streamId }) => streamId));
}

describe('what the network begins in a call without data channels', { timeout: 120_000 }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'imsdc-network-'));
  let world: World;
  let dcAs: DcAs;
  let dc4: Dc4Client;

  before(async () => {
    const secret = 'shared by DCSF and DC AS';
    const port = await freePort(LOOPBACK);
    dcAs = await startDcAs({ address: LOOPBACK, port: 0, secret, applications: { [MENU]: menu }, log: silentLogger });
    world = await startWorld({
      directory,
      engine: 'auto',
      startedMs: Date.now(),
      overrides: {
        dcsf: { policy: { dcAs: { [MENU]: { url: dcAs.url, secret } } }, dc4: { enabled: true, port } },
      },
    });
    dc4 = new Dc4Client({ url: `http://${LOOPBACK}:${port}`, applicationId: MENU, secret });
    await Promise.all([world.alice.run('register'), world.bob.run('register')]);
  });

  after(async () => {
    await world?.close();
    await dcAs?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  test('nobody is in a call: 404', async () => {
    await assert.rejects(dc4.originate({ servedUser: ALICE, channels: [{ name: 'menu' }] }), (error: Dc4Error) => {
      return error.status === 404;
    });
  });

  // conformance: 23.228 AC.7.2.2, 24.186 9.3.2.2.2 — A2P and bootstrap by the network, into a call of voice alone
  test('an application and the channel to fetch it over, in one re-INVITE; it answers', async () => {
    const { alice, bob } = world;
    await Promise.all([alice.run(`call ${BOB} --no-bootstrap`), bob.run('answer')]);
    assert.deepEqual(await streamsOf(alice), []);
    const line = await dc4.originate({ servedUser: ALICE, channels: [{ name: 'menu' }], bootstrap: true });
    await alice.run(`wait channel ${line.streams[0]}`);
    assert.deepEqual(await streamsOf(alice), [[0], [...line.streams]]);
    const { text } = await alice.run(`receive ${line.streams[0]}`);
    assert.equal((JSON.parse(String(text)) as { page: string }).page, '');
    assert.equal((await alice.run('list')).status, 200, 'the repository answers on stream 0');
    assert.deepEqual(await streamsOf(bob), [], 'the other user hears nothing of it');
  });

  test('the called user too, from his own network', async () => {
    const { bob } = world;
    await dc4.originate({ servedUser: BOB, channels: [], bootstrap: true });
    await bob.run('wait channel 0');
    assert.equal((await bob.run('list')).status, 200);
  });

  test('what the UE opens afterwards joins what the network brought; voice went on all the time', async () => {
    const { alice, bob } = world;
    await alice.run('open 10000005 --stream 1010');
    await bob.run('wait channel 1010');
    const [sent, received] = await Promise.all([alice.run('send 1010 --random 9000'), bob.run('receive 1010')]);
    assert.equal(received.sha256, sent.sha256);
    for (const ue of [alice, bob]) {
      const { received: before } = (await ue.run('audio')) as unknown as { received: number };
      assert.equal((await ue.run(`audio --packets ${before + 3}`)).corrupt, 0);
    }
    await alice.run('hangup');
    await nothingLeft(world);
  });
});
