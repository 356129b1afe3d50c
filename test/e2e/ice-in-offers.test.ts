import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startWorld, type World } from '../../src/lab/world.ts';
import { connect, nothingLeft, speak, UePark } from './fixtures.ts';

/** Real handsets pay no attention to ICE lines: what is offered with them must serve those, too. */
for (const engine of ['auto', 'embedded'] as const) {
  describe(`offers with ICE-lite lines, engine ${engine}`, { timeout: 120_000 }, () => {
    const directory = mkdtempSync(join(tmpdir(), 'imsdc-ice-'));
    let world: World;
    const park = new UePark(() => world.proxyUri);

    before(async () => {
      const overrides = { imsAs: { media: { iceInOffers: true } } };
      const startedMs = performance.timeOrigin + performance.now();
      world = await startWorld({ directory, engine, overrides, startedMs });
    });
    after(async () => {
      await park.close();
      await world.close();
      rmSync(directory, { recursive: true, force: true });
    });

    // conformance: ue-side 3 — with ICE in our offers by configuration, UEs without ICE simply work
    it('a callee without ICE has both its bootstrap channels', async () => {
      const callee = await park.ue();
      const call = await connect(await park.ue(), callee);
      assert.match(call.incoming.invite.body, /^a=ice-lite\r$/m);
      assert.match(call.incoming.invite.body, /^a=candidate:/m);
      for (const stream of [0, 100] as const) {
        assert.equal((await (await callee.bootstrap(call.incoming, stream)).list()).status, 200);
      }
      await speak(call);
      await call.outgoing.hangup();
      await call.incoming.ended();
      await nothingLeft(world);
    });
  });
}
