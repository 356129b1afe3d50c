import { createHash } from 'node:crypto';
import { ImsdcError } from '../../errors.ts';
import type { UeChannel } from './channel.ts';

/** What goes before the content, as one text message (JSON). */
export interface FileAnnouncement {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** RFC 8831 6.6: without interleaving, larger messages would block the other streams of the association. */
const CHUNK_BYTES = 16_384;
const MAX_FILE_BYTES = 256 * 1024 * 1024;

/**
 * Sends a file: the announcement, then its content in binary messages. Resolves once the peer has said that its hash
 * is right; throws UE_FILE when it says something else.
 */
export async function sendFile(channel: UeChannel, name: string, content: Uint8Array): Promise<FileAnnouncement> {
  const sha256 = createHash('sha256').update(content).digest('hex');
  const announcement = { name, bytes: content.length, sha256 };
  await channel.send(JSON.stringify(announcement), 'text');
  const chunk = Math.min(CHUNK_BYTES, channel.maxMessageSizeBytes);
  for (let at = 0; at < content.length; at += chunk) await channel.send(content.subarray(at, at + chunk), 'binary');
  const receipt = (await channel.receive()).data.toString();
  if (receipt !== receiptFor(sha256))
    throw new ImsdcError('UE_FILE', { problem: `the peer says '${receipt.slice(0, 80)}'` });
  return announcement;
}

/** Takes a file that `sendFile` sends, and says so to the peer. Throws UE_FILE when it is not what was announced. */
export async function receiveFile(channel: UeChannel): Promise<FileAnnouncement & { readonly content: Buffer }> {
  const announcement = readAnnouncement((await channel.receive()).data.toString());
  const parts: Buffer[] = [];
  for (let bytes = 0; bytes < announcement.bytes; ) {
    const { data } = await channel.receive();
    parts.push(data);
    bytes += data.length;
    if (bytes > announcement.bytes)
      throw new ImsdcError('UE_FILE', { problem: `more than ${announcement.bytes} bytes` });
  }
  const content = Buffer.concat(parts);
  const sha256 = createHash('sha256').update(content).digest('hex');
  if (sha256 !== announcement.sha256) throw new ImsdcError('UE_FILE', { problem: `hash ${sha256} differs` });
  await channel.send(receiptFor(sha256), 'text');
  return { ...announcement, content };
}

function receiptFor(sha256: string): string {
  return JSON.stringify({ received: sha256 });
}

function readAnnouncement(text: string): FileAnnouncement {
  try {
    const { name, bytes, sha256 } = JSON.parse(text) as Record<string, unknown>;
    if (typeof name === 'string' && typeof sha256 === 'string' && Number.isInteger(bytes)) {
      if (Number(bytes) > MAX_FILE_BYTES) throw new ImsdcError('UE_FILE', { problem: `${bytes} bytes is too much` });
      return { name, bytes: Number(bytes), sha256 };
    }
  } catch (cause) {
    if (cause instanceof ImsdcError) throw cause;
    throw new ImsdcError('UE_FILE', { problem: 'the announcement is not JSON' }, { cause });
  }
  throw new ImsdcError('UE_FILE', { problem: 'the announcement needs name, bytes and sha256' });
}
