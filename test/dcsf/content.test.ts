import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { packageBytes } from '../../src/dcar/package/source.ts';
import { startDcsf } from '../../src/dcsf/index.ts';
import type { MediaInstructionData } from '../../src/services/nimsas.ts';
import { client, exchange, started } from '../dcar/support.ts';
import { checkedMediaControl, checkedSessionEvents } from '../services/checked-dc1.ts';
import { AUDIO, line, notification } from './decide/fixtures.ts';
import { configured } from './support.ts';

const DOODLE = resolve(import.meta.dirname, '../../apps/doodle');
const OFFER = { m0: AUDIO, m1: line([0, 10]), m2: line([100], { bdcUsedBy: 'SENDER' }) };

// conformance: 23.228 AC.7.1 — replacement URLs open the list of this subscriber, and close with the call
test('what the DCSF hands out opens the repository for one call, one stream, and no longer', async (t) => {
  const dcar = await started(t);
  const zip = await packageBytes(DOODLE);
  await dcar.repository.add(zip, DOODLE);
  const grants = client(t, dcar.internalAddress, { heartbeatMs: 10 });
  const instructed = new Map<string, MediaInstructionData>();
  const dcsf = startDcsf(
    configured({
      mdc1: { baseUrl: dcar.address },
      subscribers: { inline: { 'sip:carol@ims.example': { applications: [] } } },
    }),
    {
      mediaControl: checkedMediaControl({
        async mediaInstruction(data) {
          instructed.set(data.sessionId, data);
          return undefined;
        },
      }),
      grants,
      log: silentLogger,
      metrics: new Metrics(),
    },
  );
  t.after(() => dcsf.close());
  const events = checkedSessionEvents(dcsf.sessionEvents);
  const soon = () => ({ deadlineMs: Date.now() + 3_000 });
  const called = async (sessionId: string, callingIdentity: string) => {
    const event = notification(OFFER);
    await events.notify({ ...event, sessionId, sessionInfo: { ...event.sessionInfo, callingIdentity } }, soon());
    await grants.flushed();
    return Object.values(instructed.get(sessionId)!.mediaInstructionSet).flatMap((instruction) =>
      Object.values(instruction.dcMediaSpecification?.replaceHttpUrls ?? {}).map(
        ({ replaceHttpUrl }) => replaceHttpUrl,
      ),
    );
  };
  const get = async (url: string, path: string) =>
    exchange(url, `GET ${new URL(url).pathname}${path} HTTP/1.1\r\n\r\n`);
  const total = async (url: string) =>
    JSON.parse((await get(url, 'applicationlist?sdkVersion=1')).body.toString()).totalAppNum as number;

  const [own, peers] = (await called('call-1', 'sip:alice@ims.example')) as [string, string];
  const [carols] = (await called('call-2', 'sip:carol@ims.example')) as [string];
  assert.equal(new Set([own, peers, carols]).size, 3);
  assert.deepEqual(await Promise.all([own, peers, carols].map(total)), [1, 1, 0]);
  assert.deepEqual((await get(own, 'applications?appid=10000005&sdkVersion=1')).body, zip);
  assert.equal((await get(carols, 'applications?appid=10000005&sdkVersion=1')).status, 404);

  await events.notify({ ...notification({}, { event: 'SESSION_TERMINATION' }), sessionId: 'call-1' }, soon());
  await grants.flushed();
  assert.equal((await get(own, 'applicationlist')).status, 404);
  assert.equal((await get(peers, 'applicationlist')).status, 404);
  assert.equal((await get(carols, 'applicationlist')).status, 200, 'another call goes on');

  // The application was published after the DCSF started: the decision knows it from the grants' answer.
  const change = { ...notification({ m4: line([1000]) }, { event: 'MEDIA_CHANGE_REQUEST' }), sessionId: 'call-2' };
  const subscribed = { ...change.sessionInfo, callingIdentity: 'sip:dave@ims.example' };
  await events.notify({ ...change, sessionId: 'call-3', sessionInfo: subscribed }, soon());
  assert.equal(instructed.get('call-3')!.mediaInstructionSet.m4!.mediaInstruction, undefined);
  await events.notify(change, soon());
  assert.equal(instructed.get('call-2')!.mediaInstructionSet.m4!.mediaInstruction, 'REJECT_MEDIA', 'not subscribed');
});
