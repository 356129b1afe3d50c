import type { Socket } from 'node:net';
import { extname, resolve } from 'node:path';
import { EventLoopTurns } from '../../base/event-loop-turns.ts';
import { workerOfSessionId } from '../../base/ids.ts';
import { Metrics } from '../../base/metrics.ts';
import { PIPE_FD, SupervisedProcess } from '../../base/supervisor.ts';
import type { ChannelControl, Dcsf } from '../../dcsf/index.ts';
import { WorkerDispatcher } from '../../dispatch/dispatcher.ts';
import { HashRing } from '../../dispatch/ring.ts';
import { ImsdcError } from '../../errors.ts';
import type { ImsAs } from '../../ims-as/index.ts';
import { MEDIA_EVENT_PATH } from '../../ims-as/media-events.ts';
import { SbiServer } from '../../sbi/server.ts';
import type { MediaInstructionData } from '../../services/nimsas.ts';
import { MediaEvent } from '../../services/nmf-mrm.ts';
import { TrustedPeers } from '../../sip/transport/index.ts';
import type { RepositoryAddress } from '../functions.ts';
import type { ProcessContext } from '../process.ts';
import { ChannelsOfWorkers } from './channels.ts';
import { Rpc } from './rpc.ts';
import { snapshotOf, sumStatus, WorkerMetrics } from './sum.ts';
import {
  COUNTERPART_TIMEOUT_MS,
  type LearntCapability,
  type MetricSnapshot,
  type NamedDialog,
  WORKER_SETUP,
  type WorkerSetup,
} from './types.ts';

/** For what an operator asks: a worker that is behind must not hold up the others' figures. */
const STATUS_TIMEOUT_MS = 2_000;
/** DC1 guards itself (R17); this only keeps a dead worker from holding a request for ever. */
const REQUEST_TIMEOUT_MS = 30_000;

/** The functions as one, whichever worker does the work. */
export interface FunctionsOfWorkers {
  readonly imsAs: Pick<ImsAs, 'addresses' | 'mediaControl'> | undefined;
  readonly dcsf: Pick<Dcsf, 'sessionEvents' | 'channels'> | undefined;
  status(): Promise<object>;
  reopenFiles(): void;
  close(): Promise<void>;
}

/**
 * `dcsf.workers` processes behind one SIP address and one address each for media events, DC1 and DC4. All of those are
 * this process's; a call, with its session at the DCSF, is one worker's, which its identifiers name (R21).
 */
export async function startWorkers(
  context: ProcessContext,
  repository: RepositoryAddress | undefined,
): Promise<FunctionsOfWorkers> {
  const { config, log, metrics } = context;
  const { imsAs, dcsf, roles } = config;
  const withAs = roles.includes('ims-as');
  // What this process serves itself is counted beside the workers.
  const own = new Metrics();
  const dispatcher = withAs
    ? new WorkerDispatcher({
        instance: config.instance,
        workers: dcsf.workers,
        listeners: imsAs.listeners,
        limits: {
          maxConnections: imsAs.maxConnections,
          idleTimeoutMs: imsAs.idleTimeoutMs,
          keepAliveMs: imsAs.keepAliveMs,
        },
        turns: new EventLoopTurns({ paceMs: imsAs.paceMs }),
        trustedPeers: new TrustedPeers(imsAs.trustedPeers),
        retryAfterSeconds: imsAs.overload.retryAfterSeconds,
        log: log.child({ room: 'dispatcher' }),
        metrics: own,
      })
    : undefined;
  await dispatcher?.start();
  const pool = new WorkerPool(context, dispatcher, own);
  const events = withAs && imsAs.mediaEvents.enabled ? await listenForMediaEvents(context, pool) : undefined;
  const close = async () => {
    // The last answers of the workers still go out.
    await pool.close();
    await events?.server.close();
    await dispatcher?.close();
  };
  try {
    await pool.start((index) => ({
      index,
      workers: dcsf.workers,
      listeners: dispatcher?.listeners ?? [],
      repository: repository && { ...pick(repository) },
      mediaEventUri: events === undefined ? '' : `${events.url}/${index}`,
    }));
  } catch (error) {
    await close();
    throw error;
  }
  pool.showMetrics(metrics);
  const addresses = (dispatcher?.listeners ?? []).map(({ transport, advertise, address, port }) => ({
    transport,
    host: advertise ?? address,
    port,
  }));
  return {
    imsAs: withAs ? { addresses, mediaControl: { mediaInstruction: (...args) => pool.instruct(...args) } } : undefined,
    dcsf: roles.includes('dcsf')
      ? {
          sessionEvents: {
            notify: async (notification, { deadlineMs }) => {
              await pool
                .ofForeignSession(notification.sessionId)
                .call('notify', { notification, deadlineMs }, REQUEST_TIMEOUT_MS);
            },
          },
          channels: pool.channels,
        }
      : undefined,
    status: () => pool.status(),
    reopenFiles: () => pool.reopenFiles(),
    close,
  };
}

function pick({ secret, address, internalAddress }: RepositoryAddress): RepositoryAddress {
  return { secret, address, internalAddress };
}

