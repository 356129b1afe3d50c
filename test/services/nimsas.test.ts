import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { startDcsf } from '../../src/dcsf/index.ts';
import { ImsdcError } from '../../src/errors.ts';
import { SbiClient } from '../../src/sbi/client.ts';
import { problem, readProblem } from '../../src/sbi/problem.ts';
import { SbiServer } from '../../src/sbi/server.ts';
import type { GrantPort } from '../../src/services/ndcar.ts';
import {
  type MediaControl,
  type MediaInstructionData,
  NIMSAS_MC_PATH,
  type SessionEventControl,
  type SessionEventNotification,
} from '../../src/services/nimsas.ts';
import { alphaNotification } from '../../src/services/nimsas-alpha.ts';
import { MediaControlClient, SessionEventClient } from '../../src/services/nimsas-client.ts';
import { readInstructions, readNotification } from '../../src/services/nimsas-read.ts';
import { mediaControlRoute, sessionEventRoute } from '../../src/services/nimsas-server.ts';
import { AUDIO, decideAll, line, notification, PEER } from '../dcsf/decide/fixtures.ts';
import { configured } from '../dcsf/support.ts';
import { checkedMediaControl, checkedSessionEvents } from './checked-dc1.ts';
import { SHA256 } from './messages.ts';
import { example, generations, HAVE_EXAMPLES, HAVE_OPENAPI } from './openapi.ts';

const SESSION_EVENT_PATH = '/session-events';

const log = silentLogger;
const withoutExamples = HAVE_EXAMPLES ? false : 'the worked examples are not here';
const withoutSchemas = HAVE_OPENAPI ? false : 'the OpenAPI files are not here';
const NOTIFICATIONS = [
  '01-dc1-notify-session-request.json',
  '07-dc1-notify-session-success.json',
  '10-dc1-notify-p2p-adc.json',
  '53-dc1-notify-media-change-failure.json',
  '54-dc1-notify-termination.json',
];
const INSTRUCTIONS = [
  '02-dc1-media-instruction-bootstrap.json',
  '05-dc1-media-instruction-200.json',
  '11-dc1-instruction-p2p-passthrough.json',
  '20-dc1-instruction-p2a-udp.json',
  '22-dc1-instruction-p2a-200.json',
  '30-dc1-instruction-p2a2p.json',
  '35-dc1-instruction-a2p.json',
  '50-dc1-instruction-reject.json',
  '51-dc1-instruction-delete.json',
];
const SEC = 'TS29175_Nimsas_SessionEventControl.yaml';
const MC = 'TS29175_Nimsas_MediaControl.yaml';

const endpoint = { sctpPort: 5000, fingerprint: SHA256, fingerprints: [SHA256], tlsId: 'abcdefghij_ABCDEFG-1' };
const binding = { applicationId: '10000005', appDcInfoList: [{ streamId: 1000, adcEndpointType: 'UE' as const }] };

/** What our AS sends for a call with everything in it. */
function fullNotification(): SessionEventNotification {
  const bootstrap = line([0, 10], { maxMessageSize: 64, remoteDcEndpoint: endpoint, securitySetup: 'ACTPASS' });
  const application = line([1000], { bdcUsedBy: 'SENDER', appBindingInfos: [binding] });
  return notification({ m0: AUDIO, m1: bootstrap, m2: application }, { peerSupportsDc: true });
}

