import { type Admin, type AdminPages, startAdmin } from '../base/admin.ts';
import { TypedEmitter } from '../base/emitter.ts';
import type { RouteToken } from '../base/ids.ts';
import { createLogger, type Logger } from '../base/log.ts';
import { Metrics } from '../base/metrics.ts';
import { reportReady } from '../base/supervisor.ts';
import { requireConfig } from '../config/load.ts';
import { Config } from '../config/schema.ts';
import { CONFIG_OPTION, configFile, readCommandLine } from './command-line.ts';

/** What a long-running process of ours holds while it runs. */
export interface Running {
  /** For the supervisor and the lab: addresses that were chosen at start. */
  readonly ready: Record<string, unknown>;
  status(): object | Promise<object>;
  /** Of the admin listener, beside /status. */
  readonly pages?: AdminPages;
  /** SIGHUP: files that were moved away are opened anew. */
  reopenFiles?(): void;
  /** Takes no new work from now on; resolves when the last has ended. */
  drain?(): Promise<void>;
  close(): Promise<void>;
}

export interface ProcessContext {
  readonly config: Config;
  /** The configuration file, for children of this process. */
  readonly configFile: string | undefined;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly token: RouteToken;
}

export interface ProcessDefinition {
  readonly name: 'dcsf' | 'dcar' | 'mf';
  /** One of several processes of the function (R21): its parent asks it what an admin listener would tell. */
  readonly worker?: number;
  readonly help: string;
  start(context: ProcessContext): Promise<Running>;
}

/** A process that cannot end cleanly in this time ends anyway. */
const STOP_LIMIT_MS = 10_000;

/**
 * The life of a process: configuration, logger, admin listener, readiness, signals. Resolves with the exit code when it
 * has been told to stop.
 */
export async function runProcess(definition: ProcessDefinition, argv: string[]): Promise<number> {
  const line = readCommandLine(argv, { help: definition.help, options: CONFIG_OPTION });
  if (line === undefined) return 0;
  const file = configFile(line.values.config);
  const config = requireConfig<Config>(file, Config);
  const { worker } = definition;
  const logger = createLogger({ name: definition.name, level: process.env.IMSDC_LOG ?? config.log.level });
  const log = worker === undefined ? logger : logger.child({ worker });
  TypedEmitter.onListenerError = (error, event) => log.error({ err: error, event: String(event) }, 'listener failed');
  const metrics = new Metrics();
  // Seconds are enough to tell one start from the next, and short in a Via branch.
  const token = { instance: config.instance, worker: worker ?? 0, epoch: Math.floor(Date.now() / 1000) };
  const running = await definition.start({ config, configFile: file, log, metrics, token });
  const admin =
    worker === undefined
      ? await startAdmin({
          address: config.admin.address,
          port: config.admin[`${definition.name}Port`],
          metrics,
          status: () => running.status(),
          pages: running.pages,
        })
      : undefined;
  log.info({ ...running.ready, ...(admin && { admin: `${admin.address}:${admin.port}` }) }, 'ready');
  return untilStopped(running, admin, log);
}

function untilStopped(running: Running, admin: Admin | undefined, log: Logger): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  let stopping = false;
  const stop = async () => {
    if (stopping) return;
    stopping = true;
    // Unreferenced: it must not keep a process alive that has ended its work.
    setTimeout(() => {
      log.error('could not end in time; ending anyway');
      process.exit(1);
    }, STOP_LIMIT_MS).unref();
    await running.close();
    await admin?.close();
    resolve(0);
    if (process.connected) process.disconnect();
  };
  if (running.drain) {
    const drain = running.drain.bind(running);
    process.once('SIGUSR2', () => {
      log.info('draining');
      drain().then(stop, (error: unknown) => log.error({ err: error }, 'could not drain'));
    });
  }
  if (running.reopenFiles) process.on('SIGHUP', () => running.reopenFiles?.());
  process.once('SIGINT', () => void stop());
  process.once('SIGTERM', () => void stop());
  reportReady({ ...running.ready, ...(admin && { admin: { address: admin.address, port: admin.port } }) }, stop);
  return promise;
}
