import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AsHarness, originate, pass, reject, relay, terminate } from '../as-harness.ts';
import {
  ANSWER_AUDIO,
  ANSWER_SESSION,
  APPLICATION,
  AUDIO,
  AUDIO_ONLY,
  E1,
  media,
  SESSION,
  section,
} from '../sdp-examples.ts';

const ORIGINATING = { ...terminate('m1', 0), ...relay('m2', 100), ...originate('d-1', 100, 'remote') };

describe('the barrier', () => {
  // conformance: 24.186 9.3.2.2.1 — the INVITE is held until the DCSF has answered
  // conformance: R15 — only what changes a data channel line asks
  test('audio alone never talks to DCSF or MF', () => {
    const as = new AsHarness();
    as.invite({ sdp: AUDIO_ONLY });
    assert.equal(as.only().message.body, AUDIO_ONLY);
    assert.deepEqual([as.notifications.length, as.mrm.length], [0, 0]);
  });

  test('the INVITE waits for the notification, the instruction and the MF, in that order', async () => {
    const as = new AsHarness();
    as.invite({ sdp: E1 });
    assert.deepEqual(as.take(), []);
    const { notification } = as.lastNotification;
    assert.equal(notification.notificationEvent.eventType, 'SESSION_ESTABLISHMENT_REQUEST');
    assert.equal(notification.notificationEvent.eventInitiator, 'SERVED_IMS_SUBSCRIBER');
    assert.equal(notification.sessionInfo?.sessionCase, 'ORIGINATING_IMS_SESSION');
    assert.deepEqual(Object.keys(notification.mediaInfoList ?? {}), ['m0', 'm1', 'm2']);
    assert.equal(notification.mediaInfoList?.m2?.dcMediaSpecification?.bdcUsedBy, 'SENDER');
    assert.deepEqual(Object.keys(notification.mediaInfoList?.m1?.dcMediaSpecification?.streams ?? {}), ['0', '10']);
    const result = as.instruct(ORIGINATING);
    assert.deepEqual(as.take(), []);
    as.mfAnswers();
    const { ok, data } = (await result) as {
      ok: true;
      data: { mediaInstructionSet: Record<string, { dcMediaSpecification?: { mdc1EndpointMf?: unknown } }> };
    };
    assert.ok(ok);
    assert.deepEqual(data.mediaInstructionSet.m1?.dcMediaSpecification?.mdc1EndpointMf, {
      ip: { ipv4Addr: '127.0.0.1' },
      transport: 'TCP',
      portNumber: 7000,
    });
    assert.deepEqual(as.take(), []);
    as.notified();
    assert.deepEqual(media(as.only().message.body), ['m=audio 40000', 'm=application 50002', 'm=application 50003']);
  });

  // conformance: R17 — 3 s for everything; the changed lines only are refused
  test('a silent DCSF: after 3 s the call goes on without data channels', async () => {
    const as = new AsHarness();
    as.invite({ sdp: E1 });
    as.timers.advance(2990);
    assert.deepEqual(as.take(), []);
    as.timers.advance(20);
    const onward = as.only().message;
    assert.deepEqual(media(onward.body), ['m=audio 40000']);
    const late = await as.instruct(ORIGINATING);
    assert.ok(!late.ok && late.problem.status === 409);
    as.respond(onward, 200, { sdp: ANSWER_SESSION + ANSWER_AUDIO });
    assert.deepEqual(media(as.only().message.body), ['m=audio 40200', 'm=application 0', 'm=application 0']);
    assert.equal(as.mrm.length, 0);
  });

  test('an instruction in the last half second is too late', async () => {
    const as = new AsHarness();
    as.invite({ sdp: E1 });
    as.timers.advance(2600);
    const late = await as.instruct(ORIGINATING);
    assert.ok(!late.ok && late.problem.status === 409);
    assert.equal(as.mrm.length, 0);
  });

  test('a slow MF: the budget ends it, and its late 201 is deleted', async () => {
    const as = new AsHarness();
    as.invite({ sdp: E1 });
    const result = as.instruct(ORIGINATING);
    assert.ok(as.mrm.at(-1)!.deadlineMs <= as.timers.nowMs() + 2500);
    as.timers.advance(3010);
    assert.deepEqual(media(as.only().message.body), ['m=audio 40000']);
    const refused = await result;
    assert.ok(!refused.ok && refused.problem.status === 409);
    as.mfAnswers();
    assert.deepEqual(as.mrm.at(-1)!.operation, { method: 'DELETE', mf: 'mf1', contextId: 'ctx-1' });
  });

  test('an MF that is down fails the instruction; the lines it named are stripped', async () => {
    const as = new AsHarness();
    as.invite({ sdp: E1 });
    const result = as.instruct(ORIGINATING);
    as.mfAnswers({ ok: false, status: 503, detail: 'no MF' });
    const refused = await result;
    assert.ok(!refused.ok && refused.problem.status === 503);
    as.notified();
    assert.deepEqual(media(as.only().message.body), ['m=audio 40000']);
  });

  test('a DCSF decision that throws costs the data channels, not the call', () => {
    const as = new AsHarness();
    as.invite({ sdp: E1 });
    as.notified({ ok: false, status: 500, detail: 'boom' });
    assert.deepEqual(media(as.only().message.body), ['m=audio 40000']);
  });

  // conformance: R9 — refusal by configuration is 403
  test('a DCSF that forbids the request: 403', () => {
    const as = new AsHarness();
    as.invite({ sdp: E1 });
    as.notified({ ok: false, status: 403, detail: 'no subscription' });
    assert.equal(as.only().message.status, 403);
    assert.equal(as.dispatcher.size, 0);
  });

  // conformance: R18 — CANCEL while holding: 487 at once
  test('CANCEL while held: 487 at once, nothing is left', async () => {
    const as = new AsHarness();
    const invite = as.invite({ sdp: E1 });
    const result = as.instruct(ORIGINATING);
    as.cancel(invite);
    assert.equal(as.only().message.status, 487);
    assert.equal(as.events().at(-1), 'SESSION_ESTABLISHMENT_FAILURE');
    const refused = await result;
    assert.ok(!refused.ok && refused.problem.status === 409);
    assert.equal(as.dispatcher.size, 1, 'the POST under way must be waited for');
    as.mfAnswers();
    assert.equal(as.mrm.at(-1)!.operation.method, 'DELETE');
    assert.equal(as.dispatcher.size, 0);
  });

  test('nothing said by the 204: bootstrap lines are stripped, application lines pass', () => {
    const as = new AsHarness();
    as.invite({ sdp: E1 + APPLICATION });
    as.notified();
    const { body } = as.only().message;
    assert.deepEqual(media(body), ['m=audio 40000', 'm=application 40020']);
    assert.ok(body.endsWith(APPLICATION));
  });

  test('instructions are all or nothing, and a repeated one is executed once', async () => {
    const as = new AsHarness();
    as.invite({ sdp: E1 });
    const bad = await as.instruct({ ...terminate('m1', 0), ...terminate('m9', 100) });
    assert.ok(!bad.ok && bad.problem.status === 404);
    assert.equal(as.mrm.length, 0);
    const first = as.instruct(ORIGINATING, 'same');
    const second = as.instruct(ORIGINATING, 'same');
    assert.equal(first, second);
    assert.equal(as.mrm.length, 1);
  });

  test('bad instructions get a precise 400', async () => {
    const as = new AsHarness();
    as.invite({ sdp: E1 });
    for (const [set, reason] of [
      [{ m1: { ...terminate('m1', 0).m1!, mediaId: 'm2' } }, /differs from its key/],
      [{ m1: { ...terminate('m1', 0).m1!, mediaInstruction: 'EXPLODE_MEDIA' } }, /unknown value EXPLODE_MEDIA/],
      [terminate('m1', 100), /keeps none of the offered streams/],
      [originate('m7', 100, 'remote'), /ours to give/],
      [
        { m0: { mediaId: 'm0', mediaResourceType: 'AUDIO', mediaInstruction: 'TERMINATE_MEDIA' } },
        /cannot be instructed/,
      ],
    ] as const) {
      const result = await as.instruct(set);
      assert.ok(!result.ok && result.problem.status === 400);
      assert.match(result.problem.detail ?? '', reason);
    }
    assert.equal(as.mrm.length, 0);
  });
});

