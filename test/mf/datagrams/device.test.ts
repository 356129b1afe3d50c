import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { silentLogger as log } from '../../../src/base/log.ts';
import { DeviceForwarding } from '../../../src/mf/datagrams/device-table.ts';
import { WORKER, workerMissing } from '../../native/rig.ts';
import { Namespaces, namespacesMissing } from './namespaces.ts';
import { connect, echo, flow, V4, V6, World } from './world.ts';

const skip = namespacesMissing || workerMissing;

const device = (spaces: Namespaces) =>
  new DeviceForwarding({
    log,
    ip: [...Namespaces.in(spaces.mf), 'ip'],
    rule: [...Namespaces.in(spaces.mf), join(dirname(WORKER), 'imsdc-nft-rule')],
  });

for (const [name, addresses] of [
  ['IPv4', V4],
  ['IPv6', V6],
] as const) {
  test(`from device to device, ${name}: a transfer is equal, counted, and passes no worker`, { skip }, async () => {
    await using world = await World.start(device);
    const { a, b, ends } = await flow(world, 'f', addresses);
    assert.equal(ends.path, 'kernel');
    await connect(world, 'f', a, b, ends);
    const { sent, received } = await echo(world, 'f', 4 << 20);
    assert.equal(received, sent);
    const [figures] = (await world.mf.stats(['f'])).associations;
    assert.equal(figures!.datagramsReceived, 0);
    const [sideA, sideB] = figures!.streams;
    assert.ok(sideA!.bytesReceived > 4 << 20 && sideB!.bytesReceived > 4 << 20);
    console.error(world.ruleset());
  });
}
