import { type ChildProcess, fork } from 'node:child_process';
import type { Logger } from './log.ts';

/** What a supervised process says to its supervisor over IPC, once, when it can serve. */
export interface ReadyMessage {
  readonly ready: true;
  readonly [key: string]: unknown;
}

export interface SupervisedOptions {
  readonly name: string;
  readonly module: string;
  readonly args: readonly string[];
  /** Added to our own environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly log: Logger;
  /** Called at every start that became ready: addresses may have changed. */
  onReady(message: ReadyMessage): void;
  /** The child gets a socket to us as its file descriptor PIPE_FD. */
  readonly pipe?: boolean;
  /** Called at every start, before the child has said anything: for what listens to it. */
  onSpawn?(child: ChildProcess): void;
}

/** See `SupervisedOptions.pipe`: after standard input, output, error and IPC. */
export const PIPE_FD = 4;

/** Restart delays: at once after a first crash, then growing, so that a process that cannot start does not spin. */
const RESTART_DELAYS_MS = [0, 500, 1000, 2000, 5000, 10_000];
/** A process that lived this long has earned a fresh start of the delays. */
const STABLE_MS = 60_000;
/** A process that ignores SIGTERM this long is killed. */
const STOP_GRACE_MS = 5000;

/**
 * Keeps one child process alive. The child learns of our end by its IPC channel closing, so it never outlives us;
 * we learn of its end by `exit` and start it again.
 */
export class SupervisedProcess {
  readonly #options: SupervisedOptions;
  #child: ChildProcess | undefined;
  #stopping = false;
  #crashes = 0;
  #restart: NodeJS.Timeout | undefined;

  constructor(options: SupervisedOptions) {
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when the first start is ready; rejects when it exits before that. */
  start(): Promise<ReadyMessage> {
    return new Promise((resolve, reject) => {
      const child = this.#spawn();
      const onMessage = (message: unknown) => {
        if (!isReady(message)) return;
        child.off('message', onMessage);
        resolve(message);
      };
      child.on('message', onMessage);
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        reject(new Error(`${this.#options.name} ended before it was ready (${signal ?? `status ${code}`})`));
      });
    });
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise<void>((resolve) => {
      const killer = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
      child.once('exit', () => {
        clearTimeout(killer);
        resolve();
      });
      child.kill('SIGTERM');
    });
  }

  #spawn(): ChildProcess {
    const { module, args, env, pipe } = this.#options;
    const startedMs = Date.now();
    const child = fork(module, args, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...(pipe ? ['pipe' as const] : [])],
      env: { ...process.env, ...env },
    });
    child.on('error', (error) => {
      // One that never was emits no 'exit'. Others: a signal or a message that came too late for it.
      if (child.pid === undefined) this.#spawnAgain(startedMs, { problem: error.message });
    });
    if (child.pid === undefined) return child;
    this.#child = child;
    this.#options.onSpawn?.(child);
    child.on('message', (message) => {
      if (isReady(message)) this.#options.onReady(message);
    });
    child.once('exit', (code, signal) => this.#spawnAgain(startedMs, { code, signal }));
    return child;
  }

  #spawnAgain(startedMs: number, reason: Readonly<Record<string, unknown>>): void {
    if (this.#stopping) return;
    this.#crashes = Date.now() - startedMs > STABLE_MS ? 0 : this.#crashes + 1;
    const delayMs = RESTART_DELAYS_MS[Math.min(this.#crashes, RESTART_DELAYS_MS.length) - 1] ?? 0;
    this.#options.log.error({ process: this.#options.name, ...reason, delayMs }, 'process ended; starting it again');
    this.#restart = setTimeout(() => {
      try {
        this.#spawn();
      } catch (error) {
        // The system may say so at once, too: no memory, no right to.
        this.#spawnAgain(Date.now(), { problem: (error as Error).message });
      }
    }, delayMs);
  }
}

function isReady(message: unknown): message is ReadyMessage {
  return typeof message === 'object' && message !== null && 'ready' in message && message.ready === true;
}

/** For the child's side: tells the supervisor we can serve, and ends us when the supervisor is gone. */
export function reportReady(details: Record<string, unknown>, stop: () => Promise<void>): void {
  process.send?.({ ready: true, ...details });
  if (process.send) process.once('disconnect', () => void stop());
}
