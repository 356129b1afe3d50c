import type { DcAsChannel } from '../library/index.ts';

/** Strokes kept for whoever joins later; then the oldest go. */
const MAX_STROKES = 1_000;
const MAX_STROKE_BYTES = 4_096;

/**
 * The shared whiteboard (P2A2P): what one user draws goes to the other, and a channel that opens late first gets what
 * is on the board. A message is a stroke, text or binary, and is not looked into. Whoever draws faster than the other
 * side can take is slowed down.
 */
export async function whiteboard(channel: DcAsChannel): Promise<void> {
  const { session } = channel;
  session.state ??= [];
  const strokes = session.state as (string | Uint8Array)[];
  for (const stroke of [...strokes]) await channel.send(stroke);
  for await (const stroke of channel) {
    if (stroke.length <= MAX_STROKE_BYTES) {
      strokes.push(stroke);
      if (strokes.length > MAX_STROKES) strokes.shift();
    }
    await Promise.all(session.others(channel).map((other) => other.send(stroke)));
  }
}
