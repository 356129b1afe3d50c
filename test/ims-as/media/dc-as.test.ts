import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Mdc2Target } from '../../../src/services/common-data.ts';
import { CHANNELS_CLOSED, type MediaInstruction } from '../../../src/services/nimsas.ts';
import { AsHarness, remove, terminate } from '../as-harness.ts';
import {
  ANSWER_AUDIO,
  ANSWER_SESSION,
  APPLICATION,
  AUDIO,
  LOCAL_BOOTSTRAP,
  MF_FINGERPRINT,
  media,
  SESSION,
  section,
  sections,
  UE_FINGERPRINT,
} from '../sdp-examples.ts';

const DC_AS_FINGERPRINT = `SHA-256 ${Array.from({ length: 32 }, () => 'DA').join(':')}`;
const DC_AS = { ip: { ipv4Addr: '127.0.0.7' }, transport: 'UDP', portNumber: 5_555 };
const END = {
  sctpPort: 5_001,
  fingerprints: [DC_AS_FINGERPRINT],
  tlsId: 'tls-id-of-the-dc-as-0',
  securitySetup: 'PASSIVE' as const,
};
const TARGET: Mdc2Target = { dcEndpoint: END, maxMessageSizeBytes: 30_000 };

function toDcAs(
  kind: 'TERMINATE_AND_ORIGINATE_MEDIA' | 'TERMINATE_MEDIA',
  imsdcMdc2: Mdc2Target | undefined = TARGET,
): Record<string, MediaInstruction> {
  return {
    m1: {
      mediaId: 'm1',
      mediaResourceType: 'DC',
      mediaInstruction: kind,
      dcMediaSpecification: {
        mediaProxyConfig: 'UDP_PROXY',
        mdc2EndpointDcAs: DC_AS,
        mdc2Protocol: 'UDP/DTLS/SCTP',
        ...(imsdcMdc2 && { imsdcMdc2 }),
        streams: { 1000: { streamId: 1000 }, 1002: { streamId: 1002 } },
      },
    },
  };
}

async function offered(as: AsHarness, instructions: Parameters<AsHarness['instruct']>[0], application = APPLICATION) {
  as.invite({ sdp: SESSION + AUDIO + application });
  const result = as.instruct(instructions);
  if (as.mrm.length > 0) as.mfAnswers();
  const outcome = await result;
  // Our DCSF gives up an offer whose instruction failed.
  as.notified(outcome.ok ? undefined : { ok: false, status: 500, detail: 'instruction failed' });
  return { outcome, onward: as.only().message };
}

/** Answered by the far end; what the caller got. */
function answered(as: AsHarness, onward: Parameters<AsHarness['respond']>[0], far = '') {
  as.respond(onward, 200, { sdp: ANSWER_SESSION + ANSWER_AUDIO + far });
  const ok = as.only().message;
  as.inDialog('ACK', 'caller', ok, 7);
  as.take();
  if (as.mrm.length > 0) as.mfAnswers();
  return ok;
}

