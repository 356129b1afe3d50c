import { type Owned, ownJoined } from '../base/owned.ts';
import type { SessionDescription } from './types.ts';

/** The text of a session description; of a parsed and unchanged one byte for byte what was read. */
export function writeSessionDescription({ session, media, eol, end = eol }: SessionDescription): Owned {
  const lines = [...session];
  for (const section of media) lines.push(...section.lines);
  const last = lines.pop() ?? '';
  return ownJoined([...lines, last + end], eol);
}
