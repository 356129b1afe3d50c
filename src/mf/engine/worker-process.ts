import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { TypedEmitter } from '../../base/emitter.ts';
import { ImsdcError } from '../../errors.ts';
import {
  decodeBody,
  decodeReply,
  type FrameBody,
  type FrameHeader,
  type FrameName,
  NO_HANDLE,
  type RawFrame,
  type ReplyBody,
  type RequestName,
  workerErrorName,
} from '../worker/codec.ts';
import { FrameSocket } from '../worker/frame-socket.ts';
import { CONTROL_DESCRIPTOR, PAYLOAD_DESCRIPTOR, PROTOCOL_VERSION } from '../worker/protocol.ts';
import type { EngineLimits, EngineOptions } from './options.ts';

/** Requests without an answer; more are refused, so that a slow worker cannot fill the MF. */
const MAX_PENDING_REQUESTS = 20_000;
/** After the sockets are closed a worker has this long to leave by itself. */
const EXIT_GRACE_MS = 2_000;

interface Pending {
  readonly operation: FrameName;
  settle(answer: RawFrame): void;
  reject(error: Error): void;
}

export interface HandleRef {
  readonly handle: number;
  readonly generation: number;
}

export interface WorkerEvents {
  /** STATE, STREAM, OVERLOAD, KEY_LOG and everything of the payload socket. */
  frame: RawFrame;
  /** The process is gone, or as good as gone. Once; every promise has been rejected by then. */
  ended: { readonly reason: 'workerExit' | 'workerHung'; readonly problem: string };
}

/** One worker process: its sockets, its requests, its handles, its health. */
export class WorkerProcess extends TypedEmitter<WorkerEvents> {
  readonly index: number;
  readonly pid: number;
  overloaded = false;
  loopLagMs = 0;
  readonly #child: ChildProcess;
  readonly #limits: EngineLimits;
  readonly #control: FrameSocket;
  readonly #payload: FrameSocket;
  readonly #pending = new Map<number, Pending>();
  readonly #free: HandleRef[] = [];
  readonly #exited: Promise<void>;
  #handles = 0;
  #inUse = 0;
  #requests = 0;
  #lastPongMs = performance.now();
  #lastWatchMs = performance.now();
  #ping: NodeJS.Timeout | null = null;
  #ended = false;
  #welcome: FrameBody<'WELCOME'> | null = null;

