import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EngineClient } from '../../src/mf/engine/client.ts';
import { remoteOf, reserveOptions, startEngine, stateOf, stream, workerMissing } from './rig.ts';
import { transferOverRelay } from './transfer.ts';
import { BadLink, type Weather } from './weather.ts';

/** IMSDC_SLOW=1 runs the full sizes; a short transfer shows every time that recovery works. */
const full = process.env.IMSDC_SLOW === '1';

async function connect(ue: EngineClient, mf: EngineClient, key: string, link: BadLink): Promise<void> {
  const mfLocal = await mf.reserve(key, 'call', reserveOptions);
  const ueLocal = await ue.reserve(key, key, reserveOptions);
  link.join(ueLocal.port, mfLocal.port);
  for (const engine of [mf, ue]) await engine.setStreams(key, [stream(0)]);
  const both = Promise.all([stateOf(mf, key, 'connected'), stateOf(ue, key, 'connected')]);
  await mf.start(key, remoteOf(ueLocal, { role: 'passive', port: link.ports[1] }));
  await ue.start(key, remoteOf(mfLocal, { role: 'active', port: link.ports[0] }));
  await both;
}

/** UE a -> bad link -> MF -> bad link -> UE b; the hashes have to be equal. */
async function transfer(weather: Weather, megabytes: number): Promise<void> {
  const [mf, ue] = [await startEngine(), await startEngine()];
  const links = [await BadLink.open(weather, 1), await BadLink.open(weather, 2)] as const;
  try {
    await connect(ue, mf, 'a', links[0]);
    await connect(ue, mf, 'b', links[1]);
    await transferOverRelay(ue, mf, megabytes * 2 ** 20);
    assert.ok(links.every(({ carried }) => carried > 0));
  } finally {
    for (const link of links) link.close();
    await Promise.all([mf.close(), ue.close()]);
  }
}

test(`${full ? 4 : 0.25} MB through the relay at 5 % loss and 50 ms`, { skip: workerMissing }, () =>
  transfer({ loss: 0.05, duplicate: 0, reorder: 0, delayMs: 25 }, full ? 4 : 0.25),
);

test(`${full ? 100 : 2} MB at 0.1 % loss with reordering and duplication`, { skip: workerMissing }, () =>
  transfer({ loss: 0.001, duplicate: 0.001, reorder: 0.01, delayMs: 3 }, full ? 100 : 2),
);
