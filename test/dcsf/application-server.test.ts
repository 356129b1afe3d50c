import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ajv } from 'ajv';
import { applicationServer } from '../../src/dcsf/application-server.ts';
import { DcsfConfig } from '../../src/dcsf/config.ts';

const FINGERPRINT = `SHA-256 ${Array.from({ length: 32 }, () => 'DA').join(':')}`;
const ADDRESSED = { address: '192.0.2.7', port: 5_000, fingerprint: FINGERPRINT } as const;

function server(entry: object) {
  const dcAs = { '1': { secret: 'at least 16 characters', ...entry } };
  const config = { policy: { dcAs } } as unknown as DcsfConfig;
  new Ajv({ useDefaults: true, strict: false }).compile(DcsfConfig)(config);
  return applicationServer('1', config.policy.dcAs['1']!);
}

test('a DC AS by configuration: WebSocket, datagrams, DTLS, and one that is asked', () => {
  const webSocket = server({ url: 'wss://192.0.2.7/channels' });
  assert.deepEqual([webSocket.proxy, webSocket.protocol], ['DC_APPLICATION_PROXY', 'TCP/TLS']);
  const datagrams = server({ mdc2: 'UDP_PROXY', ...ADDRESSED });
  assert.deepEqual([datagrams.proxy, datagrams.protocol], ['UDP_PROXY', 'UDP/DTLS/SCTP']);
  assert.deepEqual(datagrams.endpoint, { ip: { ipv4Addr: '192.0.2.7' }, transport: 'UDP', portNumber: 5_000 });
  const { fingerprints, sctpPort, securitySetup } = datagrams.target.dcEndpoint!;
  assert.deepEqual([fingerprints, sctpPort, securitySetup], [[FINGERPRINT], 5_000, 'PASSIVE']);
  const active = server({ mdc2: 'UDP/DTLS/SCTP', ...ADDRESSED, address: '2001:db8::7', setup: 'active' });
  assert.deepEqual([active.proxy, active.target.dcEndpoint?.securitySetup], ['DC_APPLICATION_PROXY', 'ACTIVE']);
  assert.deepEqual(active.endpoint?.ip, { ipv6Addr: '2001:db8::7' });
  const asked = server({ mdc2: 'UDP/DTLS/SCTP', dc4Url: 'https://dc-as.example:8100', between: true });
  assert.deepEqual([asked.endpoint, asked.target], [undefined, {}]);
});

test('what cannot work is said at start, with the reason', () => {
  for (const [entry, problem] of [
    [{}, /url is missing/],
    [{ url: 'wss://dc-as.example/' }, /is a name, and DC1 carries addresses/],
    [{ url: 'ws://192.0.2.7/' }, /loopback only/],
    [{ mdc2: 'UDP_PROXY' }, /needs dc4Url, or address, port and fingerprint/],
    [{ mdc2: 'UDP_PROXY', ...ADDRESSED, address: 'dc-as.example' }, /is no IP address/],
    [{ mdc2: 'UDP_PROXY', ...ADDRESSED, fingerprint: 'SHA-256 DA' }, /fingerprint /],
    [{ mdc2: 'UDP/DTLS/SCTP', dc4Url: 'http://192.0.2.7:8100' }, /loopback only/],
    [{ mdc2: 'UDP_PROXY', dc4Url: 'http://127.0.0.1:8100', between: true }, /would not know the second one/],
  ] as [object, RegExp][]) {
    assert.throws(
      () => server(entry),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'DCSF_DC_AS');
        assert.match(error.message, problem);
        return true;
      },
    );
  }
});
