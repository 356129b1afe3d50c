import assert from 'node:assert/strict';
import { test } from 'node:test';
import { context, endpoint, httpMedia, Rig, remoteDc } from '../rig.ts';

const AT = '/terminations/0/medias/0';
const line = (ice: boolean) => {
  const media = httpMedia('m1', 0);
  return { ...media, dcMedia: { ...media.dcMedia!, imsdc: { localSetup: 'ACTPASS' as const, ice } } };
};
const answer = (rig: Rig, ice: boolean) =>
  rig.patch('ctx1', [
    { op: 'add', path: `${AT}/dcMedia/remoteDcEndpoint`, value: remoteDc() },
    { op: 'add', path: `${AT}/dcMedia/securitySetup`, value: 'PASSIVE' },
    { op: 'add', path: `${AT}/dcMedia/imsdc`, value: { localSetup: 'ACTIVE', ice } },
    { op: 'add', path: `${AT}/remoteMbEndpoint`, value: endpoint(50_000) },
  ]);

// conformance: ue-side 3, R4 — credentials for the SDP, and a far end that sends no checks: same port, plain DTLS
test('ICE that the far end has no use for changes neither port nor association, then or later', async () => {
  const rig = new Rig();
  const { dcMedia } = (await rig.create(context({ served: [line(true)] }))).terminations[0]!.medias[0]!;
  assert.ok(dcMedia?.imsdc?.iceUfrag);
  await answer(rig, false);
  assert.deepEqual([...rig.engine.associations.keys()], ['ctx1#1']);
  assert.equal(rig.engine.associations.get('ctx1#1')!.started?.ice, false);
  await rig.patch('ctx1', [{ op: 'replace', path: `${AT}/remoteMbEndpoint`, value: endpoint(50_010) }]);
  assert.deepEqual([...rig.engine.associations.keys()], ['ctx1#1']);
});

test('ICE that comes later needs credentials, and so a new association', async () => {
  const rig = new Rig();
  await rig.create(context({ served: [line(false)] }));
  await answer(rig, true);
  assert.deepEqual([...rig.engine.associations.keys()], ['ctx1#2']);
  assert.equal(rig.engine.associations.get('ctx1#2')!.started?.ice, true);
});
