import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from 'typebox/value';
import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { ImsAsConfig } from '../../src/ims-as/config.ts';
import { startImsAs } from '../../src/ims-as/index.ts';
import { buildResponse } from '../../src/sip/message/index.ts';
import { destinationOf, endpointOn, nextEvent, request } from '../sip/support.ts';

const SDP = 'v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n';

// conformance: 24.229 5.7.5.1 — a B2BUA: own Call-ID, tags, Via, Contact and route; neither side sees the other's hops
test('neither side learns where the other is, by default', async () => {
  const caller = await endpointOn('udp');
  const callee = await endpointOn('udp');
  const config = Value.Default(ImsAsConfig, {
    listeners: [{ transport: 'udp', address: '127.0.0.1', port: 0 }],
  }) as ImsAsConfig;
  const as = await startImsAs(config, {
    sessionEvents: { notify: async () => undefined },
    log: silentLogger,
    metrics: new Metrics(),
    token: { instance: 'test', worker: 0, epoch: 1 },
  });
  try {
    const { host, port } = as.addresses[0]!;
    const to = { transport: 'udp', address: host, port } as const;
    const branch = caller.newBranch();
    const far = destinationOf(callee);
    const wire = request({
      uri: `sip:bob@${far.address}:${far.port}`,
      via: caller.viaFor(to, branch),
      from: '<sip:alice@example.com>;tag=caller-tag',
      callId: 'caller-call-id@pcscf.visited.test',
      headers:
        'Via: SIP/2.0/UDP pcscf.visited.test;branch=z9hG4bKhidden\r\n' +
        'Record-Route: <sip:scscf.visited.test;lr>\r\n' +
        `Route: <sip:${host}:${port};lr;orig>\r\n` +
        `Contact: <sip:alice@${caller.hostFor(to)}>;+g.3gpp.icsi-ref="urn"\r\n`,
      body: SDP,
    });
    const asked = nextEvent(callee, 'request');
    const answered = nextEvent(caller, 'response', ({ status }) => status >= 200);
    caller.request({ wire, method: 'INVITE', branch, to });
    const { key, message } = await asked;
    assert.equal(message.list('via').length, 1);
    assert.equal(`${message.via.host}:${message.via.port}`, `${host}:${port}`);
    assert.deepEqual(message.list('record-route'), []);
    assert.match(message.first('contact')!, new RegExp(`@${host}:${port}>;\\+g\\.3gpp\\.icsi-ref="urn"$`));
    const seenByCallee = message.raw.slice(0, message.raw.indexOf('\r\n\r\n'));
    assert.doesNotMatch(seenByCallee, /visited\.test|caller-tag|hidden/);
    assert.ok(!seenByCallee.includes(caller.hostFor(to)), 'not even the address of the caller');

    const contact = `Contact: <sip:bob@${far.address}:${far.port}>\r\nRecord-Route: <sip:pcscf.home.test;lr>\r\n`;
    const ok = buildResponse(message, 200, {
      toTag: 'callee-tag',
      headers: contact,
      body: SDP,
      contentType: 'application/sdp',
    });
    callee.respond(key, 200, ok);
    const { message: final } = await answered;
    assert.equal(final.status, 200);
    assert.match(final.first('contact')!, new RegExp(`@${host}:${port}>`));
    const seenByCaller = final.raw.slice(0, final.raw.indexOf('\r\n\r\n'));
    assert.doesNotMatch(seenByCaller, /home\.test|callee-tag/);
    assert.ok(!seenByCaller.includes(`${far.address}:${far.port}`));
  } finally {
    await as.close();
    await caller.closeAll();
    await callee.closeAll();
  }
});
