import type { DcAsChannel } from '../library/index.ts';

/** Every message back as it came: to measure with, and to test a UE against. */
export async function echo(channel: DcAsChannel): Promise<void> {
  for await (const message of channel) await channel.send(message);
}
