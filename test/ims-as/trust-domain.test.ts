import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../src/base/log.ts';
import { EndpointPort } from '../../src/ims-as/sip-port.ts';
import { TrustedPeers } from '../../src/sip/transport/index.ts';
import { destinationOf, endpointOn, nextEvent, requestFrom } from '../sip/support.ts';

/** Loopback is always trusted, so a stranger has to be made up. */
class NobodyIsTrusted extends TrustedPeers {
  constructor() {
    super([]);
  }
  override trustsAddress(): boolean {
    return false;
  }
}

const HEADERS =
  'P-Asserted-Identity: <sip:alice@home.test>\r\nP-Charging-Vector: icid-value=7\r\n' +
  'P-Access-Network-Info: 3GPP-NR\r\nP-Served-User: <sip:alice@home.test>;sescase=orig\r\nSubject: hello\r\n';

for (const [what, trustedPeers, names] of [
  ['leave the trust domain with none of its headers', new NobodyIsTrusted(), []],
  [
    'stay as they are inside it',
    new TrustedPeers([]),
    ['p-asserted-identity', 'p-charging-vector', 'p-access-network-info', 'p-served-user'],
  ],
] as const) {
  // conformance: RFC 3325 5, 24.229 4.4 — identities and charging data go to trusted next hops only
  test(`requests and stateless ACKs ${what}`, async () => {
    const callee = await endpointOn('udp');
    const endpoint = await endpointOn('udp');
    try {
      const port = new EndpointPort({ endpoint, trustedPeers, names: [], log: silentLogger }, (key) =>
        assert.fail(`${key} was not sent`),
      );
      const to = destinationOf(callee);
      const nextHop = `sip:${to.address}:${to.port};lr`;
      const outgoing = requestFrom(endpoint, to, { method: 'MESSAGE', headers: HEADERS });
      const asked = nextEvent(callee, 'request');
      port.request({ ...outgoing, nextHop });
      const acked = nextEvent(callee, 'ack');
      port.transmit(requestFrom(endpoint, to, { method: 'ACK', headers: HEADERS }).wire, nextHop);
      for (const { message } of [await asked, await acked]) {
        const left = [...message.headerLines()].map(({ name }) => name).filter((name) => name.startsWith('p-'));
        assert.deepEqual(left, names);
        assert.equal(message.first('subject'), 'hello');
      }
    } finally {
      await endpoint.closeAll();
      await callee.closeAll();
    }
  });
}