describe('DC1 against the 3GPP schemas', { skip: withoutSchemas }, () => {
  for (const generation of generations(/TS29175/)) {
    // conformance: 29.175 6.1.6, 6.2.6 — notifications and instructions fit the published schemas
    test(`what we send, ${generation.name}`, () => {
      const notified = generation.validator(SEC, 'SessionEventNotification');
      assert.ok(notified(alphaNotification(fullNotification())), JSON.stringify(notified.errors));
      const instructed = generation.validator(MC, 'MediaInstructionData');
      const peer = { vocabulary: 'rel18-alpha', omitSubprotocol: true, vendorExtensions: false } as const;
      for (const speaks of [peer, PEER]) {
        const { instructions } = decideAll(fullNotification(), { peer: speaks });
        const data: MediaInstructionData = { sessionId: 's1', mediaInstructionSet: { ...instructions } };
        assert.ok(instructed(data), JSON.stringify(instructed.errors));
      }
      assert.equal(instructed({ sessionId: 's1', mediaInstructionSet: {} }), false);
    });

    test(`the worked examples, ${generation.name}`, { skip: withoutExamples }, () => {
      const validators = [
        [NOTIFICATIONS, generation.validator(SEC, 'SessionEventNotification')],
        [INSTRUCTIONS, generation.validator(MC, 'MediaInstructionData')],
      ] as const;
      for (const [names, validate] of validators) {
        for (const name of names) assert.ok(validate(example(name)), `${name}: ${JSON.stringify(validate.errors)}`);
      }
    });
  }

  for (const generation of generations(/29571-commondata/)) {
    // conformance: 29.571 5.11 — Rel-19 types inside DC1 messages
    test(`the common data we send, ${generation.name}`, () => {
      const fits = (schema: string, value: unknown) => {
        const validate = generation.validator('3gpp-ts29571-commondata.yml', schema);
        assert.ok(validate(value), `${schema}: ${JSON.stringify(validate.errors)}`);
      };
      fits('DcEndpoint', endpoint);
      fits('AppBindingInfo', binding);
      for (const { dcMediaSpecification: specification } of Object.values(decideAll(fullNotification()).instructions)) {
        if (specification?.mediaProxyConfig) fits('MediaProxy', specification.mediaProxyConfig);
        for (const stream of Object.values(specification?.streams ?? {})) fits('DcStream', stream);
        for (const url of Object.values(specification?.replaceHttpUrls ?? {})) fits('ReplaceHttpUrl', url);
      }
    });
  }
});

describe('reading what peers send', () => {
  test('the worked examples', { skip: withoutExamples }, () => {
    for (const name of NOTIFICATIONS) assert.equal(readNotification(example(name)).sessionId.length, 36, name);
    for (const name of INSTRUCTIONS) assert.equal(readInstructions(example(name)).sessionId.length, 36, name);
    const { mediaInstructionSet } = readInstructions(example(INSTRUCTIONS[0]!));
    assert.equal(mediaInstructionSet.m1!.dcMediaSpecification!.mediaProxyConfig, 'HTTP_PROXY');
  });

  test('the worked examples are decided as they say', { skip: withoutExamples }, () => {
    const bootstrap = decideAll(readNotification(example(NOTIFICATIONS[0]!)));
    assert.deepEqual(
      Object.values(bootstrap.instructions).map((one) => one.mediaInstruction),
      ['TERMINATE_MEDIA', 'TERMINATE_AND_ORIGINATE_MEDIA', 'ORIGINATE_MEDIA'],
    );
    const published = new Map([['org.example.whiteboard', { applicationId: 'org.example.whiteboard' }]]);
    const channel = decideAll(readNotification(example(NOTIFICATIONS[2]!)), { catalogue: published });
    assert.deepEqual(Object.keys(channel.instructions), ['m4']);
    assert.equal(channel.instructions.m4!.mediaInstruction, undefined);
  });

  // conformance: 29.175 errata — the key wins, stream objects of the alpha type, alpha proxy names
  test('the errata of the alpha schemas', () => {
    const read = readNotification({
      notificationEvent: { eventType: 'MEDIA_CHANGE_REQUEST' },
      sessionId: 's1',
      mediaInfoList: {
        m1: { mediaId: 'other', mediaType: 'DC', dcMediaSpecification: { streams: { 100: { sctpPort: 5000 } } } },
      },
    });
    assert.equal(read.mediaInfoList!.m1!.mediaId, 'm1');
    assert.equal(read.mediaInfoList!.m1!.dcMediaSpecification!.streams['100']!.streamId, 100);
    const instruction = (mediaProxyConfig: string) =>
      readInstructions({
        sessionId: 's1',
        mediaInstructionSet: {
          m1: { mediaResourceType: 'DC', dcMediaSpecification: { mediaProxyConfig, streams: { 0: {} } } },
        },
      }).mediaInstructionSet.m1!.dcMediaSpecification!.mediaProxyConfig;
    assert.deepEqual(['HTTP', 'UDP', 'DC_APPLICATION_PROXY'].map(instruction), [
      'HTTP_PROXY',
      'UDP_PROXY',
      'DC_APPLICATION_PROXY',
    ]);
    assert.throws(() => instruction('constructor'), /mediaProxyConfig/);
  });

  for (const [name, body, said] of [
    ['no object', [], /body|must be object/],
    ['no sessionId', { notificationEvent: { eventType: 'x' } }, /sessionId missing/],
    [
      'media list of another type',
      { notificationEvent: { eventType: 'x' }, sessionId: 's', mediaInfoList: [1] },
      /mediaInfoList/,
    ],
    [
      'a medium of another type',
      { notificationEvent: { eventType: 'x' }, sessionId: 's', mediaInfoList: { m1: 5 } },
      /m1/,
    ],
    [
      'stream id that is none',
      {
        notificationEvent: { eventType: 'x' },
        sessionId: 's',
        mediaInfoList: { m1: { mediaType: 'DC', dcMediaSpecification: { streams: { '70000': {} } } } },
      },
      /streams/,
    ],
  ] as const) {
    test(`${name}: 400 with the member named`, () => {
      assert.throws(() => readNotification(body), said);
    });
  }
});

