import { Readable } from 'node:stream';
import type { MediaEngine } from './engine/types.ts';
import { pcapHeader, pcapPacket } from './pcap.ts';

/** What a reader of the capture may be behind by; then packets are left out of it. */
const MAX_BACKLOG_BYTES = 8 << 20;

/**
 * The datagrams of one association or flow as a pcap file that grows until the reader goes away or the key is gone.
 * Rejects with MEDIA_UNKNOWN_KEY, or WORKER_REFUSED where the engine cannot trace.
 */
export async function traceStream(engine: MediaEngine, key: string): Promise<Readable> {
  let stop: () => Promise<void> = async () => undefined;
  const stream = new Readable({
    read: () => undefined,
    destroy: (error, done) => {
      stop().then(
        () => done(error),
        (problem: Error) => done(error ?? problem),
      );
    },
  });
  stream.push(pcapHeader());
  stop = await engine.trace(key, {
    onDatagram: (datagram) => {
      if (!stream.destroyed && stream.readableLength < MAX_BACKLOG_BYTES) stream.push(pcapPacket(datagram));
    },
    onEnd: () => stream.push(null),
  });
  return stream;
}
