import { EventLoopTurns } from '../base/event-loop-turns.ts';
import { IdMint, type RouteToken } from '../base/ids.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { pooledRandomHex } from '../base/random.ts';
import { RealTimers } from '../base/timers.ts';
import { ImsdcError } from '../errors.ts';
import { SbiProblem, statusOf } from '../sbi/problem.ts';
import type { MediaControl, SessionEventControl } from '../services/nimsas.ts';
import type { MediaEvent } from '../services/nmf-mrm.ts';
import { OverloadControl } from '../sip/index.ts';
import { dnsNameServer, SipEndpoint, type SipEndpointOptions, TrustedPeers } from '../sip/transport/index.ts';
import type { ClientKey, Transport } from '../sip/types.ts';
import type { Journal } from '../store/journal.ts';
import type { Capability } from './b2bua/capability.ts';
import type { DialogName } from './b2bua/counterpart.ts';
import type { Call, CallConfig, Outcome } from './call/types.ts';
import type { ImsAsConfig } from './config.ts';
import { DialogsElsewhere } from './dialogs-elsewhere.ts';
import { Dispatcher } from './dispatcher.ts';
import { listenForMediaEvents, mediaEvent } from './media-events.ts';
import { MfPool } from './mf-pool.ts';
import { ChannelRecords } from './records/index.ts';
import { restoreCalls, storeCalls } from './restore.ts';
import { EndpointPort } from './sip-port.ts';

export interface ImsAsDependencies {
  readonly sessionEvents: SessionEventControl;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly token: RouteToken;
  /** Calls are kept here over a restart, and those of a former process taken over. */
  readonly journal?: Journal | undefined;
  readonly place?: ImsAsPlace;
}

/** What is not its own when the AS is one of several workers. */
export interface ImsAsPlace {
  /** Of the SIP endpoint: the listeners belong to somebody else. */
  readonly sip?: Pick<SipEndpointOptions, 'transports' | 'lag'>;
  /** Events for this worker are posted there and come by `mediaEvent`; absent: we listen. */
  readonly mediaEventUri?: string;
  /** What a third-party REGISTER has told, for those that it did not come to. */
  learnt?(capability: Capability): void;
  /** Asks another worker for what the other side calls a dialog of it (R21). Rejects when it does not answer in time. */
  counterpart?(worker: number, name: DialogName): Promise<DialogName | undefined>;
}

export interface ImsAs {
  readonly mediaControl: MediaControl;
  /** What is bound, as peers see it. */
  readonly addresses: readonly { transport: Transport; host: string; port: number }[];
  status(): ImsAsStatus;
  /** What a REGISTER has told another worker (R23). */
  adopt(capability: Capability): void;
  /** A dialog of ours, as the other side knows it: for a message that came to another worker (R21). */
  counterpart(name: DialogName): DialogName | undefined;
  /** An MF's event that somebody else has listened for (R25). */
  mediaEvent(event: MediaEvent): void;
  /** Ends one call, or every call, with BYE on both legs. */
  release(callId?: string): void;
  /** Log rotation (SIGHUP). */
  reopenFiles(): void;
  /** Whether the session of DC1 is one of ours. */
  hasSession(sessionId: string): boolean;
  close(): Promise<void>;
}

export interface ImsAsStatus {
  readonly calls: number;
  /** Those of them that the callee has answered. */
  readonly answeredCalls: number;
  readonly callsTotal: number;
  readonly refusedCalls: number;
  readonly strayMessages: number;
  /** Calls whose data channels moved to another MF after a loss, and calls that lost them (R25). */
  readonly reanchored: number;
  readonly givenUp: number;
  readonly clientTransactions: number;
  readonly serverTransactions: number;
  readonly timers: number;
  readonly connections: number;
  readonly contexts: number;
  readonly capabilities: number;
  readonly mfs: readonly { name: string; contexts: number; resting: boolean; lost: boolean }[];
}