/** An established audio call. */
function established(as: AsHarness) {
  as.invite({ sdp: AUDIO_ONLY });
  const onward = as.only().message;
  as.respond(onward, 200, { sdp: ANSWER_SESSION + ANSWER_AUDIO });
  const ok = as.only().message;
  as.inDialog('ACK', 'caller', ok, 7);
  as.take();
  return { onward, ok };
}

const again = (sdp: string): string => sdp.replace('3001 1 ', '3001 2 ');

describe('the barrier in mid-call', () => {
  // conformance: 24.186 9.3.2.2.2 — reject all data channels and nothing else changed: 488
  test('all data channels refused and nothing else changed: 488', async () => {
    const as = new AsHarness();
    const { ok } = established(as);
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: again(SESSION + AUDIO + APPLICATION) });
    assert.deepEqual(as.take(), []);
    assert.equal(as.lastNotification.notification.notificationEvent.eventType, 'MEDIA_CHANGE_REQUEST');
    const binding = as.lastNotification.notification.mediaInfoList?.m1?.dcMediaSpecification?.appBindingInfos?.[0];
    assert.equal(binding?.applicationId, '10000005');
    await as.instruct(reject('m1'));
    as.notified();
    assert.equal(as.only().message.status, 488);
  });

  test('refused together with a change of audio: the audio goes on', async () => {
    const as = new AsHarness();
    const { ok } = established(as);
    as.inDialog('INVITE', 'caller', ok, 8, {
      sdp: again(SESSION + AUDIO.replace('b=AS:41', 'a=sendonly') + APPLICATION),
    });
    await as.instruct(reject('m1'));
    as.notified();
    assert.deepEqual(media(as.only().message.body), ['m=audio 40000']);
  });

  test('hold asks nobody', () => {
    const as = new AsHarness();
    const { ok } = established(as);
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: again(SESSION + AUDIO.replace('b=AS:41', 'a=sendonly')) });
    assert.equal(as.only().message.method, 'INVITE');
    assert.equal(as.notifications.length, 0);
  });

  test('CANCEL of a held re-INVITE: 487, the session stays', () => {
    const as = new AsHarness();
    const { ok } = established(as);
    const reinvite = as.inDialog('INVITE', 'caller', ok, 8, { sdp: again(SESSION + AUDIO + APPLICATION) });
    as.cancel(reinvite);
    assert.equal(as.only().message.status, 487);
    assert.equal(as.events().at(-1), 'MEDIA_CHANGE_FAILURE');
    assert.equal(as.dispatcher.size, 1);
  });

  test('a second offer while one is held: 500 with Retry-After from the same side, 491 from the other', () => {
    const as = new AsHarness();
    const { ok, onward } = established(as);
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: again(SESSION + AUDIO + APPLICATION) });
    as.inDialog('UPDATE', 'caller', ok, 9, { sdp: again(AUDIO_ONLY) });
    const busy = as.only().message;
    assert.equal(busy.status, 500);
    assert.ok(busy.first('retry-after') !== undefined);
    as.inDialog('INVITE', 'callee', onward, 1, { sdp: ANSWER_SESSION + ANSWER_AUDIO });
    assert.equal(as.only().message.status, 491);
  });

  test('BYE while held ends the call at once', () => {
    const as = new AsHarness();
    const { ok, onward } = established(as);
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: again(SESSION + AUDIO + APPLICATION) });
    as.inDialog('BYE', 'callee', onward, 1);
    const [refused, bye] = as.take();
    assert.equal(refused?.message.status, 487);
    assert.equal(bye?.message.method, 'BYE');
  });

  test('a live line survives a barrier that expires', async () => {
    const as = new AsHarness();
    const { ok } = established(as);
    const withApplication = again(SESSION + AUDIO + APPLICATION);
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: withApplication });
    await as.instruct(pass('m1'));
    as.notified();
    as.respond(as.only().message, 200, {
      sdp:
        ANSWER_SESSION +
        ANSWER_AUDIO +
        section(40321, 'passive', 'c71b980eab6c87c19368', ['1000 label="local_10000005_1_draw"']),
    });
    as.inDialog('ACK', 'caller', as.only().message, 8);
    as.take();
    const second = APPLICATION.replace('40020', '40030').replaceAll('1000', '2000').replace('505a', '606a');
    as.inDialog('INVITE', 'caller', ok, 9, { sdp: withApplication.replace('3001 2 ', '3001 3 ') + second });
    as.timers.advance(3010);
    assert.equal(as.only().message.status, 488);
    const call = [...as.dispatcher.calls()][0]!;
    assert.deepEqual(
      call.media?.lines.map((line) => `${line.id} ${line.treatment} ${line.state}`),
      ['m0 pass open', 'm1 pass open'],
    );
  });
});
