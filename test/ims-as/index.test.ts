import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { Value } from 'typebox/value';
import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { ImsAsConfig } from '../../src/ims-as/config.ts';
import { type ImsAs, startImsAs } from '../../src/ims-as/index.ts';
import { SbiProblem } from '../../src/sbi/problem.ts';
import { SbiServer } from '../../src/sbi/server.ts';
import type { MediaControl, SessionEventNotification } from '../../src/services/nimsas.ts';
import { MediaContext } from '../../src/services/nmf-mrm.ts';
import { parseMessage } from '../../src/sip/message/index.ts';
import type { SipMessage } from '../../src/sip/types.ts';
import { terminate } from './as-harness.ts';
import { ANSWER_AUDIO, ANSWER_SESSION, E1, MF_FINGERPRINT, media } from './sdp-examples.ts';

/** A SIP peer on a loopback socket: what arrives waits until it is asked for. */
class Peer {
  readonly socket: Socket = createSocket('udp4');
  readonly #arrived: SipMessage[] = [];
  #wake: () => void = () => undefined;
  readonly #as: number;

  constructor(as: number) {
    this.#as = as;
    this.socket.on('message', (bytes) => {
      const parsed = parseMessage(bytes);
      if ('message' in parsed && parsed.message.status !== 100) this.#arrived.push(parsed.message);
      this.#wake();
    });
  }

  async bind(): Promise<number> {
    this.socket.bind(0, '127.0.0.1');
    await once(this.socket, 'listening');
    return this.socket.address().port;
  }

