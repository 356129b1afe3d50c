import type { ProblemDetails } from '../services/common-data.ts';
import type { InstructionResult } from './call/types.ts';

/** Idempotency keys remembered per session. */
const MAX_INSTRUCTIONS = 64;

/** Instructions that wait for their call, and the answers to those that may come again (29.500 6.10). */
export class InstructionDesk {
  readonly #waiting = new Map<string, { readonly callId: string; resolve(result: InstructionResult): void }>();
  readonly #answers = new Map<string, Map<string, Promise<InstructionResult>>>();
  #serial = 0;

  /** `deliver` hands the instruction to its call under the id that it gets; a repeated key is not delivered again. */
  take(callId: string, idempotencyKey: string, deliver: (id: string) => void): Promise<InstructionResult> {
    let answers = this.#answers.get(callId);
    const known = answers?.get(idempotencyKey);
    if (known !== undefined) return known;
    const id = `i${this.#serial++}`;
    const result = new Promise<InstructionResult>((resolve) => this.#waiting.set(id, { callId, resolve }));
    if (answers === undefined) this.#answers.set(callId, (answers = new Map()));
    if (answers.size < MAX_INSTRUCTIONS) answers.set(idempotencyKey, result);
    deliver(id);
    return result;
  }

  answer(id: string, result: InstructionResult): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.resolve(result);
  }

  forget(callId: string): void {
    this.#answers.delete(callId);
  }

  /** The call threw: nobody else answers what waits in it. */
  abandon(callId: string): void {
    for (const [id, waiting] of this.#waiting)
      if (waiting.callId === callId) this.answer(id, { ok: false, problem: noSuchSession() });
  }

  close(): void {
    for (const { resolve } of this.#waiting.values()) resolve({ ok: false, problem: noSuchSession() });
    this.#waiting.clear();
  }
}

export function noSuchSession(): ProblemDetails {
  return { status: 404, cause: 'RESOURCE_URI_STRUCTURE_NOT_FOUND', detail: 'no such session' };
}
