import assert from 'node:assert/strict';
import { decideAll, POLICY } from '../../dcsf/decide/fixtures.ts';
import type { AsHarness } from '../as-harness.ts';
import { ANSWER_AUDIO, ANSWER_SESSION } from '../sdp-examples.ts';

/** The AS with the decisions of our DCSF, for what one line of an offer or an answer does to a call. */

export const VOICE = ANSWER_SESSION + ANSWER_AUDIO;
/** What our DCSF decides by itself: application 10000005 may pass, nothing else is known. */
const policy = { bootstrap: { ...POLICY.bootstrap, offerOwnLine: false } };

/** Lets the DCSF decide about the last notification and the MF do what it asks. */
export async function decided(as: AsHarness): Promise<void> {
  const { instructions } = decideAll(as.lastNotification.notification, { policy });
  const asked = as.mrm.length;
  const result = as.instruct(instructions);
  if (as.mrm.length > asked) as.mfAnswers();
  assert.ok((await result).ok);
  as.notified();
}

/** `line` with the attribute `name` written as `text`, or left out. */
export function changed(line: string, name: string, text?: string): string {
  const found = new RegExp(`^a=${name}[: ].*\r\n`, 'm');
  assert.match(line, found);
  return line.replace(found, text === undefined ? '' : `${text}\r\n`);
}

/** A call that is up, its lines decided by our DCSF; the callee has no data channels. */
export async function established(as: AsHarness, sdp: string) {
  as.invite({ sdp });
  await decided(as);
  as.respond(as.only().message, 200, { sdp: VOICE });
  const ok = as.only().message;
  as.inDialog('ACK', 'caller', ok, 7);
  as.take();
  as.mfAnswers();
  return { ok };
}
