import type { MessageKind } from '../../../ndc/channel.ts';
import type { WorkerErrorName } from '../protocol.ts';
import type { MessageSink, Offer, Pipe } from './pipe.ts';

/** What a relayed message needs of the association it goes to. */
export interface RelayTarget {
  offer(streamId: number, data: Buffer, kind: MessageKind, from: Pipe): Offer;
  closeStream(streamId: number, code: WorkerErrorName): void;
}

/** A stream of one association as the sink of a pipe of another. */
export class StreamSink implements MessageSink {
  readonly #target: RelayTarget;
  readonly #streamId: number;
  readonly #from: Pipe;

  constructor(target: RelayTarget, streamId: number, from: Pipe) {
    this.#target = target;
    this.#streamId = streamId;
    this.#from = from;
  }

  offer(data: Buffer, kind: MessageKind): Offer {
    return this.#target.offer(this.#streamId, data, kind, this.#from);
  }

  end(code: WorkerErrorName): void {
    this.#target.closeStream(this.#streamId, code);
  }
}