describe('alpha notifications', () => {
  test('carry the binding as text and nothing that alpha refuses', () => {
    const media = alphaNotification(fullNotification()).mediaInfoList!;
    const stream = media.m2!.dcMediaSpecification!.streams['1000']!;
    assert.deepEqual(JSON.parse(stream.appBindingInfo as string), binding);
    const remote = media.m1!.dcMediaSpecification!.remoteDcEndpoint!;
    assert.match(remote.tlsId!, /^[0-9A-F]{40}$/);
    assert.equal(remote.fingerprints, undefined);
    assert.equal(media.m1!.dcMediaSpecification!.streams['0']!.subprotocol, undefined);
    assert.ok(!('peerSupportsDc' in alphaNotification(fullNotification()).sessionInfo!));
  });
});

const noGrants: GrantPort = { grant: () => undefined, revoke: () => undefined, applications: () => new Map() };

/** A DCSF and an AS as two HTTP/2 peers on loopback. */
async function peers(t: TestContext, mediaControl: MediaControl, sessionEvents?: SessionEventControl) {
  const as = new SbiServer({ host: '127.0.0.1', port: 0, log });
  as.route(mediaControlRoute(mediaControl));
  await as.listen();
  const control = new MediaControlClient({ apiRoot: as.origin, userAgent: 'DCSF-1', log });
  const dcsf = startDcsf(configured(), { mediaControl: control, grants: noGrants, log, metrics: new Metrics() });
  const server = new SbiServer({ host: '127.0.0.1', port: 0, log });
  server.route(sessionEventRoute(SESSION_EVENT_PATH, sessionEvents ?? dcsf.sessionEvents));
  await server.listen();
  const notificationUri = server.origin + SESSION_EVENT_PATH;
  const events = new SessionEventClient({ notificationUri, userAgent: 'IMS_AS-1', log });
  const raw = new SbiClient({ apiRoot: server.origin, userAgent: 'IMS_AS-1', log });
  const rawAs = new SbiClient({ apiRoot: as.origin, userAgent: 'DCSF-1', log });
  t.after(async () => {
    await Promise.all([control.close(), events.close(), raw.close(), rawAs.close()]);
    await Promise.all([as.close(), server.close(), dcsf.close()]);
  });
  return { events, control, raw, rawAs, dcsf, notificationUri };
}

const soon = () => ({ deadlineMs: Date.now() + 3_000 });
const nothing: MediaControl = { mediaInstruction: async () => undefined };