describe('DTLS ends at the DC AS (UDP_PROXY)', () => {
  // conformance: 23.228 AC.7.2.2 — P2A with UDP_PROXY: the answer has the MF's address and the DC AS's fingerprint, setup, tls-id
  test('P2A: the answer is the MF by address, the DC AS in everything else', async () => {
    const as = new AsHarness();
    const { outcome, onward } = await offered(as, toDcAs('TERMINATE_MEDIA'));
    assert.ok(outcome.ok);
    assert.deepEqual(media(onward.body), ['m=audio 40000'], 'the far side never hears of it');
    const answer = sections(answered(as, onward).body)[1] ?? '';
    assert.match(answer, /^m=application 50000 [\s\S]*c=IN IP4 198\.51\.100\.5\r\n/);
    for (const line of [
      `a=fingerprint:${DC_AS_FINGERPRINT}`,
      'a=setup:passive',
      'a=sctp-port:5001',
      'a=max-message-size:30000',
      `a=tls-id:${END.tlsId}`,
    ]) {
      assert.ok(answer.includes(`${line}\r\n`), `${line} in\n${answer}`);
    }
    assert.ok(!answer.includes(MF_FINGERPRINT));
    const [termination, ...more] = as.context().terminations;
    assert.equal(more.length, 0);
    assert.deepEqual(termination!.medias[0]!.dcMedia, {
      mediaProxyConfig: 'UDP_PROXY',
      remoteMdc2Endpoint: DC_AS,
      mdc2Protocol: 'UDP/DTLS/SCTP',
      streams: termination!.medias[0]!.dcMedia!.streams,
    });
    assert.deepEqual(
      as
        .lastPatch()
        .filter(({ path }) => path.endsWith('remoteMbEndpoint'))
        .map(({ value }) => (value as typeof DC_AS).portNumber),
      [40020],
    );
  });

  test('without a tls-id of its own the DC AS gets one from us (R12), 20 characters', async () => {
    const as = new AsHarness();
    const { tlsId: _, ...dcEndpoint } = END;
    const { onward } = await offered(as, toDcAs('TERMINATE_MEDIA', { dcEndpoint }));
    const answer = sections(answered(as, onward).body)[1] ?? '';
    assert.match(answer, /a=tls-id:[A-Za-z0-9+/_-]{20}\r\n/);
  });

  // conformance: R12 — a new tls-id of the UE is answered with a new one; a repeated one with the same
  test('R12: the same association keeps its tls-id, a new one gets a new one, and the MF is not bothered', async () => {
    const as = new AsHarness();
    const { onward } = await offered(as, toDcAs('TERMINATE_MEDIA'));
    const ok = answered(as, onward);
    const requests = as.mrm.length;
    const again = (version: number, application: string) => {
      as.inDialog('INVITE', 'caller', ok, 7 + version, {
        sdp: SESSION.replace('3001 1', `3001 ${version}`) + AUDIO + application,
      });
      const answer = as.only().message;
      as.inDialog('ACK', 'caller', answer, 7 + version);
      as.take();
      return /a=tls-id:(\S+)/.exec(answer.body)?.[1];
    };
    assert.equal(again(2, APPLICATION.replace('b=AS:1000', 'b=AS:900')), END.tlsId);
    const renewed = again(3, APPLICATION.replace('505a612b', '707a612b'));
    assert.ok(renewed !== undefined && renewed !== END.tlsId);
    assert.equal(again(4, APPLICATION.replace('505a612b', '707a612b').replace('b=AS:1000', 'b=AS:800')), renewed);
    assert.equal(as.mrm.length, requests);
  });

  // conformance: 23.228 AC.7.2.3 — P2A2P with UDP_PROXY: both legs show the DC AS, each with its own end
  test('P2A2P: offered to the callee as the DC AS, too', async () => {
    const as = new AsHarness();
    const other = { sctpPort: 5_002, fingerprints: [DC_AS_FINGERPRINT], securitySetup: 'PASSIVE' as const };
    const remote = { endpoint: { ...DC_AS, portNumber: 6_666 }, dcEndpoint: other };
    const { outcome, onward } = await offered(as, toDcAs('TERMINATE_AND_ORIGINATE_MEDIA', { ...TARGET, remote }));
    assert.ok(outcome.ok);
    const offer = sections(onward.body)[1] ?? '';
    assert.match(offer, /^m=application 50001 /);
    for (const line of [`a=fingerprint:${DC_AS_FINGERPRINT}`, 'a=setup:passive', 'a=sctp-port:5002']) {
      assert.ok(offer.includes(`${line}\r\n`), `${line} in\n${offer}`);
    }
    const far = section(42000, 'active', 'calleetlsidapp000000', ['1000', '1002']);
    const answer = sections(answered(as, onward, far).body)[1] ?? '';
    assert.ok(answer.includes('a=sctp-port:5001\r\n') && answer.includes('a=setup:passive\r\n'));
    assert.deepEqual(
      as.context().terminations.map(({ medias }) => medias[0]!.dcMedia?.remoteMdc2Endpoint?.portNumber),
      [5_555, 6_666],
    );
  });

  test('both sides want to be passive: the line is refused, the voice goes on', async () => {
    const as = new AsHarness();
    const { outcome, onward } = await offered(
      as,
      toDcAs('TERMINATE_MEDIA'),
      APPLICATION.replace('a=setup:actpass', 'a=setup:passive'),
    );
    assert.ok(!outcome.ok);
    assert.deepEqual(media(onward.body), ['m=audio 40000']);
    assert.deepEqual(media(answered(as, onward).body).slice(1), ['m=application 0']);
    assert.equal(as.mrm.length, 0);
  });

  test('a DC AS without a fingerprint is an instruction that cannot be executed: 400 with its place', async () => {
    for (const [target, at] of [
      [{}, /imsdcMdc2\/dcEndpoint missing/],
      [{ dcEndpoint: { sctpPort: 5_000, fingerprint: 'nonsense' } }, /dcEndpoint\/fingerprints has none/],
      [{ ...TARGET, remote: {} }, /imsdcMdc2\/remote\/dcEndpoint missing/],
    ] as [Mdc2Target, RegExp][]) {
      const as = new AsHarness();
      const { outcome } = await offered(as, toDcAs('TERMINATE_MEDIA', target));
      assert.ok(!outcome.ok);
      assert.equal(outcome.problem.status, 400);
      assert.match(outcome.problem.detail ?? '', at);
    }
  });
});

