import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger as log } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import type { LocalEndpoint } from '../../src/mf/engine/types.ts';
import { startMf } from '../../src/mf/index.ts';
import type { MediaInfo } from '../../src/services/nmf-mrm.ts';
import { NmfMrmClient } from '../../src/services/nmf-mrm-client.ts';
import { mfConfig } from '../mf/config.ts';
import { context, endpoint, relayMedia } from '../mf/rig.ts';
import { workerMissing } from '../native/rig.ts';
import { browserMissing, openPage } from './browser.ts';
import { BrowserUe, describeLocal, remoteOf } from './browser-ue.ts';

const STREAM = 38_754;
const soon = () => ({ deadlineMs: Date.now() + 5_000 });

/** The line of a browser, as an AS asks for it: `imsdc.ice`, because its offer had ICE (R4). */
function browserMedia(offer: string): MediaInfo {
  const { address, port, sctpPort, fingerprints } = remoteOf(offer, 'passive', 1);
  return relayMedia('m1', STREAM, {
    remoteMbEndpoint: endpoint(port, address),
    dcMedia: {
      mediaProxyConfig: 'DC_APPLICATION_PROXY',
      streams: { [STREAM]: { streamId: STREAM, subprotocol: 'app' } },
      remoteDcEndpoint: { sctpPort, fingerprint: fingerprints[0]! },
      securitySetup: 'ACTPASS',
      imsdc: { ice: true, maxMessageSizeBytes: 262_144 },
    },
  });
}

/** What the AS writes into its answer. */
function localOf({ localMbEndpoint, dcMedia }: MediaInfo): LocalEndpoint {
  const { fingerprint, sctpPort } = dcMedia!.localDcEndpoint!;
  const { iceUfrag, icePwd } = dcMedia!.imsdc!;
  const { ip, portNumber } = localMbEndpoint!;
  return { address: ip.ipv4Addr!, port: portNumber, sctpPort, fingerprint: fingerprint!, iceUfrag, icePwd };
}

// conformance: R4 — imsdc.ice brings credentials; the answer to a browser is ICE-lite and passive
test('two browsers, one context: a relayed channel through Nmf_MRM', {
  skip: browserMissing || workerMissing,
}, async () => {
  await using browser = await openPage({ microphone: true });
  const token = { instance: 'test', worker: 0, epoch: 1 };
  const mf = await startMf(mfConfig({ engine: 'native' }), { log, metrics: new Metrics(), token });
  const mrm = new NmfMrmClient({ apiRoot: mf.address, userAgent: 'IMS_AS-test', log });
  try {
    const ues = [new BrowserUe(browser.page, 'served'), new BrowserUe(browser.page, 'remote')] as const;
    const [served, remote] = await Promise.all(ues.map((ue) => ue.offer([STREAM])));
    const terminations = { served: [browserMedia(served!)], remote: [browserMedia(remote!)] };
    const created = await mrm.createContext(context(terminations), soon());
    for (const [index, { medias }] of created.terminations.entries()) {
      assert.equal(medias[0]!.dcMedia!.securitySetup, 'PASSIVE');
      await ues[index]!.takeAnswer(describeLocal(localOf(medias[0]!), { setup: 'passive', ids: [STREAM] }));
    }
    await Promise.all(ues.map((ue) => ue.open()));
    const arrives = ues[1].next(STREAM);
    assert.deepEqual(await ues[0].send(STREAM, 'binary', 60_000), await arrives);
    await mrm.deleteContext(created.contextId, soon());
    await Promise.all(ues.map((ue) => ue.closed(STREAM)));
    assert.equal(mf.status().associations, 0);
  } finally {
    await mrm.close();
    await mf.close();
  }
});
