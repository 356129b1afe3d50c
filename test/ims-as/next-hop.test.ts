import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from 'typebox/value';
import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { ImsAsConfig } from '../../src/ims-as/config.ts';
import { startImsAs } from '../../src/ims-as/index.ts';
import { buildResponse } from '../../src/sip/message/index.ts';
import { dnsServer } from '../sip/dns-server.ts';
import { destinationOf, endpointOn, nextEvent, request } from '../sip/support.ts';

// conformance: RFC 3263 4.3 — a call whose S-CSCF has two addresses survives the loss of one; the caller hears nothing of it
test('the call goes to the second address of its next hop when the first one answers 503', async () => {
  const caller = await endpointOn('udp');
  const [down, up] = [await endpointOn('udp'), await endpointOn('udp')];
  const service = (priority: number, endpoint: typeof up) =>
    ({ type: 'SRV', ttl: 60, priority, weight: 0, port: destinationOf(endpoint).port, target: 'a.ims.test' }) as const;
  const dns = await dnsServer({
    'scscf.ims.test': [],
    '_sip._udp.scscf.ims.test': [service(1, down), service(2, up)],
    'a.ims.test': [{ type: 'A', ttl: 60, address: '127.0.0.1' }],
  });
  const config = Value.Default(ImsAsConfig, {
    listeners: [{ transport: 'udp', address: '127.0.0.1', port: 0 }],
    dnsServers: [dns.address],
  }) as ImsAsConfig;
  const as = await startImsAs(config, {
    sessionEvents: { notify: async () => undefined },
    log: silentLogger,
    metrics: new Metrics(),
    token: { instance: 'test', worker: 0, epoch: 1 },
  });
  const statuses: number[] = [];
  caller.on('sip', (event) => event.kind === 'response' && statuses.push(event.message.status));
  try {
    const { host, port } = as.addresses[0]!;
    const to = { transport: 'udp', address: host, port } as const;
    const branch = caller.newBranch();
    const wire = request({
      uri: 'sip:bob@ims.test',
      via: caller.viaFor(to, branch),
      callId: caller.newCallId(),
      headers:
        `Route: <sip:${host}:${port};lr;orig>, <sip:scscf.ims.test;lr>\r\n` +
        `Contact: <sip:alice@${caller.hostFor(to)}>\r\n`,
    });
    const refused = nextEvent(down, 'request');
    const served = nextEvent(up, 'request');
    const answered = nextEvent(caller, 'response', ({ status }) => status >= 200);
    // A call that fails must fail the test, not hang it.
    const over = answered.then(({ message }) => assert.fail(`answered ${message.status} too early`));
    over.catch(() => undefined);
    caller.request({ wire, method: 'INVITE', branch, to });
    const first = await Promise.race([refused, over]);
    down.respond(first.key, 503, buildResponse(first.message, 503, { toTag: 'down', headers: 'Retry-After: 60\r\n' }));
    const second = await Promise.race([served, over]);
    assert.notEqual(second.message.via.branch, first.message.via.branch);
    assert.equal(second.message.callId, first.message.callId);
    assert.equal(second.message.cseq, first.message.cseq);
    const far = destinationOf(up);
    const headers = `Contact: <sip:bob@${far.address}:${far.port}>\r\n`;
    up.respond(second.key, 200, buildResponse(second.message, 200, { toTag: 'up', headers }));
    assert.equal((await answered).message.status, 200);
    assert.deepEqual(statuses, [100, 200]);
  } finally {
    await as.close();
    for (const endpoint of [caller, down, up]) await endpoint.closeAll();
    await dns.close();
  }
});