describe('DTLS ends at the MF, and again at the DC AS', () => {
  test('the MF is told both ends, the UE sees the MF; the DCSF learns where the MF connects from', async () => {
    const as = new AsHarness();
    const set = toDcAs('TERMINATE_AND_ORIGINATE_MEDIA', {
      ...TARGET,
      remote: { endpoint: { ...DC_AS, portNumber: 6_666 }, dcEndpoint: { ...END, sctpPort: 5_002 } },
    });
    set.m1!.dcMediaSpecification!.mediaProxyConfig = 'DC_APPLICATION_PROXY';
    const { outcome, onward } = await offered(as, set);
    assert.ok(outcome.ok);
    const line = sections(onward.body)[1] ?? '';
    assert.ok(line.includes(MF_FINGERPRINT) && !line.includes(DC_AS_FINGERPRINT) && !line.includes(UE_FINGERPRINT));
    assert.deepEqual(
      as
        .context()
        .terminations.map(({ medias: [one] }) => [
          one!.dcMedia!.remoteMdc2Endpoint?.portNumber,
          one!.dcMedia!.imsdc?.mdc2?.dcEndpoint?.sctpPort,
          one!.dcMedia!.imsdc?.mdc2?.remote,
        ]),
      [
        [5_555, 5_001, undefined],
        [6_666, 5_002, undefined],
      ],
    );
  });
});

describe('the DC AS of a line has closed its last channel', () => {
  const overWebSocket = (): Record<string, MediaInstruction> => ({
    m1: {
      mediaId: 'm1',
      mediaResourceType: 'DC',
      mediaInstruction: 'TERMINATE_MEDIA',
      dcMediaSpecification: {
        mediaProxyConfig: 'DC_APPLICATION_PROXY',
        mdc2EndpointDcAs: { ...DC_AS, transport: 'TCP' },
        mdc2Protocol: 'TCP',
        imsdcMdc2: { url: 'ws://127.0.0.7:5555/channels' },
        streams: { 1000: { streamId: 1000 }, 1002: { streamId: 1002 } },
      },
    },
  });
  const told = (as: AsHarness) =>
    as.notifications
      .map(({ notification }) => notification)
      .filter(({ notificationEvent }) => notificationEvent.eventType === CHANNELS_CLOSED);
  const closes = (as: AsHarness, contextId: string, mediaId: string) => {
    as.dispatcher.serverClosed({ contextId, mediaId });
    as.timers.advance(100);
    return told(as).length;
  };

  // conformance: 23.228 AC.7.2.2 — a DC AS hangs up: the DCSF is told, and ends the line by DELETE_MEDIA and port 0
  test('the DCSF hears of it, and what it instructs goes to the UE', async () => {
    const as = new AsHarness();
    const { outcome, onward } = await offered(as, overWebSocket());
    assert.ok(outcome.ok);
    answered(as, onward);
    assert.equal(closes(as, 'ctx-1', 'm1'), 1);
    assert.deepEqual(Object.keys(told(as)[0]!.mediaInfoList!), ['m1']);
    assert.deepEqual(as.take(), [], 'nothing is said to anybody before the DCSF has decided');
    assert.ok((await as.instruct(remove('m1'))).ok);
    assert.deepEqual(media(as.only().message.body), ['m=audio 40200', 'm=application 0']);
    assert.equal(closes(as, 'ctx-1', 'm1'), 1, 'told again of a line that is closing');
  });

  test('neither other contexts, other lines, nor a call that rings', async () => {
    const as = new AsHarness();
    const { onward } = await offered(as, overWebSocket());
    assert.equal(closes(as, 'ctx-1', 'm1'), 0, 'it rings');
    answered(as, onward);
    assert.deepEqual([closes(as, 'ctx-9', 'm1'), closes(as, 'ctx-1', 'm0'), closes(as, 'ctx-1', 'm7')], [0, 0, 0]);
  });

  test('bootstrap lines are never ended so', async () => {
    const as = new AsHarness();
    const { onward } = await offered(as, terminate('m1', 0), LOCAL_BOOTSTRAP);
    answered(as, onward);
    assert.equal(closes(as, 'ctx-1', 'm1'), 0);
  });
});
