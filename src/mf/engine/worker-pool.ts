import { TypedEmitter } from '../../base/emitter.ts';
import type { Metrics } from '../../base/metrics.ts';
import { ImsdcError } from '../../errors.ts';
import type { RawFrame } from '../worker/codec.ts';
import type { EngineLimits, EngineOptions } from './options.ts';
import { WorkerProcess } from './worker-process.ts';

/** A worker that ran for so long has earned a quick restart. */
const STEADY_MS = 30_000;

export interface PoolEvents {
  frame: { readonly worker: WorkerProcess; readonly frame: RawFrame };
  lost: { readonly worker: WorkerProcess; readonly reason: 'workerExit' | 'workerHung'; readonly problem: string };
  started: WorkerProcess;
}

/** `imsdc_mf_worker*` */
export function workerMetrics(metrics: Metrics, pool: WorkerPool): void {
  metrics.gauge('imsdc_mf_workers', 'Media workers that run', () => pool.workers.length);
  metrics.total('imsdc_mf_worker_restarts_total', 'Media workers started again', () => pool.restarts);
  const lag = 'Longest turn of the event loop in the last second';
  metrics.gaugeBy('imsdc_mf_worker_loop_lag_seconds', lag, 'worker', () =>
    Object.fromEntries(pool.workers.map(({ index, loopLagMs }) => [index, loopLagMs / 1_000])),
  );
}

/** Starts the worker processes, and starts again those that end, with growing delay while they end early. */
export class WorkerPool extends TypedEmitter<PoolEvents> {
  readonly #options: EngineOptions;
  readonly #limits: EngineLimits;
  readonly #running = new Map<number, WorkerProcess>();
  readonly #restarts = new Map<number, NodeJS.Timeout>();
  #starting = 0;
  #closed = false;
  restarts = 0;

  constructor(options: EngineOptions, limits: EngineLimits) {
    super();
    this.#options = options;
    this.#limits = limits;
  }

  get workers(): readonly WorkerProcess[] {
    return [...this.#running.values()];
  }

  /** Starts `count` workers; rejects when one cannot start, since all run the same program. */
  async start(count: number): Promise<void> {
    try {
      await Promise.all(Array.from({ length: count }, (_, index) => this.#launch(index)));
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** The worker with the least to do; waits a little while one is being restarted. @throws WORKER_UNAVAILABLE */
  async pick(): Promise<WorkerProcess> {
    const deadline = performance.now() + this.#limits.placementTimeoutMs;
    for (;;) {
      const best = this.#leastLoaded();
      if (best) return best;
      const leftMs = deadline - performance.now();
      if (this.#closed || leftMs <= 0) throw new ImsdcError('WORKER_UNAVAILABLE', { problem: this.#why() });
      await this.#nextStart(leftMs);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#restarts.values()) clearTimeout(timer);
    this.#restarts.clear();
    await Promise.all(this.workers.map((worker) => worker.close()));
  }

  #leastLoaded(): WorkerProcess | undefined {
    let best: WorkerProcess | undefined;
    for (const worker of this.#running.values()) {
      if (!worker.overloaded && (!best || worker.load < best.load)) best = worker;
    }
    // All at their budget: the worker itself says BUDGET.
    return best ?? this.workers[0];
  }

  #why(): string {
    if (this.#closed) return 'the engine is closed';
    return `${this.#starting} starting, ${this.#restarts.size} waiting to start again`;
  }

  #nextStart(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, timeoutMs);
      const off = this.on('started', done);
      function done() {
        clearTimeout(timer);
        off();
        resolve();
      }
    });
  }

  async #launch(index: number, delayMs = this.#limits.restartDelayMs): Promise<void> {
    const { log } = this.#options;
    this.#starting++;
    let worker: WorkerProcess;
    try {
      worker = await WorkerProcess.start(this.#options, index, this.#limits);
    } finally {
      this.#starting--;
    }
    if (this.#closed) return worker.close();
    const { pid, welcome } = worker;
    log.info({ worker: index, pid, engine: welcome.engine, software: welcome.software }, 'media worker runs');
    this.#running.set(index, worker);
    const startedAtMs = performance.now();
    worker.on('frame', (frame) => this.emit('frame', { worker, frame }));
    worker.on('ended', ({ reason, problem }) => {
      this.#running.delete(index);
      if (!this.#closed) {
        log.error({ worker: index, pid, reason, problem }, 'media worker lost');
        const steady = performance.now() - startedAtMs > STEADY_MS;
        this.#relaunch(index, steady ? this.#limits.restartDelayMs : delayMs);
      }
      this.emit('lost', { worker, reason, problem });
    });
    this.emit('started', worker);
  }

  #relaunch(index: number, delayMs: number): void {
    const nextMs = Math.min(delayMs * 2, this.#limits.maxRestartDelayMs);
    const timer = setTimeout(() => {
      this.#restarts.delete(index);
      this.restarts++;
      this.#launch(index, nextMs).catch((error: unknown) => {
        this.#options.log.error({ worker: index, err: error }, 'media worker does not start');
        if (!this.#closed) this.#relaunch(index, nextMs);
      });
    }, delayMs);
    this.#restarts.set(index, timer);
  }
}