/** Starts the IMS AS: SIP on ISC, DC1 towards `sessionEvents`, DC2 towards the configured MFs. */
export async function startImsAs(
  config: ImsAsConfig,
  { sessionEvents, log, metrics, token, journal, place = {} }: ImsAsDependencies,
): Promise<ImsAs> {
  const timers = new RealTimers((error) => log.error({ err: error }, 'timer failed'));
  const ids = new IdMint(token);
  const trustedPeers = new TrustedPeers(config.trustedPeers);
  const turns = new EventLoopTurns({ paceMs: config.paceMs });
  const endpoint = new SipEndpoint({
    listeners: config.listeners,
    timers,
    ids,
    log,
    metrics,
    maxTransactions: config.maxTransactions,
    maxConnections: config.maxConnections,
    idleTimeoutMs: config.idleTimeoutMs,
    udpMtuBytes: config.udpMtuBytes,
    keepAliveMs: config.keepAliveMs,
    trustedPeers,
    overload: new OverloadControl(config.overload),
    nameServer: dnsNameServer(config.dnsServers),
    turns,
    ...place.sip,
  });
  const records = ChannelRecords.open(config.channelRecords, { timers, log, metrics, worker: token.worker });
  let dispatcher: Dispatcher | undefined;
  const mfs = new MfPool(config.mf, {
    log,
    metrics,
    timers,
    turns,
    token,
    lost: (contextIds, reason) => dispatcher?.contextsLost(contextIds, `MF lost the context: ${reason}`),
  });
  const takeEvent = (event: MediaEvent) => {
    records?.mediaEvent(event);
    if (dispatcher !== undefined) mediaEvent(dispatcher, log, event);
  };
  const events =
    config.mediaEvents.enabled && place.mediaEventUri === undefined
      ? await listenForMediaEvents(config, log, takeEvent)
      : undefined;
  await endpoint.start();
  const sip = new EndpointPort({ endpoint, trustedPeers, names: config.names, log }, (key: ClientKey) =>
    dispatcher?.transactionEvent({ kind: 'clientFailed', key, reason: 'transport' }),
  );
  const forCalls = callConfig(config, events?.url ?? place.mediaEventUri ?? '');
  const running: Dispatcher = new Dispatcher({
    sip,
    timers,
    config: forCalls,
    store: journal && storeCalls(journal, forCalls, () => running),
    repairs: config.mf.repair,
    sessionCase: config.sessionCase,
    maxCalls: config.maxCalls,
    mintId: () => ids.next(),
    random: pooledRandomHex(),
    worker: token.worker,
    elsewhere: place.counterpart && new DialogsElsewhere({ ask: place.counterpart.bind(place), token, log, metrics }),
    ...(place.learnt && { learnt: place.learnt.bind(place) }),
    onEvent: records && ((call) => records.look(call)),
    onEnded: (call) => {
      records?.over(call);
      logCall(log, call);
    },
    onError: (error, call) => log.error({ err: error, call: call.id }, 'call failed'),
    services: {
      notify: (call, id, notification, deadlineMs) => {
        sessionEvents.notify(notification, { deadlineMs }).then(
          () => running.notified(call, id, { ok: true, value: undefined }),
          (error: unknown) => running.notified(call, id, failureOf(error)),
        );
      },
      mrm: (call, id, operation, deadlineMs) => {
        mfs.run(operation, deadlineMs).then(
          (outcome) => {
            if (running.mrmReplied(call, id, outcome) || operation.method !== 'POST' || !outcome.ok) return;
            const contextId = outcome.value.context?.contextId;
            if (contextId === undefined) return;
            // The call is gone, and with it the one who would delete it.
            void mfs.run({ method: 'DELETE', mf: outcome.value.mf, contextId }, timers.nowMs());
          },
          (error: unknown) => {
            log.error({ err: error, call }, 'MF request failed');
            running.mrmReplied(call, id, failureOf(error));
          },
        );
      },
    },
  });
  dispatcher = running;
  if (journal) restoreCalls({ journal, config: forCalls, dispatcher: running, mfs, timers, log, metrics });
  endpoint.on('sip', (event) => running.transactionEvent(event));
  metrics.gauge('imsdc_ims_as_calls', 'calls', () => running.size);
  metrics.gauge(
    'imsdc_ims_as_reanchored',
    'calls whose data channels moved to another MF',
    () => running.counts.reanchored,
  );
  metrics.gauge(
    'imsdc_ims_as_given_up',
    'calls that lost their data channels with their MF',
    () => running.counts.givenUp,
  );
  metrics.gauge(
    'imsdc_ims_as_closed_lines_dropped',
    'lines that stay although their DC AS has closed them: too many at once',
    () => running.closedLinesDropped,
  );
  log.info({ addresses: endpoint.addresses() }, 'IMS AS listens');

  return {
    addresses: endpoint.addresses(),
    mediaControl: {
      mediaInstruction: async (data, { idempotencyKey }) => {
        const result = await running.instruct(data, idempotencyKey);
        if (!result.ok) throw new SbiProblem(result.problem);
        return result.data;
      },
    },
    status: () => ({
      calls: running.size,
      answeredCalls: running.answered,
      callsTotal: running.counts.calls,
      refusedCalls: running.counts.refusedCalls,
      reanchored: running.counts.reanchored,
      givenUp: running.counts.givenUp,
      strayMessages: running.counts.strayMessages,
      ...endpoint.status(),
      contexts: mfs.contexts,
      capabilities: running.capabilities.size,
      mfs: mfs.status(),
    }),
    counterpart: (name) => running.counterpart(name),
    adopt: (capability) => running.capabilities.adopt(capability, timers.nowMs()),
    mediaEvent: takeEvent,
    release: (callId) => running.release(callId),
    reopenFiles: () => records?.reopen(),
    hasSession: (sessionId) => running.hasSession(sessionId),
    close: async () => {
      running.close();
      await endpoint.close();
      await mfs.close();
      await events?.server.close();
      await records?.close();
      timers.close();
    },
  };
}

