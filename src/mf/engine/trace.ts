import { ImsdcError } from '../../errors.ts';
import type { FrameBody } from '../worker/codec.ts';
import type { Entries } from './entries.ts';
import type { FlowEndpoints, LocalEndpoint, TraceReader } from './types.ts';

/** Who reads the datagrams of one key. */
export interface EntryTrace {
  datagram(frame: FrameBody<'TRACE_DATA'>): void;
  /** The key is gone. */
  end(): void;
}

/** Copies the datagrams of `key` to `reader` until the returned function is called; a new reader replaces the former. */
export async function traceKey(entries: Entries, key: string, reader: TraceReader): Promise<() => Promise<void>> {
  const entry = entries.find(key);
  if (!entry) throw new ImsdcError('MEDIA_UNKNOWN_KEY', { key });
  const bound = await (entry.local as Promise<LocalEndpoint | FlowEndpoints>);
  // The worker tells the far end only; a flow's datagrams are drawn as if its first port had them all.
  const { address, port } = 'a' in bound ? bound.a : bound;
  const trace: EntryTrace = {
    datagram: ({ remoteAddress, remotePort, ...datagram }) =>
      reader.onDatagram({
        ...datagram,
        local: { address, port },
        remote: { address: remoteAddress, port: remotePort },
      }),
    end: () => reader.onEnd(),
  };
  await entry.worker.request('TRACE', entry, { on: true });
  entry.trace?.end();
  entry.trace = trace;
  return async () => {
    if (entry.trace !== trace || entries.find(key) !== entry) return;
    entry.trace = null;
    await entry.worker.request('TRACE', entry, { on: false });
  };
}
