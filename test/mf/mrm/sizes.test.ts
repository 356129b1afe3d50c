import assert from 'node:assert/strict';
import { test } from 'node:test';
import { context, endpoint, Rig, relayMedia, remoteDc } from '../rig.ts';

// conformance: network-side 3.6 (2), R11 — maxMessageSize counts KiB, above 1,024 bytes; the vendor member counts bytes
for (const [what, more, bytes] of [
  ['absent: RFC 8841 6.1', {}, 65_536],
  ['1', { maxMessageSize: 1 }, 1_024],
  ['64', { maxMessageSize: 64 }, 65_536],
  ['1,024', { maxMessageSize: 1_024 }, 1_048_576],
  ['1,025', { maxMessageSize: 1_025 }, 1_025],
  ['65,536', { maxMessageSize: 65_536 }, 65_536],
  ['bytes beside it', { maxMessageSize: 64, imsdc: { maxMessageSizeBytes: 1_000 } }, 1_000],
] as const) {
  test(`what the peer takes, as maxMessageSize says it: ${what}`, async () => {
    const rig = new Rig();
    const line = relayMedia('m2', 1_000);
    const leg = (port: number) => ({
      ...line,
      remoteMbEndpoint: endpoint(port),
      dcMedia: { ...line.dcMedia!, ...more, remoteDcEndpoint: remoteDc(), securitySetup: 'PASSIVE' as const },
    });
    await rig.create(context({ served: [leg(50_000)], remote: [leg(50_002)] }));
    for (const { started } of rig.engine.associations.values()) assert.equal(started?.maxMessageSizeBytes, bytes);
    assert.equal(rig.engine.associations.size, 2);
  });
}
