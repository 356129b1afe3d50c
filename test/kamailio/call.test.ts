import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { writeLabConfig } from '../../src/lab/config-file.ts';
import { freePort } from '../../src/lab/ports.ts';
import { LabChild } from '../../src/lab/process/child.ts';
import { statusOf } from '../../src/lab/world.ts';
import type { IncomingCall } from '../../src/ue/call/incoming.ts';
import type { OutgoingCall } from '../../src/ue/call/outgoing.ts';
import { UserEquipment } from '../../src/ue/user-equipment.ts';
import { type Core, kamailioAvailable, startCore } from './core.ts';

const DOMAIN = 'ims.lab';
const RELEASE_LIMIT_MS = 5_000;
const HELLO = '10000001';
const skip = kamailioAvailable() ? false : 'kamailio is not installed';

/** Both ends of a call that Bob takes. */
async function connect(
  alice: UserEquipment,
  bob: UserEquipment,
): Promise<{ caller: OutgoingCall; callee: IncomingCall }> {
  const answered = bob.answer();
  const caller = await alice.call(bob.identity);
  await caller.connected();
  return { caller, callee: await answered };
}

function ue(core: Core, name: string, dataChannels: 'whenSupported' | 'never' = 'whenSupported') {
  return UserEquipment.start({ identity: `sip:${name}@${DOMAIN}`, proxy: core.uri, dataChannels });
}

const dataChannelLines = (message: string) => message.match(/^m=application \d+ UDP\/DTLS\/SCTP/gm)?.length ?? 0;

