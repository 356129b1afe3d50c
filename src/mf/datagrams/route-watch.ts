import { type ChildProcess, spawn } from 'node:child_process';
import type { Logger } from '../../base/log.ts';
import type { Command } from './program.ts';

/** What is told within this time is one change. */
const GATHER_MS = 200;
/** Asking again may take this share of the time, however often routes change. */
const BUSY_SHARE = 0.1;
/** The monitor surely listens by then. */
const SETTLED_MS = 1_000;

export interface RouteWatchOptions {
  readonly ip: Command;
  readonly log: Logger;
  /** Addresses, routes, rules or devices of the host may have changed. The next call comes when it has resolved. */
  readonly changed: () => Promise<void>;
}

/** `ip monitor`, in a shell that ends it with the MF, however that ends; begun again when it ends by itself. */
export class RouteWatch {
  readonly #options: RouteWatchOptions;
  #monitor: ChildProcess | null = null;
  #again: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;
  #busy = false;
  #heardMore = false;
  #pauseMs = GATHER_MS;
  #closed = false;

  constructor(options: RouteWatchOptions) {
    this.#options = options;
    this.#begin();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#again);
    clearTimeout(this.#timer);
    this.#monitor?.stdin?.end();
  }

  #begin(): void {
    const words = [...this.#options.ip, 'monitor', 'link', 'address', 'route', 'rule', 'nexthop'];
    const script = '"$@" & exec > /dev/null; cat; kill $!';
    const monitor = spawn('/bin/sh', ['-c', script, 'imsdc-routes', ...words], {
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    });
    this.#monitor = monitor;
    monitor.on('error', (error) => this.#options.log.warn({ reason: error.message }, 'routes are not watched'));
    if (monitor.pid === undefined) {
      this.#again = setTimeout(() => this.#begin(), SETTLED_MS).unref();
      return;
    }
    monitor.stdout.on('data', () => this.#heard());
    monitor.stdout.on('end', () => this.#ended(monitor));
    monitor.stdin.on('error', () => undefined); // it has ended; `end` of its output says so
    // What changed before it listened.
    this.#again = setTimeout(() => this.#heard(), SETTLED_MS).unref();
  }

  #ended(monitor: ChildProcess): void {
    monitor.stdin?.end();
    if (this.#closed) return;
    this.#options.log.warn({}, 'ip monitor has ended: it is begun again');
    clearTimeout(this.#again);
    this.#again = setTimeout(() => this.#begin(), SETTLED_MS).unref();
  }

  #heard(): void {
    if (this.#closed) return;
    if (this.#busy) this.#heardMore = true;
    else this.#timer ??= setTimeout(() => void this.#tell(), this.#pauseMs).unref();
  }

  async #tell(): Promise<void> {
    this.#timer = undefined;
    this.#busy = true;
    const began = performance.now();
    await this.#options.changed();
    this.#pauseMs = Math.max(GATHER_MS, (performance.now() - began) / BUSY_SHARE);
    this.#busy = false;
    if (!this.#heardMore) return;
    this.#heardMore = false;
    this.#heard();
  }
}