async function listenForMediaEvents({ config, log }: ProcessContext, pool: WorkerPool) {
  const { address, port, url } = config.imsAs.mediaEvents;
  const server = new SbiServer({ host: address, port, tls: config.imsAs.mf.tls, log });
  server.route<MediaEvent>({
    method: 'POST',
    path: `${MEDIA_EVENT_PATH}/:worker`,
    body: MediaEvent,
    handler: async ({ body, params }) => {
      await pool.worker(Number(params.worker)).call('mediaEvent', body, STATUS_TIMEOUT_MS);
      return { status: 204 };
    },
  });
  await server.listen();
  return { server, url: url ?? server.origin + MEDIA_EVENT_PATH };
}

interface Worker {
  readonly process: SupervisedProcess;
  rpc: Rpc;
}

class WorkerPool {
  readonly channels: ChannelControl;
  readonly #context: ProcessContext;
  readonly #dispatcher: WorkerDispatcher | undefined;
  readonly #own: Metrics;
  readonly #ring: HashRing;
  #workers: Worker[] = [];

  constructor(context: ProcessContext, dispatcher: WorkerDispatcher | undefined, own: Metrics) {
    this.#context = context;
    this.#dispatcher = dispatcher;
    this.#own = own;
    this.#ring = new HashRing(context.config.dcsf.workers);
    this.channels = new ChannelsOfWorkers(() => this.#workers.map(({ rpc }) => rpc), this.#ring);
  }

  /** Resolves when all of them serve. Rejects when one cannot start. */
  async start(setupOf: (index: number) => WorkerSetup): Promise<void> {
    const { configFile, config, log } = this.#context;
    this.#workers = Array.from({ length: config.dcsf.workers }, (_, index) => {
      const worker: Worker = {
        rpc: new Rpc(String(index), () => undefined, {}),
        process: new SupervisedProcess({
          name: `worker ${index}`,
          module: resolve(import.meta.dirname, `worker-process${extname(import.meta.filename)}`),
          args: configFile === undefined ? [] : ['--config', configFile],
          env: { [WORKER_SETUP]: JSON.stringify(setupOf(index)) },
          log,
          pipe: true,
          onSpawn: (child) => {
            const rpc = new Rpc(String(index), (message) => child.send(message, () => undefined), {
              capability: (learnt: LearntCapability) => this.#tellOthers(index, learnt),
              counterpart: ({ worker: owner, name }: { worker: number; name: NamedDialog }) =>
                this.worker(owner).call('counterpart', name, COUNTERPART_TIMEOUT_MS),
            });
            worker.rpc = rpc;
            child.on('message', (message) => rpc.received(message));
            child.once('exit', () => rpc.lost());
            this.#dispatcher?.attach(index, child.stdio[PIPE_FD] as Socket);
          },
          onReady: () => undefined,
        }),
      };
      return worker;
    });
    await Promise.all(this.#workers.map(({ process }) => process.start()));
  }

  worker(index: number): Rpc {
    const worker = this.#workers[index];
    if (worker === undefined) throw new ImsdcError('DCSF_WORKER_LOST', { worker: index, problem: 'there is none' });
    return worker.rpc;
  }

  /** Sessions of IMS ASs elsewhere: their ids say nothing to us. */
  ofForeignSession(sessionId: string): Rpc {
    return this.worker(this.#ring.home(sessionId));
  }

  async instruct(
    data: MediaInstructionData,
    options: { idempotencyKey: string },
  ): Promise<MediaInstructionData | undefined> {
    const worker = workerOfSessionId(data.sessionId);
    const rpc = this.worker(worker < this.#workers.length ? worker : 0);
    return (await rpc.call('mediaInstruction', { data, options }, REQUEST_TIMEOUT_MS)) as
      | MediaInstructionData
      | undefined;
  }

  /** R23: a third-party REGISTER comes to one worker; the calls of that user to any. */
  #tellOthers(from: number, learnt: LearntCapability): void {
    for (const [index, { rpc }] of this.#workers.entries()) if (index !== from) rpc.notice('capability', learnt);
  }

  showMetrics(metrics: Metrics): void {
    const shown = new WorkerMetrics(metrics);
    metrics.beforeScrape(async () => {
      const snapshots = new Map([['dispatcher', await snapshotOf(this.#own)]]);
      const answers = await this.#askAll('metrics');
      for (const [index, answer] of answers.entries())
        if (answer !== undefined) snapshots.set(String(index), answer as MetricSnapshot[]);
      shown.show(snapshots);
    });
  }

  async status(): Promise<object> {
    const answers = await this.#askAll('status');
    const workers = this.#workers.map(({ process }, index) => ({
      pid: process.pid,
      serves: answers[index] !== undefined,
    }));
    return { ...(sumStatus(answers) as object | undefined), workers };
  }

  reopenFiles(): void {
    for (const { rpc } of this.#workers) rpc.notice('reopenFiles', undefined);
  }

  #askAll(method: 'status' | 'metrics'): Promise<unknown[]> {
    return Promise.all(
      this.#workers.map(({ rpc }) => rpc.call(method, undefined, STATUS_TIMEOUT_MS).catch(() => undefined)),
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map(({ process }) => process.stop()));
  }
}
