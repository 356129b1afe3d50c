import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { silentLogger } from '../../../src/base/log.ts';
import { type RunningScscf, startScscf } from '../../../src/lab/scscf/index.ts';
import { UserEquipment } from '../../../src/ue/user-equipment.ts';
import { scscfConfig } from '../fixtures.ts';

describe('two UEs behind the S-CSCF', () => {
  let scscf: RunningScscf;
  let alice: UserEquipment;
  let bob: UserEquipment;

  before(async () => {
    scscf = await startScscf(scscfConfig({ subscriptions: [['sip:bob@ims.lab', 'tel:+4930100002']] }), {
      log: silentLogger,
    });
    const proxy = `sip:127.0.0.1:${scscf.port}`;
    alice = await UserEquipment.start({ identity: 'sip:alice@ims.lab', proxy });
    bob = await UserEquipment.start({ identity: 'sip:bob@ims.lab', proxy });
    await alice.register();
    await bob.register();
  });
  after(async () => {
    await alice.close();
    await bob.close();
    await scscf.close();
  });

  // conformance: 23.228 AC.7.0 — the network tells the UE that it supports data channels; the UE then offers them
  it('registers: Service-Route, associated identities, data channel support', () => {
    assert.deepEqual(bob.registration.associatedUris, ['sip:bob@ims.lab', 'tel:+4930100002']);
    assert.deepEqual(bob.registration.serviceRoute, [`<sip:orig@127.0.0.1:${scscf.port};lr>`]);
    assert.equal(bob.registration.dataChannelsSupported, true);
    assert.equal(scscf.status().registered, 2);
  });

  it('connects by sip: and tel: and releases everything', async () => {
    for (const target of ['sip:bob@ims.lab', 'tel:+49-30-100002']) {
      const answered = bob.answer();
      const caller = await alice.call(target);
      await caller.connected();
      const callee = await answered;
      assert.equal(callee.invite.first('p-asserted-identity'), '<sip:alice@ims.lab>');
      assert.equal(callee.invite.first('p-called-party-id'), `<${target}>`);
      await callee.media.audio!.stream.received(3);
      await caller.hangup();
      assert.deepEqual(await callee.ended(), { by: 'peer', status: 0, reason: 'BYE' });
    }
    assert.deepEqual(scscf.status(), { registered: 2, pendingRequests: 0, servicePasses: 0 });
  });

  it('carries an early answer in a reliable 183 and the PRACK for it', async () => {
    const ringing = bob.incoming();
    const caller = await alice.call('sip:bob@ims.lab');
    const callee = await ringing;
    const early = caller.next('negotiated');
    const answered = callee.answer({ early: true });
    await early;
    assert.equal(caller.state, 'ringing');
    await answered;
    await caller.connected();
    await caller.media.audio!.stream.received(1);
    await caller.hangup();
    await callee.ended();
  });

  it('carries a call between a UE on TCP and one on UDP', async () => {
    const carol = await UserEquipment.start({
      identity: 'sip:carol@ims.lab',
      proxy: `sip:127.0.0.1:${scscf.port}`,
      transport: 'tcp',
    });
    await carol.register();
    for (const [from, to] of [
      [carol, bob],
      [alice, carol],
    ] as const) {
      const answered = to.answer();
      const caller = await from.call(to.identity);
      await caller.connected();
      const callee = await answered;
      await callee.setDirection('sendonly');
      await caller.hangup();
      await callee.ended();
    }
    await carol.unregister();
    await carol.close();
  });

  it('cancels a ringing call', async () => {
    const ringing = bob.incoming();
    const caller = await alice.call('sip:bob@ims.lab');
    const callee = await ringing;
    await caller.hangup();
    assert.deepEqual(await callee.ended(), { by: 'peer', status: 487, reason: 'refused' });
    assert.equal((await caller.ended()).status, 487);
  });

  it('passes a refusal on, and says 480 for those who are not registered', async () => {
    const ringing = bob.incoming();
    const refused = await alice.call('sip:bob@ims.lab');
    (await ringing).reject(486);
    assert.equal((await refused.ended()).status, 486);
    const nobody = await alice.call('sip:carol@ims.lab');
    assert.equal((await nobody.ended()).status, 480);
  });

  it('forks to every contact; the first answer wins and the others stop ringing', async () => {
    const proxy = `sip:127.0.0.1:${scscf.port}`;
    const tablet = await UserEquipment.start({ identity: 'sip:bob@ims.lab', proxy });
    await tablet.register();
    const [phone, pad] = [bob.incoming(), tablet.incoming()];
    const caller = await alice.call('sip:bob@ims.lab');
    const losing = await phone;
    await (await pad).answer();
    await caller.connected();
    assert.equal((await losing.ended()).status, 487);
    await caller.media.audio!.stream.received(1);
    await caller.hangup();
    await tablet.unregister();
    await tablet.close();
  });

  // conformance: RFC 8842 5.3 — an unchanged re-offer keeps the association, a new tls-id makes exactly one new
  it('keeps associations over re-INVITEs of both sides and renews one on request', async () => {
    const answered = bob.answer();
    const caller = await alice.call('sip:bob@ims.lab', { bootstrap: false });
    await caller.connected();
    const callee = await answered;
    await caller.openApplication({
      applicationId: '10000005',
      channels: [{ streamId: 1000, endpoint: 'UE', name: 'draw' }],
      boundBy: 'label',
    });
    await callee.channel(1000);
    await caller.setDirection('sendonly');
    await callee.setDirection('sendrecv');
    await caller.setDirection('sendrecv');
    const line = [...caller.media.dataLines()][0]!;
    assert.equal(line.line.associations, 1);
    const renewed = caller.next('channel');
    const far = callee.next('channel');
    await caller.renewLine(line.slot);
    const [mine, theirs] = await Promise.all([renewed, far]);
    await Promise.all([mine.opened(), theirs.opened()]);
    assert.equal(line.line.associations, 2);
    await mine.send('after');
    assert.equal((await theirs.receive()).data.toString(), 'after');
    await caller.hangup();
  });

  // conformance: RFC 3261 14.1 — both sides re-INVITE at once: 491, back-off, and both changes happen
  it('survives glare', async () => {
    const answered = bob.answer();
    const caller = await alice.call('sip:bob@ims.lab', { bootstrap: false });
    await caller.connected();
    const callee = await answered;
    await Promise.all([caller.setDirection('sendonly'), callee.setDirection('sendrecv')]);
    assert.ok(caller.media.stable && callee.media.stable);
    await caller.hangup();
  });
});
