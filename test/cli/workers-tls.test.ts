import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { HashRing } from '../../src/dispatch/ring.ts';
import { LabChild } from '../../src/lab/process/child.ts';
import { buildResponse } from '../../src/sip/message/index.ts';
import type { SipMessage } from '../../src/sip/types.ts';
import { destinationOf, endpointOn, nextEvent, request } from '../sip/support.ts';
import { TestCa } from '../sip/transport/certificates.ts';

const WORKERS = 2;
const HOME = new HashRing(WORKERS);

// conformance: RFC 3261 26.2.1 — mutual TLS to and from `imsdc dcsf` with several workers, in real processes
test('imsdc dcsf with two workers: whole calls over one mutual TLS connection in each direction', async () => {
  const ca = await TestCa.create();
  const directory = mkdtempSync(join(tmpdir(), 'imsdc-workers-tls-'));
  const server = await ca.issue(['as.home.test', '127.0.0.1']);
  const tls = await ca.issue(['scscf.home.test', '127.0.0.1'], { requestCert: true });
  const config = join(directory, 'imsdc.yaml');
  writeFileSync(
    config,
    `roles: [ims-as, dcsf]
admin: { dcsfPort: 0 }
imsAs:
  listeners:
    - transport: tls
      address: 127.0.0.1
      port: 0
      tls: { certFile: ${server.certFile}, keyFile: ${server.keyFile}, caFile: ${server.caFile}, requestCert: true }
dcsf: { workers: ${WORKERS}, mdc1: { baseUrl: 'http://127.0.0.1:9/' } }
`,
  );
  const dcsf = new LabChild({ name: 'dcsf', args: ['dcsf', '--config', config], directory, speaks: 'ipc' });
  // The S-CSCF on both sides of the AS: whoever calls, and the next hop.
  const scscf = await endpointOn('tls', { listeners: [{ transport: 'tls', address: '127.0.0.1', port: 0, tls }] });
  try {
    const { sip } = await dcsf.ready();
    const { port } = (sip as { port: number }[])[0]!;
    const as = { transport: 'tls', address: '127.0.0.1', port } as const;
    const self = destinationOf(scscf);
    const contact = `<sip:s@127.0.0.1:${self.port};transport=tls>`;
    const isOf = (method: string) => (message: SipMessage) => message.method === method;

    for (let worker = 0; worker < WORKERS; worker++) {
      let callId = scscf.newCallId();
      while (HOME.home(callId) !== worker) callId = scscf.newCallId();
      const send = (method: string, cseq: number, to: string, uri: string, headers = '') => {
        const branch = scscf.newBranch();
        const wire = request({
          ...{ method, uri, cseq, to, callId },
          via: scscf.viaFor(as, branch),
          from: '<sip:alice@home.test>;tag=a',
          headers: `Contact: ${contact}\r\n${headers}`,
        });
        if (method === 'ACK') scscf.sendStateless(wire, as);
        else scscf.request({ wire, method, branch, to: as });
      };
      const called = nextEvent(scscf, 'request', isOf('INVITE'));
      const answered = nextEvent(scscf, 'response', ({ status }) => status === 200);
      const route = `Route: <sip:127.0.0.1:${port};transport=tls;lr;orig>, <sip:127.0.0.1:${self.port};transport=tls;lr>\r\n`;
      send('INVITE', 1, '<sip:bob@home.test>', 'sip:bob@home.test', route);
      const invite = await called;
      assert.equal(invite.message.via.transport, 'TLS');
      assert.ok(invite.message.callId.startsWith(`imsdc.${worker}.`), invite.message.callId);
      assert.deepEqual(invite.flow.peerNames, ['as.home.test', '127.0.0.1']);
      const headers = `Contact: ${contact}\r\n`;
      scscf.respond(invite.key, 200, buildResponse(invite.message, 200, { toTag: 'b', headers }));
      const ok = (await answered).message;
      const remote = /<(.*?)>/.exec(ok.first('contact') ?? '')![1]!;
      assert.match(remote, /;transport=tls/);
      const acknowledged = nextEvent(scscf, 'ack');
      send('ACK', 1, ok.first('to')!, remote);
      await acknowledged;
      const ended = nextEvent(scscf, 'request', isOf('BYE'));
      const over = nextEvent(scscf, 'response', isOf('BYE'));
      send('BYE', 2, ok.first('to')!, remote);
      const bye = await ended;
      scscf.respond(bye.key, 200, buildResponse(bye.message, 200, {}));
      assert.equal((await over).message.status, 200);
    }
    assert.ok(scscf.status().connections <= 2, 'both workers share what the dispatcher has opened');
  } finally {
    await scscf.closeAll();
    await dcsf.stop();
    ca.remove();
    rmSync(directory, { recursive: true, force: true });
  }
});
