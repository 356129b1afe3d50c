import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { silentLogger } from '../../src/base/log.ts';
import { echo } from '../../src/dc-as/applications/echo.ts';
import { type DcAs, startDcAs } from '../../src/dc-as/library/index.ts';
import { LOOPBACK } from '../../src/lab/config-file.ts';
import type { UeProcess } from '../../src/lab/process/ue-process.ts';
import { startWorld, statusOf, type World } from '../../src/lab/world.ts';
import { nothingLeft } from './fixtures.ts';

const [PEER_APP, SERVER_APP] = ['30000001', '30000002'] as const;
/** Of Alice's own bootstrap line, which is to carry everything. */
const LINE = 1;

interface Line {
  readonly slot: number;
  readonly associations: number;
  readonly streams: readonly { readonly streamId: number; readonly state: string }[];
}

async function linesOf(ue: UeProcess): Promise<readonly Line[]> {
  const { calls } = (await ue.run('status')) as unknown as { calls: { lines: Line[] }[] };
  return calls[0]!.lines;
}

const streamsOf = (line: Line | undefined) => line?.streams.map(({ streamId }) => streamId);

/** Content of that size from one to the other, compared. */
async function compare(from: UeProcess, to: UeProcess, streamId: number, kind: 'text' | 'binary' = 'binary') {
  const [sent, received] = await Promise.all([
    from.run(`send ${streamId} --random 20000 --kind ${kind}`),
    to.run(`receive ${streamId}`),
  ]);
  assert.deepEqual([received.kind, received.sha256], [kind, sent.sha256]);
}

for (const engine of ['auto', 'embedded'] as const) {
  describe(`multiplexing over the whole core (${engine})`, { timeout: 120_000 }, () => {
    const directory = mkdtempSync(join(tmpdir(), 'imsdc-mux-'));
    let world: World;
    let dcAs: DcAs;
    before(async () => {
      const secret = 'shared by DCSF and DC AS';
      const applications = { [SERVER_APP]: echo };
      dcAs = await startDcAs({ address: LOOPBACK, port: 0, secret, applications, log: silentLogger });
      world = await startWorld({
        directory,
        engine,
        ueArgs: { alice: ['--multiplexing'] },
        startedMs: Date.now(),
        overrides: {
          dcsf: {
            policy: {
              dcAs: { [SERVER_APP]: { url: dcAs.url, secret } },
              applications: { rules: { [PEER_APP]: { anchor: 'none' } } },
            },
          },
        },
      });
      await Promise.all([world.alice.run('register'), world.bob.run('register')]);
      await Promise.all([world.alice.run('call sip:bob@ims.lab'), world.bob.run('answer')]);
    });
    after(async () => {
      await world?.close();
      await dcAs?.close();
      rmSync(directory, { recursive: true, force: true });
    });

    // conformance: 23.228 Annex AC (multiplexing) — one association, three streams, three far ends: bootstrap, peer, DC AS
    test('the repository, the other UE and a DC AS on one association', async () => {
      const { alice, bob } = world;
      const list = await alice.run('list');
      assert.equal(list.status, 200);
      await alice.run(`open ${PEER_APP} --stream 1000 --on ${LINE}`);
      await bob.run('wait channel 1000');
      await alice.run(`open ${SERVER_APP} --endpoint server --stream 1010 --on ${LINE}`);

      const [line] = await linesOf(alice);
      assert.deepEqual([streamsOf(line), line!.associations], [[0, 1000, 1010], 1]);
      const there = await linesOf(bob);
      assert.deepEqual(there.map(streamsOf).at(-1), [1000], 'a line of its own towards the peer');
      assert.ok(there.every(({ streams }) => streams.every(({ streamId }) => streamId !== 1010)));

      await compare(alice, bob, 1000);
      await compare(bob, alice, 1000, 'text');
      await compare(alice, alice, 1010);
      const again = await alice.run('list');
      assert.deepEqual([again.status, again.sha256], [200, list.sha256], 'the bootstrap channel as before');
      assert.equal((await statusOf(world.admin.mf)).mdc2Channels, 1);
    });

    // conformance: 23.228 Annex AC (multiplexing) — single streams come and go, the others and the association stay
    test('a stream leaves, another far end stays; it comes back', async () => {
      const { alice, bob } = world;
      const gone = bob.next('event', (event) => event.event === 'channel' && event.streamId === 1000);
      await alice.run('leave-out 1000');
      await gone;
      assert.deepEqual(streamsOf((await linesOf(alice))[0]), [0, 1010]);
      await compare(alice, alice, 1010);

      await alice.run(`open ${PEER_APP} --stream 1000 --stream 1002 --on ${LINE}`);
      await bob.run('wait channel 1002');
      await compare(alice, bob, 1000);
      await compare(bob, alice, 1002);
      await compare(alice, alice, 1010);

      await alice.run('leave-out 1010');
      await compare(alice, bob, 1002);
      const [line] = await linesOf(alice);
      assert.deepEqual(
        [streamsOf(line), line!.associations],
        [[0, 1000, 1002], 1],
        'the same association all the time',
      );
    });

    test('a new tls-id makes exactly one new association, with everything on it', async () => {
      const { alice, bob } = world;
      await alice.run(`renew ${LINE}`);
      await alice.run('wait channel 1000');
      await compare(alice, bob, 1000);
      await alice.run('list');
      assert.equal((await linesOf(alice))[0]!.associations, 2);
    });

    test('nothing is left', async () => {
      await world.alice.run('hangup');
      await nothingLeft(world);
    });
  });
}