describe('DC1 over HTTP/2', () => {
  // conformance: 23.228 AC.7.1 — the AS serves Nimsas_MediaControl while its notification is pending
  test('the instruction comes inside the pending notification', async (t) => {
    const order: string[] = [];
    let instructed: MediaInstructionData | undefined;
    const { events } = await peers(t, {
      async mediaInstruction(data) {
        order.push('instruction');
        instructed = data;
        const mdc1EndpointMf = { ip: { ipv4Addr: '127.0.0.1' }, portNumber: 9 };
        const m1 = {
          mediaId: 'm1',
          mediaResourceType: 'DC',
          dcMediaSpecification: { mdc1EndpointMf, streams: { 0: { streamId: 0 } } },
        };
        return { sessionId: data.sessionId, mediaInstructionSet: { m1 } };
      },
    });
    await events.notify(notification({ m0: AUDIO, m1: line([0, 10]) }), soon());
    order.push('204');
    assert.deepEqual(order, ['instruction', '204']);
    assert.equal(instructed!.mediaInstructionSet.m1!.dcMediaSpecification!.mediaProxyConfig, 'HTTP_PROXY');
    assert.equal(Object.values(instructed!.mediaInstructionSet)[1]!.dcMediaSpecification!.imsdcTowards, 'remote');
  });

  test('the deadline travels, and what the AS says comes back as a coded error', async (t) => {
    let deadline = 0;
    const outcomes: Error[] = [
      new ImsdcError('DCSF_NOT_AUTHORISED', { reason: 'not you' }),
      new ImsdcError('DCSF_SESSIONS_FULL', { max: 1 }),
      new ImsdcError('DCSF_DEADLINE', { sessionId: 's1' }),
      new Error('bug'),
    ];
    const { events } = await peers(t, nothing, {
      notify: (_notification, { deadlineMs }) => {
        deadline = deadlineMs;
        return Promise.reject(outcomes.shift());
      },
    });
    const until = soon();
    await assert.rejects(events.notify(notification({}), until), { code: 'DCSF_NOT_AUTHORISED', message: 'not you' });
    assert.ok(Math.abs(deadline - until.deadlineMs) < 1_000);
    await assert.rejects(events.notify(notification({}), soon()), { code: 'NIMSAS_UNAVAILABLE' });
    await assert.rejects(events.notify(notification({}), soon()), { code: 'NIMSAS_TIMEOUT' });
    await assert.rejects(events.notify(notification({}), soon()), { code: 'NIMSAS_REFUSED' });
  });

  test('a repeated request is executed once; another peer or key is not confused with it', async (t) => {
    const seen: string[] = [];
    let failing = true;
    const { rawAs, control } = await peers(t, {
      async mediaInstruction(data, { idempotencyKey }) {
        seen.push(idempotencyKey);
        if (failing) throw problem(409, 'MODIFICATION_NOT_ALLOWED', 'not now');
        return data;
      },
    });
    const body = { sessionId: 's1', mediaInstructionSet: { m1: { mediaId: 'm1', mediaResourceType: 'DC' } } };
    const path = `${NIMSAS_MC_PATH}/call-sessions/s1/media-instruction`;
    const post = (idempotencyKey?: string) => rawAs.request({ method: 'POST', path, body, idempotencyKey, ...soon() });
    assert.equal((await post('k1')).status, 409);
    failing = false;
    const [first, second] = await Promise.all([post('k1'), post('k1')]);
    assert.deepEqual([first.status, second.status, seen.length], [200, 200, 2], 'a failure may be tried again');
    assert.deepEqual(second.body, body);
    await post('k2');
    await post();
    await post();
    assert.equal(new Set(seen.slice(1)).size, 4);
    failing = true;
    await assert.rejects(
      control.mediaInstruction(body, { idempotencyKey: 'k9' }),
      /409 MODIFICATION_NOT_ALLOWED not now/,
    );
  });

  // conformance: 29.175 6.2.3 — the session of the body is that of the path; all of it or a 400
  test('bad requests get ProblemDetails that name the member', async (t) => {
    const { rawAs, raw } = await peers(t, { mediaInstruction: () => assert.fail('must not be reached') });
    const path = `${NIMSAS_MC_PATH}/call-sessions/s1/media-instruction`;
    const one = { m1: { mediaId: 'm1', mediaResourceType: 'DC' } };
    for (const [body, param] of [
      [{ sessionId: 's2', mediaInstructionSet: one }, '/sessionId'],
      [{ sessionId: 's1', mediaInstructionSet: {} }, '/mediaInstructionSet'],
      [{ sessionId: 's1' }, '/mediaInstructionSet'],
      [{ sessionId: 's1', mediaInstructionSet: { m1: {} } }, '/mediaInstructionSet/m1/mediaResourceType'],
    ] as const) {
      const response = await rawAs.request({ method: 'POST', path, body, ...soon() });
      const details = readProblem(response.status, response.body);
      assert.equal(response.status, 400);
      assert.equal(details.invalidParams?.[0]?.param, param);
    }
    const notified = await raw.request({ method: 'POST', path: SESSION_EVENT_PATH, body: { sessionId: 5 }, ...soon() });
    assert.equal(notified.status, 400);
    const pseudo = { method: 'POST', path: '/nimsas-sec/v1/session-event-subscriptions', body: {}, ...soon() } as const;
    assert.equal((await raw.request(pseudo)).status, 404, 'consumers shall not subscribe');
  });

  test('a peer that is away', async () => {
    const options = { userAgent: 'IMS_AS-1', log };
    const events = new SessionEventClient({ notificationUri: 'http://127.0.0.1:9/x', ...options });
    await assert.rejects(events.notify(notification({}), soon()), { code: 'NIMSAS_UNAVAILABLE' });
    await events.close();
  });
});