  send(wire: string): void {
    this.socket.send(Buffer.from(wire, 'latin1'), this.#as, '127.0.0.1');
  }

  /** The next message that fits; retransmissions of others are dropped. */
  async next(fits: (message: SipMessage) => boolean): Promise<SipMessage> {
    for (;;) {
      for (let message = this.#arrived.shift(); message !== undefined; message = this.#arrived.shift()) {
        if (fits(message)) return message;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

let mediaControl: MediaControl;
let decide: (notification: SessionEventNotification) => Promise<void> = async () => undefined;
const contexts: { method: string; body?: MediaContext }[] = [];
let mf: SbiServer;
let as: ImsAs;
let alice: Peer;
let bob: Peer;
let alicePort = 0;
let bobPort = 0;
let asPort = 0;

describe('the IMS AS on sockets', () => {
  before(async () => {
    mf = new SbiServer({ host: '127.0.0.1', port: 0, log: silentLogger });
    mf.route<MediaContext>({
      method: 'POST',
      path: '/nmf-mrm/v1/contexts',
      body: MediaContext,
      handler: ({ body }) => {
        contexts.push({ method: 'POST', body });
        const terminations = body.terminations.map((t) => ({
          ...t,
          medias: t.medias.map((m) => ({
            ...m,
            localMbEndpoint: { ip: { ipv4Addr: '127.0.0.1' }, portNumber: 40_000 },
            dcMedia: {
              ...m.dcMedia!,
              localDcEndpoint: { sctpPort: 5000, fingerprints: [MF_FINGERPRINT], tlsId: 'mfmfmfmfmfmfmfmfmfmf' },
            },
          })),
        }));
        return {
          status: 201,
          headers: { location: '/nmf-mrm/v1/contexts/c1' },
          body: { contextId: 'c1', terminations },
        };
      },
    });
    mf.route({
      method: 'PATCH',
      path: '/nmf-mrm/v1/contexts/:contextId',
      body: {},
      contentType: 'application/json-patch+json',
      handler: () => ({ status: 204 }),
    });
    mf.route({
      method: 'DELETE',
      path: '/nmf-mrm/v1/contexts/:contextId',
      handler: ({ params }) => {
        contexts.push({ method: `DELETE ${params.contextId}` });
        return { status: 204 };
      },
    });
    await mf.listen();
    const config = Value.Default(ImsAsConfig, {
      listeners: [{ transport: 'udp', address: '127.0.0.1', port: 0 }],
      mf: { urls: [mf.origin] },
    }) as ImsAsConfig;
    as = await startImsAs(config, {
      sessionEvents: { notify: (notification) => decide(notification) },
      log: silentLogger,
      metrics: new Metrics(),
      token: { instance: 'test', worker: 0, epoch: 1 },
    });
    mediaControl = as.mediaControl;
    asPort = as.addresses[0]!.port;
    alice = new Peer(asPort);
    bob = new Peer(asPort);
    alicePort = await alice.bind();
    bobPort = await bob.bind();
  });

  after(async () => {
    alice.socket.close();
    bob.socket.close();
    await as.close();
    await mf.close();
  });

  const head = (method: string, callId: string, cseq: number, to: string, port: number, extra = '') =>
    `Via: SIP/2.0/UDP 127.0.0.1:${port};branch=z9hG4bK${method}${callId}${cseq};rport\r\nMax-Forwards: 70\r\nFrom: <sip:alice@x>;tag=a\r\nTo: ${to}\r\nCall-ID: ${callId}\r\nCSeq: ${cseq} ${method}\r\nContact: <sip:alice@127.0.0.1:${port}>\r\n${extra}`;
  const invite = (callId: string, sdp: string) =>
    `INVITE sip:bob@127.0.0.1:${bobPort} SIP/2.0\r\n${head('INVITE', callId, 1, '<sip:bob@x>', alicePort, `Route: <sip:127.0.0.1:${asPort};lr;orig>\r\nContent-Type: application/sdp\r\n`)}Content-Length: ${sdp.length}\r\n\r\n${sdp}`;
  const ok = (request: SipMessage, sdp: string) =>
    `SIP/2.0 200 OK\r\n${request.span('via')}${request.span('from')}To: ${request.first('to')};tag=b\r\n${request.span('call-id')}${request.span('cseq')}Contact: <sip:bob@127.0.0.1:${bobPort}>\r\n${sdp === '' ? '' : 'Content-Type: application/sdp\r\n'}Content-Length: ${sdp.length}\r\n\r\n${sdp}`;

  async function callAndHangUp(callId: string): Promise<{ offered: SipMessage; answered: SipMessage }> {
    alice.send(invite(callId, E1));
    const offered = await bob.next((m) => m.method === 'INVITE' && m.isRequest);
    bob.send(ok(offered, ANSWER_SESSION + ANSWER_AUDIO));
    const answered = await alice.next((m) => m.status === 200 && m.callId === callId);
    const to = `<sip:bob@x>;tag=${answered.toTag}`;
    alice.send(
      `ACK sip:as@127.0.0.1:${asPort} SIP/2.0\r\n${head('ACK', callId, 1, to, alicePort)}Content-Length: 0\r\n\r\n`,
    );
    await bob.next((m) => m.method === 'ACK');
    alice.send(
      `BYE sip:as@127.0.0.1:${asPort} SIP/2.0\r\n${head('BYE', callId, 2, to, alicePort)}Content-Length: 0\r\n\r\n`,
    );
    const bye = await bob.next((m) => m.method === 'BYE');
    const confirmed = alice.next((m) => m.status === 200 && m.method === 'BYE');
    bob.send(
      `SIP/2.0 200 OK\r\n${bye.span('via')}${bye.span('from')}${bye.span('to')}${bye.span('call-id')}${bye.span('cseq')}Content-Length: 0\r\n\r\n`,
    );
    await confirmed;
    return { offered, answered };
  }

  test('a call: the instruction comes inside the notification, the MF holds a context, BYE gives it back', async () => {
    decide = async (notification) => {
      if (notification.notificationEvent.eventType !== 'SESSION_ESTABLISHMENT_REQUEST') return;
      const data = await mediaControl.mediaInstruction(
        { sessionId: notification.sessionId, mediaInstructionSet: terminate('m1', 0) },
        { idempotencyKey: 'k1' },
      );
      assert.equal(data, undefined);
    };
    const { offered, answered } = await callAndHangUp('call-1');
    assert.deepEqual(media(offered.body), ['m=audio 40000']);
    assert.deepEqual(media(answered.body), ['m=audio 40200', 'm=application 40000', 'm=application 0']);
    assert.deepEqual(
      contexts.map(({ method }) => method),
      ['POST', 'DELETE c1'],
    );
    assert.deepEqual([as.status().calls, as.status().contexts, as.status().callsTotal], [0, 0, 1]);
    assert.match(
      contexts[0]!.body?.terminations[0]?.medias[0]?.dcMedia?.imsdc?.eventUri ?? '',
      /^http:\/\/127\.0\.0\.1:\d+\/imsdc-media-events\//,
    );
  });

  test('a DCSF that throws: the call is made without data channels', async () => {
    decide = () => Promise.reject(new Error('boom'));
    const { offered } = await callAndHangUp('call-2');
    assert.deepEqual(media(offered.body), ['m=audio 40000']);
    assert.equal(as.status().calls, 0);
  });

  test('an instruction for a session that is gone is a 404 with ProblemDetails', async () => {
    const late = mediaControl.mediaInstruction(
      { sessionId: 'nobody', mediaInstructionSet: terminate('m1', 0) },
      { idempotencyKey: 'k2' },
    );
    await assert.rejects(late, (error) => error instanceof SbiProblem && error.details.status === 404);
  });

  test('a next hop that does not exist ends the INVITE with an error, and nothing stays', async () => {
    decide = async () => undefined;
    alice.send(
      invite('call-3', ANSWER_SESSION + ANSWER_AUDIO).replace(
        `sip:bob@127.0.0.1:${bobPort}`,
        'sip:bob@nowhere.invalid',
      ),
    );
    const refused = await alice.next((m) => m.callId === 'call-3' && m.status >= 300);
    assert.equal(refused.status, 503);
    assert.equal(as.status().calls, 0);
  });
});
