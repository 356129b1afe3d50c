import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { IncomingCall } from '../../src/ue/call/incoming.ts';
import type { OutgoingCall } from '../../src/ue/call/outgoing.ts';
import { UserEquipment } from '../../src/ue/user-equipment.ts';

const DRAW = { applicationId: '10000005', channels: [{ streamId: 1000, endpoint: 'UE', name: 'draw' }] } as const;

describe('two UEs without a network', () => {
  let alice: UserEquipment;
  let bob: UserEquipment;

  before(async () => {
    alice = await UserEquipment.start({ identity: 'sip:alice@ims.lab', dataChannels: 'always' });
    bob = await UserEquipment.start({ identity: 'sip:bob@ims.lab', dataChannels: 'always' });
  });
  after(async () => {
    await alice.close();
    await bob.close();
  });

  async function connect(): Promise<{ caller: OutgoingCall; callee: IncomingCall }> {
    const answered = bob.answer();
    const caller = await alice.call(bob.contactUri, { bootstrap: false });
    await caller.connected();
    return { caller, callee: await answered };
  }

  it('talk directly: every RTP packet arrives as it was sent', async () => {
    const { caller, callee } = await connect();
    await Promise.all([caller.media.audio!.stream.received(5), callee.media.audio!.stream.received(5)]);
    const counters = callee.media.audio!.stream.counters;
    assert.equal(counters.corrupt, 0);
    assert.equal(counters.source, `127.0.0.1:${caller.media.audio!.stream.port}`);
    await caller.hangup();
    assert.deepEqual(await callee.ended(), { by: 'peer', status: 0, reason: 'BYE' });
  });

  it('open a peer-to-peer channel by re-INVITE and keep text, binary and boundaries', async () => {
    const { caller, callee } = await connect();
    const [channel] = await caller.openApplication({ ...DRAW, boundBy: 'attribute' });
    const far = await callee.channel(1000);
    assert.equal(far.stream.label, 'local_10000005_1_draw');
    for (const size of [1, 64_000, 65_536]) {
      for (const kind of ['text', 'binary'] as const) {
        const data = Buffer.alloc(size, 'x');
        await channel!.send(data, kind);
        assert.deepEqual(await far.receive(), { data, kind });
        await far.send(data, kind);
        assert.deepEqual(await channel!.receive(), { data, kind });
      }
    }
    await callee.hangup();
    await caller.ended();
  });
});
