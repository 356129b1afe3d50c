import type { Owned } from '../base/owned.ts';
import { connectionText, setField, withSessionLines } from './edit.ts';
import { rememberWritten } from './parse.ts';
import type { SessionDescription } from './types.ts';
import { writeSessionDescription } from './write.ts';

/** The o= line we put on one leg (R7): everything but `version` is fixed for the leg's life. */
export interface Origin {
  readonly username: string;
  /** Digits. */
  readonly sessionId: string;
  readonly version: number;
  readonly address: string;
}

/** What was last sent to a leg: the text, owned, and the o= it carried. */
export interface SentDescription {
  readonly text: string;
  readonly origin: Origin;
  /** Versions that may have been used up by what nobody remembers (a restart): the next change passes over them. */
  readonly skip?: number;
}

/**
 * `sdp` as the leg shall see it: with the leg's own o=, its version raised by exactly one when any other byte differs
 * from what was sent there last (R7, RFC 3264 8; by more once after a restart). `last` is an Origin before anything was sent.
 */
export function stampOrigin(sdp: SessionDescription, last: Origin | SentDescription): SentDescription {
  if (!('text' in last)) return { text: writeWithOrigin(sdp, last), origin: last };
  const same = writeWithOrigin(sdp, last.origin);
  if (same === last.text) return last;
  const origin = { ...last.origin, version: last.origin.version + 1 + (last.skip ?? 0) };
  return { text: writeWithOrigin(sdp, origin), origin };
}

function writeWithOrigin(sdp: SessionDescription, origin: Origin): Owned {
  const text = `${origin.username} ${origin.sessionId} ${origin.version} ${connectionText(origin.address)}`;
  const stamped = withSessionLines(sdp, setField(sdp.session, 'o', text));
  const written = writeSessionDescription(stamped);
  rememberWritten(written, stamped);
  return written;
}
