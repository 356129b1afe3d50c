import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AsHarness, flow, pass, relay } from '../as-harness.ts';
import { APPLICATION, AUDIO, media, SESSION, section, sections } from '../sdp-examples.ts';
import { changed, VOICE } from './decided-call.ts';

/** The must-reject table of ue-side.md 9, row by row, through the AS: answers. */

const STREAMS = ['1000 label="local_10000005_1_draw"', '1002 label="local_10000005_1_pos";ordered=false;max-time=150'];
const ANSWERED = section(42000, 'passive', 'calleetlsidapp000000', STREAMS);

/** An INVITE with an application line, decided as `instructions` say, up to the onward INVITE. */
async function offered(as: AsHarness, instructions: Parameters<AsHarness['instruct']>[0]) {
  as.invite({ sdp: SESSION + AUDIO + APPLICATION });
  const result = as.instruct(instructions);
  if (as.mrm.length > 0) as.mfAnswers();
  assert.ok((await result).ok);
  as.notified();
  return as.only().message;
}

/** A call that is up, with an application line that passes. */
async function passing(as: AsHarness) {
  as.respond(await offered(as, pass('m1')), 200, { sdp: VOICE + ANSWERED });
  const ok = as.only().message;
  as.inDialog('ACK', 'caller', ok, 7);
  as.take();
  return { ok };
}

describe('must-reject rows in answers', () => {
  // conformance: ue-side 9 — a missing setup in an answer is passive: the MF sends the ClientHello
  test('no a=setup in an answer', async () => {
    const as = new AsHarness();
    const onward = await offered(as, relay('m1', 1000, 1002));
    as.respond(onward, 200, { sdp: VOICE + changed(ANSWERED, 'setup') });
    assert.match(sections(as.only().message.body)[1]!, /^m=application 50000 /);
    const told = as.lastPatch().find(({ path }) => path === '/terminations/1/medias/0/dcMedia/imsdc');
    assert.equal((told!.value as { localSetup: string }).localSetup, 'ACTIVE');
  });

  for (const [what, dcmap] of [
    ['was not offered', '1004 label="local_10000005_1_pos"'],
    ['has another time limit', '1002 ordered=false;max-time=151'],
    ['has another kind of limit', '1002 ordered=false;max-retr=150'],
    ['is reliable now', '1002 ordered=false'],
    ['is ordered now', '1002 max-time=150'],
  ]) {
    for (const [how, instruction] of [
      ['e2DCe', relay('m1', 1000, 1002)],
      ['e2e', flow('m1', 1000, 1002)],
    ] as const) {
      // conformance: ue-side 9 — a dcmap in an answer that was not offered, or changed: that channel has failed
      test(`${how}: a dcmap in the answer that ${what}`, async () => {
        const as = new AsHarness();
        const onward = await offered(as, instruction);
        as.respond(onward, 200, { sdp: VOICE + changed(ANSWERED, 'dcmap:1002', `a=dcmap:${dcmap}`) });
        const answer = sections(as.only().message.body)[1]!;
        assert.deepEqual(
          answer.match(/^a=dcmap:\d+/gm)?.map((line) => line.slice(8)),
          ['1000'],
        );
        const streams = as.mrm
          .flatMap(({ operation }) => (operation.method === 'PATCH' ? operation.patch : []))
          .filter(({ path }) => path.endsWith('/streams'));
        if (how === 'e2DCe')
          assert.deepEqual(
            streams.map(({ value }) => Object.keys(value as object)),
            [['1000'], ['1000']],
          );
      });
    }
  }

  for (const what of ['was not offered', 'the DCSF did not let on']) {
    test(`not anchored: a dcmap in the answer that ${what} does not reach the offerer`, async () => {
      const as = new AsHarness();
      const { ok } = await passing(as);
      const third = APPLICATION.replace('a=3gpp-req-app', 'a=dcmap:1004 label="local_10000005_1_x"\r\na=3gpp-req-app');
      const sdp = SESSION.replace('3001 1 ', '3001 2 ') + AUDIO + (what === 'was not offered' ? APPLICATION : third);
      as.inDialog('INVITE', 'caller', ok, 8, { sdp: sdp.replace('b=AS:41', 'a=sendonly') });
      if (what !== 'was not offered') {
        const keep = { '1000': { streamId: 1000 }, '1002': { streamId: 1002 } };
        assert.ok((await as.instruct({ m1: { ...pass('m1').m1!, dcMediaSpecification: { streams: keep } } })).ok);
        as.notified();
      }
      const onward = as.only().message;
      assert.doesNotMatch(onward.body, /dcmap:1004/);
      const colluding = `${ANSWERED}a=dcmap:1004 label="local_10000005_1_x"\r\na=dcmap:x\r\na=3gpp-req-app:whole\r\n`;
      as.respond(onward, 200, { sdp: VOICE + colluding });
      const answer = sections(as.only().message.body)[1]!;
      assert.equal(answer, `${ANSWERED}a=3gpp-req-app:whole\r\n`, 'the rest as it came');
    });
  }

  test('not anchored: an answer with nothing that was offered is a refusal', async () => {
    const as = new AsHarness();
    as.respond(await offered(as, pass('m1')), 200, {
      sdp: VOICE + section(42000, 'passive', 'calleetlsidapp000000', ['1004']),
    });
    assert.deepEqual(media(as.only().message.body), ['m=audio 40200', 'm=application 0']);
  });
});