describe('DC1 within the process', () => {
  const seen: unknown[] = [];
  const events = checkedSessionEvents({
    async notify(received) {
      seen.push(received);
      (received.mediaInfoList as Record<string, unknown>).injected = 1;
    },
  });

  test('passes equal plain data, and neither side can reach into the other', async () => {
    const sent = fullNotification();
    const before = structuredClone(sent);
    await events.notify(sent, soon());
    assert.deepEqual(sent, before);
    const control = checkedMediaControl({ mediaInstruction: async (data) => data });
    const data = { sessionId: 's1', mediaInstructionSet: { m1: { mediaId: 'm1', mediaResourceType: 'DC' } } };
    const result = await control.mediaInstruction(data, { idempotencyKey: 'k' });
    assert.deepEqual(result, data);
    assert.notEqual(result, data);
  });

  test('refuses what HTTP/2 would refuse', async () => {
    const wrong = { ...fullNotification(), sessionId: '' };
    await assert.rejects(events.notify(wrong, soon()), /sessionId/);
    const code = { ...fullNotification(), callback: () => undefined };
    await assert.rejects(events.notify(code, soon()), { name: 'DataCloneError' });
    const control = checkedMediaControl({
      mediaInstruction: async () => ({ sessionId: 's1', mediaInstructionSet: { m1: {} as never } }),
    });
    await assert.rejects(
      control.mediaInstruction({ sessionId: 's1', mediaInstructionSet: {} }, { idempotencyKey: 'k' }),
      /m1/,
    );
  });

  test('a decision is plain data in both directions', async () => {
    const sets: MediaInstructionData[] = [];
    const dcsf = startDcsf(configured(), {
      mediaControl: checkedMediaControl({
        async mediaInstruction(data) {
          sets.push(data);
          return undefined;
        },
      }),
      grants: noGrants,
      log,
      metrics: new Metrics(),
    });
    await checkedSessionEvents(dcsf.sessionEvents).notify(fullNotification(), soon());
    assert.equal(Object.keys(sets[0]!.mediaInstructionSet).length, 3);
    await dcsf.close();
  });
});