  private constructor(child: ChildProcess, index: number, limits: EngineLimits) {
    super();
    this.#child = child;
    this.index = index;
    this.pid = child.pid ?? 0;
    this.#limits = limits;
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#end('workerExit', signal ?? `exit code ${code}`);
        resolve();
      });
      child.once('error', (error) => {
        this.#end('workerExit', error.message);
        resolve();
      });
    });
    const adopt = (descriptor: number, kind: 'control' | 'payload', frame: (frame: RawFrame) => void) =>
      new FrameSocket(child.stdio[descriptor] as Socket, kind, {
        frame,
        ended: (problem) => {
          if (!this.#ended) this.kill(`${kind} socket ${problem}`);
        },
      });
    this.#control = adopt(CONTROL_DESCRIPTOR, 'control', (frame) => this.#onControl(frame));
    this.#payload = adopt(PAYLOAD_DESCRIPTOR, 'payload', (frame) => this.emit('frame', frame));
  }

  /** Spawns the program and says HELLO; resolves with WELCOME. @throws WORKER_LOST, WORKER_REFUSED */
  static async start(options: EngineOptions, index: number, limits: EngineLimits): Promise<WorkerProcess> {
    const { command } = options;
    const child = spawn(command.file, command.args, { stdio: ['ignore', 'ignore', 'inherit', 'pipe', 'pipe'] });
    const worker = new WorkerProcess(child, index, limits);
    const timer = setTimeout(() => worker.kill('no WELCOME'), limits.startTimeoutMs);
    try {
      const answer = await worker.#ask('HELLO', NO_HANDLE, {
        version: PROTOCOL_VERSION,
        workerIndex: index,
        certificatePem: options.certificatePem,
        keyPem: options.keyPem,
        memoryBudgetBytes: limits.memoryBudgetBytes,
        maxAssociations: limits.maxAssociations,
        maxMessageSizeBytes: limits.maxMessageSizeBytes,
        bufferedBytesPerStream: limits.bufferedBytesPerStream,
        slowReaderLimitMs: limits.slowReaderLimitMs,
        heartbeatIntervalMs: limits.heartbeatIntervalMs,
        dtlsRetransmissionMs: limits.dtlsRetransmissionMs.map((afterMs) => ({ afterMs })),
        dtlsRepeatMs: limits.dtlsRepeatMs,
        associationTimeoutMs: limits.associationTimeoutMs,
        mtuBytes: limits.mtuBytes,
        datagramPath: limits.datagramPath,
        keyLog: options.onKeyLog !== undefined,
      });
      worker.#welcome = decodeBody('WELCOME', answer.body);
    } catch (error) {
      worker.kill('not started');
      throw error;
    } finally {
      clearTimeout(timer);
    }
    worker.#lastPongMs = performance.now();
    worker.#ping = setInterval(() => worker.#watch(), limits.pingIntervalMs);
    return worker;
  }

  get welcome(): FrameBody<'WELCOME'> {
    return this.#welcome!;
  }

  /** Handles in use. */
  get load(): number {
    return this.#inUse;
  }

  allocate(): HandleRef {
    this.#inUse++;
    return this.#free.pop() ?? { handle: ++this.#handles, generation: 1 };
  }

  /** The worker has answered RELEASE: the number may come back with the next generation. */
  free({ handle, generation }: HandleRef): void {
    this.#inUse--;
    this.#free.push({ handle, generation: generation + 1 });
  }

  /** @throws WORKER_LOST, WORKER_REFUSED (details.reason is a code of WORKER_ERRORS) */
  async request<N extends RequestName>(operation: N, ref: HandleRef, body: FrameBody<N>): Promise<ReplyBody<N>> {
    return decodeReply(operation, (await this.#ask(operation, ref, body)).body);
  }

  async stats(handles: readonly HandleRef[]): Promise<FrameBody<'STATS_DATA'>> {
    const references = handles.map(({ handle, generation }) => ({ handle, generation }));
    return decodeBody('STATS_DATA', (await this.#ask('STATS', NO_HANDLE, { handles: references })).body);
  }

  payload(ref: HandleRef, body: FrameBody<'PAYLOAD'>): void {
    this.#payload.send('PAYLOAD', header(ref), body);
  }

  credit(ref: HandleRef, streamId: number, bytes: number): void {
    this.#payload.send('CREDIT', header(ref), { streamId, bytes: Math.min(bytes, 0xffff_ffff) });
  }

  /** Ends the process the hard way. */
  kill(problem: string, reason: 'workerExit' | 'workerHung' = 'workerExit'): void {
    this.#child.kill('SIGKILL');
    this.#end(reason, problem);
  }

  /** Closes the sockets and waits for the process to leave, not for ever. */
  async close(): Promise<void> {
    this.#end('workerExit', 'closed');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), EXIT_GRACE_MS);
    await this.#exited;
    clearTimeout(timer);
  }

  #ask<N extends FrameName>(operation: N, ref: HandleRef, body: FrameBody<N>): Promise<RawFrame> {
    if (this.#ended) return Promise.reject(new ImsdcError('WORKER_LOST', { worker: this.index, problem: 'ended' }));
    if (this.#pending.size >= MAX_PENDING_REQUESTS) {
      const problem = `${this.#pending.size} requests without answer`;
      return Promise.reject(new ImsdcError('WORKER_UNAVAILABLE', { problem }));
    }
    this.#requests = (this.#requests % 0xffff_ffff) + 1;
    const requestId = this.#requests;
    return new Promise((settle, reject) => {
      this.#pending.set(requestId, { operation, settle, reject });
      this.#control.send(operation, { requestId, handle: ref.handle, generation: ref.generation }, body);
    });
  }

  #onControl(frame: RawFrame): void {
    const pending = this.#pending.get(frame.requestId);
    if (frame.requestId === 0 || !pending) {
      this.emit('frame', frame);
      return;
    }
    this.#pending.delete(frame.requestId);
    if (frame.name !== 'ERROR') {
      pending.settle(frame);
      return;
    }
    const { code, detail } = decodeBody('ERROR', frame.body);
    const { operation } = pending;
    pending.reject(new ImsdcError('WORKER_REFUSED', { operation, reason: workerErrorName(code), detail }));
  }

  #watch(): void {
    const now = performance.now();
    const silentMs = now - this.#lastPongMs;
    // When this process itself did not run, its timers come before the PONG that waits in the socket.
    const stalled = now - this.#lastWatchMs > 2 * this.#limits.pingIntervalMs;
    this.#lastWatchMs = now;
    if (silentMs > this.#limits.hungAfterMs && !stalled) {
      this.kill(`no PONG for ${Math.round(silentMs)} ms`, 'workerHung');
      return;
    }
    this.#ask('PING', NO_HANDLE, {}).then(
      (answer) => {
        this.#lastPongMs = performance.now();
        this.loopLagMs = decodeBody('PONG', answer.body).loopLagUs / 1000;
      },
      () => undefined, // The end of the worker is reported once, by `ended`.
    );
  }

  #end(reason: 'workerExit' | 'workerHung', problem: string): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#ping) clearInterval(this.#ping);
    this.#control.end(problem);
    this.#payload.end(problem);
    const error = new ImsdcError('WORKER_LOST', { worker: this.index, problem });
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
    this.emit('ended', { reason, problem });
  }
}

function header({ handle, generation }: HandleRef): FrameHeader {
  return { requestId: 0, handle, generation };
}
