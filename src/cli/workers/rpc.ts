import { ERRORS, type ErrorCode, ImsdcError } from '../../errors.ts';
import { SbiProblem } from '../../sbi/problem.ts';
import type { ProblemDetails } from '../../sbi/problem-details.ts';

/** Requests to one process that wait for their answer. */
const MAX_PENDING = 2000;

type CarriedError =
  | { readonly kind: 'coded'; readonly code: string; readonly details: Readonly<Record<string, unknown>> }
  | { readonly kind: 'problem'; readonly details: ProblemDetails; readonly headers: Readonly<Record<string, string>> }
  | { readonly kind: 'other'; readonly message: string };

type RpcMessage =
  | { readonly rpc: 'request'; readonly id: number; readonly method: string; readonly params: unknown }
  | { readonly rpc: 'result'; readonly id: number; readonly value: unknown }
  | { readonly rpc: 'error'; readonly id: number; readonly error: CarriedError }
  | { readonly rpc: 'notice'; readonly method: string; readonly params: unknown };

export type RpcHandlers = Readonly<Record<string, (params: never) => unknown>>;

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
  readonly timer: NodeJS.Timeout;
}

/** Calls between a process and its worker over IPC: plain data, errors with their codes, nothing waits for ever. */
export class Rpc {
  readonly #name: string;
  readonly #post: (message: RpcMessage) => void;
  readonly #handlers: RpcHandlers;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #lost = false;

  constructor(name: string, post: (message: object) => void, handlers: RpcHandlers) {
    this.#name = name;
    this.#post = post;
    this.#handlers = handlers;
  }

  /** Rejects with what the other side threw, or DCSF_WORKER_LOST. */
  call(method: string, params: unknown, timeoutMs: number): Promise<unknown> {
    if (this.#lost) return Promise.reject(this.#unable('it is being started again'));
    if (this.#pending.size >= MAX_PENDING) return Promise.reject(this.#unable('too many requests wait'));
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const timer = setTimeout(() => {
      this.#pending.delete(id);
      reject(this.#unable(`no answer in ${timeoutMs} ms`));
    }, timeoutMs);
    this.#pending.set(id, { resolve, reject, timer });
    this.#post({ rpc: 'request', id, method, params });
    return promise;
  }

  /** Without an answer. */
  notice(method: string, params: unknown): void {
    if (!this.#lost) this.#post({ rpc: 'notice', method, params });
  }

  /** A message from the other side; others than ours are left alone. */
  received(message: unknown): void {
    if (typeof message !== 'object' || message === null || !('rpc' in message)) return;
    const carried = message as RpcMessage;
    switch (carried.rpc) {
      case 'request':
        void this.#serve(carried.id, carried.method, carried.params);
        return;
      case 'notice':
        this.#handlers[carried.method]?.(carried.params as never);
        return;
      case 'result':
        this.#settle(carried.id)?.resolve(carried.value);
        return;
      case 'error':
        this.#settle(carried.id)?.reject(restored(carried.error));
        return;
      default:
        carried satisfies never;
    }
  }

  /** The other side is gone: everything that waits fails. */
  lost(): void {
    this.#lost = true;
    for (const id of [...this.#pending.keys()]) this.#settle(id)?.reject(this.#unable('it has gone'));
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    clearTimeout(pending?.timer);
    return pending;
  }

  async #serve(id: number, method: string, params: unknown): Promise<void> {
    try {
      const handler = this.#handlers[method];
      if (handler === undefined) throw new Error(`no method ${method}`);
      const value = await handler(params as never);
      if (!this.#lost) this.#post({ rpc: 'result', id, value });
    } catch (error) {
      if (!this.#lost) this.#post({ rpc: 'error', id, error: carriedOf(error) });
    }
  }

  #unable(problem: string): ImsdcError {
    return new ImsdcError('DCSF_WORKER_LOST', { worker: this.#name, problem });
  }
}

function carriedOf(error: unknown): CarriedError {
  if (error instanceof SbiProblem) return { kind: 'problem', details: error.details, headers: error.headers };
  if (error instanceof ImsdcError) {
    const { code, details } = error;
    return { kind: 'coded', code, details: JSON.parse(JSON.stringify(details)) as Record<string, unknown> };
  }
  return { kind: 'other', message: error instanceof Error ? error.message : String(error) };
}

function restored(error: CarriedError): Error {
  switch (error.kind) {
    case 'problem':
      return new SbiProblem(error.details, error.headers);
    case 'coded':
      return Object.hasOwn(ERRORS, error.code)
        ? new ImsdcError(error.code as ErrorCode, error.details)
        : new Error(error.code);
    case 'other':
      return new Error(error.message);
  }
}
