import { decodeBody, type FrameBody, type RawFrame, workerErrorName } from '../worker/codec.ts';
import type { Entries, Entry } from './entries.ts';
import type { EngineOptions } from './options.ts';
import type { EngineEvents } from './types.ts';
import type { WorkerProcess } from './worker-process.ts';

/** What workers say of their own accord: each frame goes to the live owner of its handle, or is late. */
export class Inbox {
  /** Frames for handles that were released or lost. */
  lateFrames = 0;
  readonly #entries: Entries;
  readonly #options: EngineOptions;
  readonly #emit: <K extends keyof EngineEvents>(event: K, value: EngineEvents[K]) => void;

  constructor(
    entries: Entries,
    options: EngineOptions,
    emit: <K extends keyof EngineEvents>(event: K, value: EngineEvents[K]) => void,
  ) {
    this.#entries = entries;
    this.#options = options;
    this.#emit = emit;
  }

  take(worker: WorkerProcess, frame: RawFrame): void {
    const owner = this.#entries.owner(worker, frame);
    const entry = owner?.releasing ? undefined : owner;
    switch (frame.name) {
      case 'KEY_LOG':
        this.#options.onKeyLog?.(decodeBody('KEY_LOG', frame.body).line);
        return;
      case 'OVERLOAD':
        this.#overload(worker, decodeBody('OVERLOAD', frame.body));
        return;
      case 'STATE':
        if (entry) this.#state(entry, decodeBody('STATE', frame.body));
        break;
      case 'STREAM':
        if (entry) this.#stream(entry, decodeBody('STREAM', frame.body));
        break;
      case 'PAYLOAD_FROM_PEER': {
        const { streamId, kind, data } = decodeBody('PAYLOAD_FROM_PEER', frame.body);
        entry?.ports.get(streamId)?.received(data, kind);
        break;
      }
      case 'CREDIT_FROM_WORKER': {
        const { streamId, bytes } = decodeBody('CREDIT_FROM_WORKER', frame.body);
        entry?.ports.get(streamId)?.granted(bytes);
        break;
      }
      case 'TRACE_DATA':
        entry?.trace?.datagram(decodeBody('TRACE_DATA', frame.body));
    }
    if (!entry) this.lateFrames++;
  }

  #state(entry: Entry, { state, code, detail }: FrameBody<'STATE'>): void {
    entry.state = state;
    const reason = code === 0 ? undefined : workerErrorName(code);
    if (reason) this.#options.log.info({ key: entry.key, state, reason, detail }, 'association');
    this.#emit('state', { key: entry.key, state, ...(reason ? { reason } : {}) });
  }

  #stream(entry: Entry, { streamId, state, code }: FrameBody<'STREAM'>): void {
    const reason = code === 0 ? undefined : workerErrorName(code);
    if (reason === 'SLOW_READER' || reason === 'MESSAGE_TOO_LARGE' || reason === 'UNSUPPORTED_MESSAGE') {
      this.#options.log.warn({ key: entry.key, streamId, reason }, 'stream reset');
    }
    this.#emit('stream', { key: entry.key, streamId, state, ...(reason ? { reason } : {}) });
  }

  #overload(worker: WorkerProcess, { overloaded, memoryBytes, associations }: FrameBody<'OVERLOAD'>): void {
    worker.overloaded = overloaded;
    this.#options.log.warn({ worker: worker.index, overloaded, memoryBytes, associations }, 'media worker budget');
  }
}
