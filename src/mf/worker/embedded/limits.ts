import type { FrameBody } from '../codec.ts';
import type { WorkerErrorName } from '../protocol.ts';

/** What HELLO said; fixed for the life of the worker. */
export type Hello = FrameBody<'HELLO'>;

/** A request that is answered by ERROR. Nothing was changed. */
export class Refusal extends Error {
  readonly code: WorkerErrorName;

  constructor(code: WorkerErrorName, detail = '') {
    super(detail);
    this.code = code;
  }
}
