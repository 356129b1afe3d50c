import type { SessionDescription } from './types.ts';

/** The text of a session description; of a parsed and unchanged one byte for byte what was read. */
export function writeSessionDescription(sdp: SessionDescription): string {
  const { eol } = sdp;
  let text = sdp.session.join(eol);
  for (const section of sdp.media) text += eol + section.lines.join(eol);
  return text + (sdp.end ?? eol);
}
