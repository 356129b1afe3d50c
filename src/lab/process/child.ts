import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { extname, join, resolve } from 'node:path';
import { TypedEmitter } from '../../base/emitter.ts';
import { ImsdcError } from '../../errors.ts';

/** The command line of this installation: TypeScript as it stands here, JavaScript once it is packed. */
const MAIN = resolve(import.meta.dirname, `../../cli/main${extname(import.meta.filename)}`);
/** A child that ignores SIGTERM this long is killed. */
const STOP_GRACE_MS = 5000;
const LOG_TAIL_LINES = 12;

export interface ChildOptions {
  readonly name: string;
  /** What runs instead of this installation's `imsdc`: program and first arguments, such as `docker exec ...`. */
  readonly program?: readonly [string, ...string[]];
  /** Arguments of `imsdc`. */
  readonly args: readonly string[];
  readonly directory: string;
  readonly env?: Readonly<Record<string, string>>;
  /** `ipc`: it says when it is ready, and ends when the channel closes. `pipe`: standard input and output are ours. */
  readonly speaks: 'ipc' | 'pipe';
}

export interface ChildEvents {
  /** It ended although nobody told it to. */
  died: ImsdcError;
}

/** One process of the lab. Its log goes to a file; it never outlives us, because it notices that we are gone. */
export class LabChild extends TypedEmitter<ChildEvents> {
  readonly name: string;
  readonly process: ChildProcess;
  readonly logFile: string;
  #stopping = false;
  #death: ImsdcError | null = null;
  readonly #exited: Promise<void>;

  constructor(options: ChildOptions) {
    super();
    this.name = options.name;
    this.logFile = join(options.directory, `${options.name}.log`);
    const log = openSync(this.logFile, 'w');
    const [program, ...first] = options.program ?? [process.execPath, MAIN];
    this.process = spawn(program, [...first, ...options.args], {
      stdio: options.speaks === 'ipc' ? ['ignore', log, log, 'ipc'] : ['pipe', 'pipe', log],
      env: { ...process.env, ...options.env },
    });
    closeSync(log);
    this.#exited = new Promise((resolve) => this.process.once('exit', () => resolve()));
    this.process.once('exit', (code, signal) => {
      if (this.#stopping) return;
      this.#death = new ImsdcError('LAB_PROCESS', {
        name: this.name,
        how: signal ? `was ended by ${signal}` : `ended with status ${code}`,
        log: this.logFile,
        tail: this.#tail(),
      });
      this.emit('died', this.#death);
    });
  }

  get death(): ImsdcError | null {
    return this.#death;
  }

  /** The first IPC message that says `ready`. Rejects LAB_PROCESS when it ends before that. */
  ready(): Promise<Readonly<Record<string, unknown>>> {
    const { promise, resolve, reject } = Promise.withResolvers<Readonly<Record<string, unknown>>>();
    this.process.on('message', (message) => {
      if (typeof message === 'object' && message !== null && 'ready' in message) {
        resolve(message as unknown as Readonly<Record<string, unknown>>);
      }
    });
    if (this.#death) reject(this.#death);
    this.on('died', reject);
    return promise;
  }

  /** Told to end, and killed when it does not. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const killer = setTimeout(() => this.process.kill('SIGKILL'), STOP_GRACE_MS);
    if (this.process.stdin) this.process.stdin.end();
    else this.process.kill('SIGTERM');
    await this.#exited;
    clearTimeout(killer);
  }

  #tail(): string {
    return readFileSync(this.logFile, 'utf8').trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n');
  }
}