function callConfig(config: ImsAsConfig, mediaEventUri: string): CallConfig {
  return {
    dcsfBudgetMs: config.guards.dcsfBudgetMs,
    budgetReserveMs: config.guards.budgetReserveMs,
    mrmDeadlineMs: config.guards.mrmMs,
    ringLimitMs: config.guards.ringMs,
    t1Ms: 500,
    t2Ms: 4000,
    ...config.media,
    networkInitiated: config.networkInitiated ?? true,
    stripHeaders: new Set(config.stripHeaders.map((name) => name.toLowerCase())),
    mediaEventUri,
    channelUsage: config.channelRecords.file !== undefined,
    mfProxyNames: config.mf.generation,
    repair: config.mf.repair,
  };
}

/** A failure of DC1 or DC2 as the call sees it. */
function failureOf(error: unknown): Outcome<never> {
  if (error instanceof SbiProblem) return { ok: false, status: error.details.status, detail: error.message };
  if (error instanceof ImsdcError) return { ok: false, status: statusOf(error.code), detail: error.message };
  return { ok: false, status: 500, detail: error instanceof Error ? error.message : String(error) };
}

/** One line per call (design 6). */
function logCall(log: Logger, call: Call): void {
  const { record } = call;
  log.info(
    {
      call: call.id,
      session: call.sessionId,
      case: call.sessionCase,
      icid: call.identities.chargingId,
      outcome: record.outcome,
      heldMs: record.heldMs,
      ringingMs: record.ringingMs,
      setupMs: record.answeredMs === 0 ? undefined : record.answeredMs - call.startedMs,
      talkMs: record.answeredMs === 0 ? undefined : record.endedMs - record.answeredMs,
      dataChannelLines: record.dataChannelLines,
      notes: record.notes.length === 0 ? undefined : record.notes,
    },
    'call',
  );
}
