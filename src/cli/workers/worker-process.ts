import { Socket } from 'node:net';
import { PIPE_FD } from '../../base/supervisor.ts';
import type { LineRequest } from '../../dcsf/dc4.ts';
import { WorkerLink } from '../../dispatch/worker-link.ts';
import { ImsdcError } from '../../errors.ts';
import type { MediaInstructionData, SessionEventNotification } from '../../services/nimsas.ts';
import type { MediaEvent } from '../../services/nmf-mrm.ts';
import { type Functions, startFunctions } from '../functions.ts';
import { type ProcessContext, type Running, runProcess } from '../process.ts';
import { Rpc, type RpcHandlers } from './rpc.ts';
import { snapshotOf } from './sum.ts';
import {
  COUNTERPART_TIMEOUT_MS,
  type LearntCapability,
  type NamedDialog,
  WORKER_SETUP,
  type WorkerSetup,
} from './types.ts';

/** A worker of `imsdc dcsf`: the roles ims-as and dcsf behind the dispatcher. Started by its parent, never by hand. */
const setup = JSON.parse(process.env[WORKER_SETUP] ?? '') as WorkerSetup;

process.exitCode = await runProcess(
  { name: 'dcsf', worker: setup.index, help: 'started by imsdc dcsf\n', start },
  process.argv.slice(2),
);

async function start(outer: ProcessContext): Promise<Running> {
  const context = { ...outer, config: { ...outer.config, imsAs: placed(outer.config.imsAs) } };
  const { log, metrics } = context;
  let functions: Functions | undefined;
  const rpc = new Rpc(
    'dispatcher',
    (message) => process.send?.(message),
    handlers(context, () => functions),
  );
  process.on('message', (message) => rpc.received(message));
  process.once('disconnect', () => rpc.lost());
  const link = new WorkerLink(new Socket({ fd: PIPE_FD, readable: true, writable: true }), (problem) =>
    log.warn({ problem }, 'the dispatcher has gone'),
  );
  metrics.gauge('imsdc_worker_resident_bytes', 'memory of the worker process', () => process.memoryUsage.rss());
  metrics.total('imsdc_worker_cpu_seconds_total', 'CPU time of the worker process', cpuSeconds);
  functions = await startFunctions(context, setup.repository, {
    sip: { transports: link.transports, lag: (observe) => link.lag(observe) },
    mediaEventUri: setup.mediaEventUri,
    learnt: (capability: LearntCapability) => rpc.notice('capability', capability),
    counterpart: async (worker: number, name: NamedDialog) =>
      ((await rpc.call('counterpart', { worker, name }, COUNTERPART_TIMEOUT_MS)) as NamedDialog | null) ?? undefined,
  });
  link.serve();
  return {
    ready: {},
    status: () => functions?.status() ?? {},
    close: async () => {
      await functions?.close();
      link.close();
    },
  };
}

/** Its share of what is said for the whole: rates of a peer are spread over the workers by Call-ID. */
function placed(config: ProcessContext['config']['imsAs']): ProcessContext['config']['imsAs'] {
  const { overload } = config;
  const share = (rate: number) => Math.ceil(rate / setup.workers);
  return {
    ...config,
    listeners: [...setup.listeners],
    overload: {
      ...overload,
      peerRequestsPerSecond: share(overload.peerRequestsPerSecond),
      peerBurst: share(overload.peerBurst),
      userRequestsPerSecond: share(overload.userRequestsPerSecond),
      userBurst: share(overload.userBurst),
    },
  };
}

function handlers({ metrics }: ProcessContext, functions: () => Functions | undefined): RpcHandlers {
  const imsAs = () => functions()?.imsAs ?? absent('the IMS AS');
  const dcsf = () => functions()?.dcsf ?? absent('the DCSF');
  return {
    status: () => functions()?.status(),
    reopenFiles: () => functions()?.reopenFiles(),
    metrics: () => snapshotOf(metrics),
    capability: (learnt: LearntCapability) => functions()?.imsAs?.adopt(learnt),
    counterpart: (name: NamedDialog) => imsAs().counterpart(name) ?? null,
    mediaEvent: (event: MediaEvent) => imsAs().mediaEvent(event),
    mediaInstruction: ({ data, options }: { data: MediaInstructionData; options: { idempotencyKey: string } }) =>
      imsAs().mediaControl.mediaInstruction(data, options),
    notify: ({ notification, deadlineMs }: { notification: SessionEventNotification; deadlineMs: number }) =>
      dcsf().sessionEvents.notify(notification, { deadlineMs }),
    newestSession: (servedUser: string) => dcsf().newestSession(servedUser),
    addLine: (request: LineRequest & { readonly applicationId: string }) => dcsf().channels.add(request),
    removeLine: (line: { applicationId: string; sessionId: string; mediaId: string }) => dcsf().channels.remove(line),
  };
}

function absent(what: string): never {
  throw new ImsdcError('DCSF_WORKER_LOST', { worker: setup.index, problem: `${what} is not up` });
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
