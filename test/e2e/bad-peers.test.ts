import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startWorld, type World } from '../../src/lab/world.ts';
import { type Connected, childrenOf, connect, liveLines, nothingLeft, speak, UePark } from './fixtures.ts';

/** Calls through the real network functions in which one party misbehaves. The audio of the call must never notice. */
describe('bad peers: voice always wins', { timeout: 120_000 }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'imsdc-bad-'));
  let world: World;
  const park = new UePark(() => world.proxyUri);

  before(async () => {
    world = await startWorld({ directory, startedMs: performance.timeOrigin + performance.now() });
  });
  after(async () => {
    await park.close();
    await world.close();
    rmSync(directory, { recursive: true, force: true });
  });

  /** Audio both ways, then a release after which nothing is left anywhere. */
  async function speakAndRelease(call: Connected): Promise<void> {
    await speak(call);
    await call.outgoing.hangup();
    await call.incoming.ended();
    await nothingLeft(world);
  }

  // conformance: 23.228 AC.7.9 — a callee without data channels: the caller keeps its own bootstrap channel
  it('a callee that answers its data lines with port 0', async () => {
    const caller = await park.ue();
    const call = await connect(caller, await park.ue({ dataAnswer: 'portZero' }));
    assert.deepEqual(liveLines(call.incoming), []);
    assert.ok(liveLines(call.outgoing).some((streams) => streams.includes(0)));
    const list = await (await caller.bootstrap(call.outgoing, 0)).list();
    assert.equal(list.status, 200);
    await speakAndRelease(call);
  });

  it('a callee that answers with fewer m-lines', async () => {
    const call = await connect(await park.ue(), await park.ue({ dataAnswer: 'fewerLines' }));
    await call.outgoing.channel(0);
    await speakAndRelease(call);
  });

  // conformance: R23 — a 488 to an offer with data lines is repeated once without them
  it('a callee that refuses with 488 whatever has data channel lines', async () => {
    const call = await connect(await park.ue(), await park.ue({ dataAnswer: 'refuse488' }));
    assert.doesNotMatch(call.incoming.invite.body, /m=application [1-9]/);
    await call.outgoing.channel(0);
    await speakAndRelease(call);
  });

  it('a callee that registered without the data channel tag is not offered any', async () => {
    const call = await connect(await park.ue(), await park.ue({ dataChannels: 'never' }));
    assert.doesNotMatch(call.incoming.invite.body, /m=application [1-9]/);
    await speakAndRelease(call);
  });

  // conformance: R25 — an association that never comes up costs its context nothing but itself
  it('a UE that answers and then never says anything on its media ports', async () => {
    const call = await connect(await park.ue(), await park.ue({ faults: { silentMedia: true } }));
    await call.outgoing.channel(0);
    await speakAndRelease(call);
  });

  // conformance: RFC 8122 6.2 — a certificate that does not match the fingerprint ends the association
  it('a UE whose certificate is not the one in its SDP', async () => {
    const callee = await park.ue();
    const answered = callee.answer();
    const caller = await park.ue({ faults: { wrongFingerprint: true } });
    const outgoing = await caller.call(callee.identity);
    const failed = outgoing.next('association', ({ state }) => state === 'failed' || state === 'closed');
    await outgoing.connected();
    const incoming = await answered;
    await failed;
    await incoming.channel(0);
    assert.equal(outgoing.media.channel(0), undefined);
    await speakAndRelease({ outgoing, incoming });
  });

  it('garbage instead of HTTP on stream 0', async () => {
    const callee = await park.ue();
    const call = await connect(await park.ue(), callee);
    const channel = await call.outgoing.channel(0);
    const reply = channel.receive().then(
      ({ data }) => data.toString('latin1').split('\r\n', 1)[0],
      () => 'reset',
    );
    await channel.send(Buffer.alloc(20_000, 0x00), 'binary');
    assert.match((await reply)!, /^HTTP\/1\.1 4\d\d|^reset/);
    const list = await (await callee.bootstrap(call.incoming, 0)).list();
    assert.equal(list.status, 200);
    await speakAndRelease(call);
  });

  // conformance: R25 — a media worker that dies takes its associations, not the call
  it('a media worker that is killed in the middle of a call', async () => {
    const [caller, callee] = [await park.ue(), await park.ue()];
    const call = await connect(caller, callee);
    await call.outgoing.channel(0);
    const workers = childrenOf(world.mf.process.pid!);
    assert.equal(workers.length, 1);
    process.kill(workers[0]!, 'SIGKILL');
    await speakAndRelease(call);
    const again = await connect(caller, callee);
    assert.equal((await (await caller.bootstrap(again.outgoing, 0)).list()).status, 200);
    await speakAndRelease(again);
  });
});