describe("calls through the lab's Kamailio, the AS and the MF", { skip }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'imsdc-kamailio-'));
  const closers: (() => Promise<void>)[] = [];
  let core: Core;
  let alice: UserEquipment;
  let bob: UserEquipment;
  let carol: UserEquipment;
  let admin: string;
  let mfAdmin: string;

  const child = async (name: 'mf' | 'dcsf', config: string) => {
    const process = new LabChild({ name, args: [name, '--config', config], directory, speaks: 'ipc' });
    closers.push(() => process.stop());
    const { address, port } = (await process.ready()).admin as { address: string; port: number };
    return `http://${address}:${port}`;
  };

  const imsAs = async () => (await statusOf(admin)).imsAs as { calls: number; contexts: number; capabilities: number };

  before(async () => {
    const [applicationServer, scscf, mrm] = await Promise.all([1, 2, 3].map(() => freePort('127.0.0.1')));
    const { config } = writeLabConfig({
      directory,
      apps: join(import.meta.dirname, '../../apps'),
      engine: 'auto',
      ports: { applicationServer: applicationServer!, scscf: scscf!, mrm: mrm! },
    });
    [mfAdmin, admin] = await Promise.all([child('mf', config), child('dcsf', config)]);
    core = await startCore({
      port: scscf!,
      applicationServer: `sip:127.0.0.1:${applicationServer}`,
      directory: join(directory, 'kamailio'),
      homeDomain: DOMAIN,
    });
    closers.push(() => core.close());
    alice = await ue(core, 'alice');
    bob = await ue(core, 'bob');
    carol = await ue(core, 'carol', 'never');
    for (const one of [alice, bob, carol]) {
      closers.push(() => one.close());
      await one.register();
    }
  });

  after(async () => {
    for (const close of closers.toReversed()) await close();
    rmSync(directory, { recursive: true, force: true });
  });

  /** Nothing of a call is left: not at the AS, not at the MF, which is told beside the BYE (R18). */
  async function assertReleased(): Promise<void> {
    const left = async () => {
      const { calls, contexts } = await imsAs();
      const { associations } = await statusOf(mfAdmin);
      return { calls, contexts, associations };
    };
    const deadline = Date.now() + RELEASE_LIMIT_MS;
    let now = await left();
    while (Object.values(now).some((count) => count !== 0) && Date.now() < deadline) now = await left();
    assert.deepEqual(now, { calls: 0, contexts: 0, associations: 0 });
  }

  // conformance: 24.229 5.4.1.2 — Service-Route; 23.228 AC.7.0 — the network says that it supports data channels
  it('registers', () => {
    assert.deepEqual(alice.registration.serviceRoute, [`<sip:orig@${core.uri.slice('sip:'.length)};lr>`]);
    assert.deepEqual(alice.registration.associatedUris, [`sip:alice@${DOMAIN}`]);
    assert.equal(alice.registration.dataChannelsSupported, true);
  });

  // conformance: R22 — a spiral (originating and terminating pass on one AS) is two sessions
  it('serves both users of a call: bootstrap on both sides, content, a peer-to-peer channel, hold and BYE', async () => {
    const { caller, callee } = await connect(alice, bob);
    const { calls, contexts } = await imsAs();
    assert.deepEqual({ calls, contexts }, { calls: 2, contexts: 2 });
    assert.equal(callee.invite.first('p-asserted-identity'), '<sip:alice@ims.lab>');
    assert.equal(callee.invite.first('p-called-party-id'), '<sip:bob@ims.lab>');
    assert.equal(callee.invite.first('p-served-user'), undefined);
    await callee.media.audio!.stream.received(3);

    const bodies: Buffer[] = [];
    for (const [end, call] of [
      [alice, caller],
      [bob, callee],
    ] as const) {
      for (const stream of [0, 100] as const) {
        const { outcome, body } = await (await end.bootstrap(call, stream)).application(HELLO);
        assert.equal(outcome, 'content');
        bodies.push(body);
      }
    }
    assert.ok(bodies.every((body) => body.length > 500 && body.equals(bodies[0]!)));

    const channels = [{ streamId: 1000, endpoint: 'UE' as const, name: 'chat' }];
    const opened = callee.channel(1000);
    const [sending] = await caller.openApplication({ applicationId: HELLO, channels, boundBy: 'attribute' });
    await sending!.send('tap');
    assert.deepEqual(await (await opened).receive(), { data: Buffer.from('tap'), kind: 'text' });

    const before = [...caller.media.dataLines()].map(({ line }) => line.associations);
    await caller.setDirection('sendonly');
    await caller.setDirection('sendrecv');
    assert.deepEqual(
      [...caller.media.dataLines()].map(({ line }) => line.associations),
      before,
      'hold makes no new association',
    );
    await caller.hangup();
    assert.deepEqual(await callee.ended(), { by: 'peer', status: 0, reason: 'BYE' });
    await assertReleased();
  });

  // conformance: R23 — the third-party REGISTER's message/sip says what the callee's handset can
  it('offers no data channel to a handset that registered without', async () => {
    const { caller, callee } = await connect(alice, carol);
    assert.equal(dataChannelLines(callee.invite.body), 0);
    const own = await (await alice.bootstrap(caller, 0)).list();
    assert.equal(own.outcome, 'content', 'the caller keeps the channel to the own network');
    await callee.media.audio!.stream.received(1);
    await callee.hangup();
    await caller.ended();
    await assertReleased();
  });

  it('takes CANCEL through both passes', async () => {
    const ringing = bob.incoming();
    const caller = await alice.call(bob.identity);
    const callee = await ringing;
    await caller.hangup();
    assert.equal((await callee.ended()).status, 487);
    assert.equal((await caller.ended()).status, 487);
    await assertReleased();
  });

  it('passes a refusal on, and says 480 for those who are not registered', async () => {
    const ringing = bob.incoming();
    const refused = await alice.call(bob.identity);
    (await ringing).reject(486);
    assert.equal((await refused.ended()).status, 486);
    const nobody = await alice.call(`sip:nobody@${DOMAIN}`);
    assert.equal((await nobody.ended()).status, 480);
    await assertReleased();
  });

  it('forgets who unregisters', async () => {
    const known = (await imsAs()).capabilities;
    await carol.unregister();
    const gone = await alice.call(carol.identity);
    assert.equal((await gone.ended()).status, 480);
    assert.equal((await imsAs()).capabilities, known - 1);
  });
});

// conformance: 24.229 5.4.3.2 — default handling SESSION_CONTINUED when an AS does not answer
describe('without an answer of the AS', { skip }, () => {
  it('voice goes on', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'imsdc-kamailio-'));
    const nobody = await freePort('127.0.0.1');
    const core = await startCore({
      port: await freePort('127.0.0.1'),
      applicationServer: `sip:127.0.0.1:${nobody}`,
      applicationServerTimeoutMs: 200,
      directory,
      homeDomain: DOMAIN,
    });
    const [alice, bob] = [await ue(core, 'alice', 'never'), await ue(core, 'bob', 'never')];
    try {
      await alice.register();
      await bob.register();
      const { caller, callee } = await connect(alice, bob);
      await callee.media.audio!.stream.received(1);
      await caller.hangup();
      await callee.ended();
    } finally {
      await alice.close();
      await bob.close();
      await core.close();
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
