import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ConfigObject, startWorld, statusOf, type World } from '../../src/lab/world.ts';
import type { IncomingCall } from '../../src/ue/call/incoming.ts';
import type { OutgoingCall } from '../../src/ue/call/outgoing.ts';
import type { UeOptions } from '../../src/ue/options.ts';
import { UserEquipment } from '../../src/ue/user-equipment.ts';

/** Calls through the real network functions in which one party misbehaves. The audio of the call must never notice. */
describe('bad peers: voice always wins', { timeout: 120_000 }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'imsdc-bad-'));
  let world: World;
  const ues: UserEquipment[] = [];

  before(async () => {
    const overrides: ConfigObject = { imsAs: { guards: { dcsfBudgetMs: 1500 } } };
    world = await startWorld({ directory, overrides, startedMs: performance.timeOrigin + performance.now() });
  });
  after(async () => {
    await Promise.all(ues.map((ue) => ue.close()));
    await world.close();
    rmSync(directory, { recursive: true, force: true });
  });

  let serial = 0;
  async function ue(options: Partial<UeOptions> = {}): Promise<UserEquipment> {
    const identity = `sip:user${++serial}@ims.lab`;
    const one = await UserEquipment.start({ identity, proxy: world.proxyUri, ...options });
    await one.register();
    ues.push(one);
    return one;
  }

  async function connect(
    caller: UserEquipment,
    callee: UserEquipment,
  ): Promise<{ outgoing: OutgoingCall; incoming: IncomingCall }> {
    const answered = callee.answer();
    const outgoing = await caller.call(callee.identity);
    await outgoing.connected();
    return { outgoing, incoming: await answered };
  }

  /** Audio both ways, then a release after which nothing is left anywhere. */
  async function speakAndRelease(outgoing: OutgoingCall, incoming: IncomingCall): Promise<void> {
    const [mine, theirs] = [outgoing.media.audio!.stream, incoming.media.audio!.stream];
    await Promise.all([mine.received(mine.counters.received + 3), theirs.received(theirs.counters.received + 3)]);
    assert.equal(mine.counters.corrupt + theirs.counters.corrupt, 0);
    await outgoing.hangup();
    await incoming.ended();
    await nothingLeft();
  }

  async function nothingLeft(): Promise<void> {
    let left: unknown;
    for (const deadline = Date.now() + 10_000; Date.now() < deadline; ) {
      const [mf, dcsf] = (await Promise.all([statusOf(world.admin.mf), statusOf(world.admin.dcsf)])) as [
        { contexts: number; associations: number; ports: { taken: number } },
        { imsAs: { calls: number; contexts: number }; dcsf: { sessions: number } },
      ];
      left = [mf.contexts, mf.associations, mf.ports.taken, dcsf.imsAs.calls, dcsf.imsAs.contexts, dcsf.dcsf.sessions];
      if ((left as number[]).every((count) => count === 0)) return;
    }
    assert.deepEqual(left, [0, 0, 0, 0, 0, 0]);
  }

  function liveLines(call: OutgoingCall | IncomingCall): number[][] {
    return [...call.media.dataLines()].map(({ line }) => [...line.channels.keys()]);
  }

  // conformance: 23.228 AC.7.9 — a callee without data channels: the caller keeps its own bootstrap channel
  it('a callee that answers its data lines with port 0', async () => {
    const { outgoing, incoming } = await connect(await ue(), await ue({ dataAnswer: 'portZero' }));
    assert.deepEqual(liveLines(incoming), []);
    assert.ok(liveLines(outgoing).some((streams) => streams.includes(0)));
    const list = await (await ues.at(-2)!.bootstrap(outgoing, 0)).list();
    assert.equal(list.status, 200);
    await speakAndRelease(outgoing, incoming);
  });

  it('a callee that answers with fewer m-lines', async () => {
    const { outgoing, incoming } = await connect(await ue(), await ue({ dataAnswer: 'fewerLines' }));
    await outgoing.channel(0);
    await speakAndRelease(outgoing, incoming);
  });

  // conformance: R23 — a 488 to an offer with data lines is repeated once without them
  it('a callee that refuses with 488 whatever has data channel lines', async () => {
    const { outgoing, incoming } = await connect(await ue(), await ue({ dataAnswer: 'refuse488' }));
    assert.doesNotMatch(incoming.invite.body, /m=application [1-9]/);
    await outgoing.channel(0);
    await speakAndRelease(outgoing, incoming);
  });

  it('a callee that registered without the data channel tag is not offered any', async () => {
    const { outgoing, incoming } = await connect(await ue(), await ue({ dataChannels: 'never' }));
    assert.doesNotMatch(incoming.invite.body, /m=application [1-9]/);
    await speakAndRelease(outgoing, incoming);
  });

  // conformance: R25 — an association that never comes up costs its context nothing but itself
  it('a UE that answers and then never says anything on its media ports', async () => {
    const { outgoing, incoming } = await connect(await ue(), await ue({ faults: { silentMedia: true } }));
    await outgoing.channel(0);
    await speakAndRelease(outgoing, incoming);
  });

  // conformance: RFC 8122 6.2 — a certificate that does not match the fingerprint ends the association
  it('a UE whose certificate is not the one in its SDP', async () => {
    const callee = await ue();
    const answered = callee.answer();
    const caller = await ue({ faults: { wrongFingerprint: true } });
    const outgoing = await caller.call(callee.identity);
    const failed = outgoing.next('association', ({ state }) => state === 'failed' || state === 'closed');
    await outgoing.connected();
    const incoming = await answered;
    await failed;
    await incoming.channel(0);
    assert.equal(outgoing.media.channel(0), undefined);
    await speakAndRelease(outgoing, incoming);
  });

  it('garbage instead of HTTP on stream 0', async () => {
    const { outgoing, incoming } = await connect(await ue(), await ue());
    const channel = await outgoing.channel(0);
    const reply = channel.receive().then(
      ({ data }) => data.toString('latin1').split('\r\n', 1)[0],
      () => 'reset',
    );
    await channel.send(Buffer.alloc(20_000, 0x00), 'binary');
    assert.match((await reply)!, /^HTTP\/1\.1 4\d\d|^reset/);
    const list = await (await ues.at(-1)!.bootstrap(incoming, 0)).list();
    assert.equal(list.status, 200);
    await speakAndRelease(outgoing, incoming);
  });
});
