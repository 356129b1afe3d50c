import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import type { Timers } from '../../src/base/timers.ts';
import { storedText } from '../../src/ims-as/call/stored.ts';
import type { Call, CallConfig, MrmOperation, MrmReply, Outcome, SessionCase } from '../../src/ims-as/call/types.ts';
import { Dispatcher } from '../../src/ims-as/dispatcher.ts';
import type { ServicePorts, SipPort, Touch } from '../../src/ims-as/ports.ts';
import { restoreCalls, storeCalls } from '../../src/ims-as/restore.ts';
import type { SessionEventNotification } from '../../src/services/nimsas.ts';
import { parseUri } from '../../src/sip/message/index.ts';
import { clientKey } from '../../src/sip/transaction/index.ts';
import type { ServerKey } from '../../src/sip/types.ts';
import { Journal } from '../../src/store/journal.ts';
import { MemoryDisk } from '../store/memory-disk.ts';
import { type DcsfBehaviour, instructionsFor } from './dcsf-model.ts';
import type { MfModel } from './mf-model.ts';
import type { SipNode } from './network.ts';
import type { Random } from './random.ts';
import { Violation } from './violation.ts';

export const SIMULATED_CONFIG: CallConfig = {
  dcsfBudgetMs: 3000,
  budgetReserveMs: 500,
  mrmDeadlineMs: 5000,
  ringLimitMs: 120_000,
  t1Ms: 500,
  t2Ms: 4000,
  setupWithoutIce: 'active',
  setupWithIce: 'passive',
  iceInOffers: false,
  maxMessageSizeBytes: 65536,
  bootstrapBandwidthKbps: 500,
  stripHeaders: new Set(),
  mediaEventUri: '',
  acceptSha1: false,
  channelUsage: false,
  multiplexing: true,
  networkInitiated: false,
  mfProxyNames: 'rel19',
  repair: { limitMs: 10_000, offer: 'inPlace' },
};

const JOURNAL = { writeEveryMs: 100, maxPending: 1000 };
/** Of the MF: contexts of an owner that is gone. */
export const LEASE_MS = 20_000;

/** What a test may break on purpose, to prove that the simulator sees it. */
export interface Sabotage {
  readonly timers?: (timers: Timers) => Timers;
  readonly sip?: (sip: SipPort) => SipPort;
  readonly services?: (services: ServicePorts) => ServicePorts;
  /** Of records that a restarted AS reads. */
  readonly stored?: (text: string) => string;
  /** Whether the MF frees what a former process of the AS left behind. Default true. */
  readonly lease?: boolean;
}

export interface AsOptions {
  readonly node: SipNode;
  readonly dcsf: DcsfBehaviour;
  /** The first that is there takes a new context. */
  readonly mfs: readonly MfModel[];
  readonly random: Random;
  readonly sessionCase: SessionCase;
  readonly reanchorOffer: CallConfig['repair']['offer'];
  /** Between 0 and 1: how often the call record is stored and read again after an event. */
  readonly restore: number;
  readonly sabotage: Sabotage;
  /** The context is about to go: the last moment to look at it. */
  readonly onDelete: (mf: MfModel, contextId: string) => void;
}

/** One AS with its DCSF and MF, in virtual time. */
export class AsNode {
  dispatcher: Dispatcher;
  readonly ended: Call[] = [];
  readonly #options: AsOptions;
  readonly #sip: SipPort;
  readonly #services: ServicePorts;
  #disk = new MemoryDisk();
  #journal: Journal | undefined;
  /** Which start of the process it is. */
  #epoch = 1;
  /** Contexts that former processes made. */
  readonly #former = new Set<string>();
  readonly #finals = new Map<ServerKey, number>();
  readonly #decided = new Set<string>();
  /** Contexts of a 201 that came too late: no call holds them. */
  readonly #orphans = new Set<string>();
  /** MFs that the watch has found lost. */
  readonly #lost = new Set<MfModel>();
  /** When an offer of ours last met a 491: what it says is not agreed until it is sent again. */
  lastGlareMs = Number.NEGATIVE_INFINITY;
  #serial = 0;

  constructor(options: AsOptions) {
    this.#options = options;
    const { node, sabotage } = options;
    this.#sip = sabotage.sip?.(this.#sipPort()) ?? this.#sipPort();
    this.#services = sabotage.services?.(this.#servicePorts()) ?? this.#servicePorts();
    this.dispatcher = this.#newDispatcher(undefined);
    node.onEvent = (event) => {
      this.dispatcher.transactionEvent(event);
      for (const call of this.dispatcher.calls()) if (call.deadlines.glare !== undefined) this.lastGlareMs = node.nowMs;
      this.#storeAndRestore();
    };
  }

  #newDispatcher(store: Touch | undefined): Dispatcher {
    const { node, sabotage, random, sessionCase, reanchorOffer } = this.#options;
    return new Dispatcher({
      sip: this.#sip,
      services: this.#services,
      timers: sabotage.timers?.(node.network.timers) ?? node.network.timers,
      config: { ...SIMULATED_CONFIG, repair: { ...SIMULATED_CONFIG.repair, offer: reanchorOffer } },
      repairs: { perSecond: 20, burst: 2 },
      sessionCase,
      maxCalls: 100,
      mintId: () => `${node.name}.0.${this.#epoch}.${this.#serial++}x`,
      random: (bytes) => random.hex(bytes),
      onEnded: (call) => this.ended.push(call),
      onError: (error) => {
        throw error;
      },
      store,
    });
  }

  // Crash and restart

  /** What the process would find on its disk: the call, as it was at the last stable point that was written. */
  get isStored(): boolean {
    const { stored, pending } = this.#journal!.status();
    const calls = [...this.dispatcher.calls()];
    return (
      pending === 0 &&
      stored === calls.length &&
      calls.every((call) => call.state === 'established' && typeof storedText(call, SIMULATED_CONFIG) === 'string')
    );
  }

  /** kill -9. */
  crash(): void {
    const { node, mfs } = this.#options;
    this.#epoch++;
    this.dispatcher.close();
    node.crash();
    this.#finals.clear();
    for (const mf of mfs) for (const contextId of mf.contexts.keys()) this.#former.add(contextId);
    node.network.timers.after(LEASE_MS, () => this.leaseEnds());
    node.network.trace.event(node.nowMs, node.name, node.name, 'crashes');
    // What the old process still writes does not reach the disk that the new one reads.
    this.#disk = new MemoryDisk(this.#disk.files);
  }

  /** The process starts, with what its disk holds; from now on calls are written there. */
  async start(): Promise<void> {
    const { node, sabotage } = this.#options;
    const { timers, trace } = node.network;
    const log = silentLogger;
    const metrics = new Metrics();
    const journal = await Journal.open({ ...JOURNAL, disk: this.#disk, timers, log, metrics });
    this.#journal = journal;
    const found = [...journal.found('call')].map(([id, text]) => [id, sabotage.stored?.(text) ?? text] as const);
    const store = storeCalls(journal, SIMULATED_CONFIG, () => this.dispatcher);
    this.dispatcher = this.#newDispatcher(store);
    trace.event(node.nowMs, node.name, node.name, `starts again with ${found.length} calls`);
    restoreCalls({
      journal: { found: () => found, rewrite: () => journal.rewrite() },
      config: SIMULATED_CONFIG,
      dispatcher: this.dispatcher,
      mfs: { adopt: (_mf, contextId) => this.#adopt(contextId) },
      timers,
      log,
      metrics,
    });
    node.isDown = false;
  }

  /** R25: the MF frees what belonged to former processes, but for what the living one has taken over. */
  leaseEnds(): void {
    const { mfs, sabotage } = this.#options;
    if (sabotage.lease === false) return;
    const held = new Set([...this.dispatcher.calls()].map((call) => call.media?.context.contextId));
    for (const contextId of this.#former) if (!held.has(contextId)) for (const mf of mfs) mf.contexts.delete(contextId);
    this.#former.clear();
  }

  #adopt(contextId: string): boolean {
    const { node, mfs, random } = this.#options;
    const epoch = this.#epoch;
    node.network.timers.after(random.between(1, 20), () => {
      const isHeld = mfs.some((mf) => mf.contexts.has(contextId));
      if (epoch === this.#epoch && !isHeld) this.dispatcher.contextLost(contextId, 'gone');
    });
    return true;
  }

  get node(): SipNode {
    return this.#options.node;
  }

  get transactions(): number {
    const { clients, servers } = this.#options.node.layer.size;
    return clients + servers;
  }

  #sipPort(): SipPort {
    const { node } = this.#options;
    const hostOf = (uri: string): string => {
      const parsed = parseUri(uri);
      return parsed?.kind === 'sip' ? parsed.host : '0.0.0.0';
    };
    return {
      respond: (key, status, wire) => {
        const before = this.#finals.get(key);
        if (before !== undefined && before !== status)
          throw new Violation('one final response', `${node.name} answered ${before}, then ${status}`);
        if (status >= 200) this.#finals.set(key, status);
        node.call(() => node.layer.respond(key, status, wire, node.nowMs));
      },
      request: ({ wire, method, branch, nextHop }) => {
        node.call(() =>
          node.layer.request({ wire, method, branch, to: node.destination(hostOf(nextHop)) }, node.nowMs),
        );
      },
      transmit: (wire, nextHop) => node.network.send(node, hostOf(nextHop), wire),
      cancel: (branch, headers) => node.call(() => node.layer.cancel(clientKey(branch, 'INVITE'), node.nowMs, headers)),
      local: () => ({ via: `SIP/2.0/UDP ${node.host}:5060`, contact: `${node.host}:5060` }),
      isOurs: (uri) => hostOf(uri) === node.host,
    };
  }

  #servicePorts(): ServicePorts {
    return {
      notify: (call, id, notification, deadlineMs) => this.#notify(call, id, notification, deadlineMs),
      mrm: (call, id, operation, deadlineMs) => this.#mrm(call, id, operation, deadlineMs),
    };
  }

  #notify(call: string, id: string, notification: SessionEventNotification, deadlineMs: number): void {
    const { node, dcsf, random } = this.#options;
    const { timers, trace } = node.network;
    trace.event(
      node.nowMs,
      node.name,
      'dcsf',
      `${notification.notificationEvent.eventType} ${Object.keys(notification.mediaInfoList ?? {}).join(' ')}`,
    );
    const epoch = this.#epoch;
    const done = (outcome: Outcome): void => {
      // The connection went with the process.
      if (epoch !== this.#epoch) return;
      trace.event(node.nowMs, 'dcsf', node.name, outcome.ok ? `204 ${id}` : `${outcome.status} ${id}`);
      this.dispatcher.notified(call, id, outcome);
    };
    const late = timers.after(Math.max(1, deadlineMs - node.nowMs + 1), () =>
      done({ ok: false, status: 504, detail: 'too late' }),
    );
    const answer = (outcome: Outcome): void => {
      late.cancel();
      done(outcome);
    };
    const delay = dcsf.mode === 'slow' ? random.between(2000, 4000) : random.between(1, dcsf.delayMs);
    if (dcsf.mode === 'never') return;
    timers.after(delay, () => {
      if (epoch !== this.#epoch) return;
      if (dcsf.mode === 'throws') return answer({ ok: false, status: 500, detail: 'the decision threw' });
      const request = notification.notificationEvent.eventType.endsWith('_REQUEST');
      const data =
        request && dcsf.mode !== 'silent' ? instructionsFor(dcsf, notification, this.#decided, random) : undefined;
      if (data === undefined) return answer({ ok: true, value: undefined });
      trace.event(
        node.nowMs,
        'dcsf',
        node.name,
        `instruct ${Object.values(data.mediaInstructionSet)
          .map((i) => `${i.mediaId}:${i.mediaInstruction ?? 'pass'}`)
          .join(' ')}`,
      );
      let key = random.hex(4);
      if (random.chance(0.1)) key = 'again';
      void this.dispatcher.instruct(data, key).then((result) => {
        trace.event(
          node.nowMs,
          node.name,
          'dcsf',
          result.ok ? 'instruction 200' : `instruction ${result.problem.status} ${result.problem.detail}`,
        );
        timers.after(random.between(1, 20), () => answer({ ok: true, value: undefined }));
      });
    });
  }

  /** The pool: an MF that is known to be lost is not asked, one that refuses the connection hands on to the next. */
  #mfFor(operation: MrmOperation): MfModel | undefined {
    const { mfs } = this.#options;
    if (operation.method !== 'POST') return mfs.find((mf) => mf.address === operation.mf);
    return mfs.find((mf) => !this.#lost.has(mf) && mf.state !== 'killed');
  }

  /** What the watch over the MF finds out (R25): it is not there, or has forgotten these contexts. */
  mfLost(mf: MfModel, contextIds: ReadonlySet<string>): void {
    const { node } = this.#options;
    node.network.trace.event(node.nowMs, 'watch', node.name, `${mf.address} lost`);
    if (mf.state !== 'up') this.#lost.add(mf);
    this.dispatcher.contextsLost(contextIds, 'simulated');
  }

  /** It answers again: what it still holds has been moved elsewhere, and is deleted. */
  mfBack(mf: MfModel, contextIds: ReadonlySet<string>): void {
    if (!this.#lost.delete(mf)) return;
    for (const contextId of contextIds) mf.run({ method: 'DELETE', mf: mf.address, contextId });
  }

  #mrm(call: string, id: string, operation: MrmOperation, deadlineMs: number): void {
    const { node } = this.#options;
    const { timers, trace } = node.network;
    const mf = this.#mfFor(operation);
    const name = mf?.address ?? 'nobody';
    trace.event(
      node.nowMs,
      node.name,
      name,
      `${operation.method} ${id} ${operation.method === 'POST' ? operation.context.terminations.map((t) => `${t.terminationId}{${t.medias.map((m) => m.mediaId)}}`).join(' ') : operation.contextId}`,
    );
    if (operation.method === 'DELETE' && mf?.state === 'up' && !this.#orphans.has(operation.contextId)) {
      try {
        this.#options.onDelete(mf, operation.contextId);
      } catch (error) {
        // By itself: the AS has more to do in this turn.
        timers.after(0, () => {
          throw error;
        });
      }
    }
    const epoch = this.#epoch;
    const reply = (outcome: Outcome<MrmReply>): void => {
      if (epoch !== this.#epoch) return;
      trace.event(node.nowMs, name, node.name, outcome.ok ? `2xx ${id}` : `${outcome.status} ${id} ${outcome.detail}`);
      const taken = this.dispatcher.mrmReplied(call, id, outcome);
      this.#storeAndRestore();
      const orphan = outcome.ok ? outcome.value.context?.contextId : undefined;
      if (!taken && operation.method === 'POST' && orphan !== undefined)
        mf?.run({ method: 'DELETE', mf: name, contextId: orphan });
    };
    const untilMs = Math.max(1, deadlineMs - node.nowMs);
    if (mf === undefined) {
      timers.after(1, () => reply({ ok: false, status: 503, detail: 'no MF is left to ask' }));
      return;
    }
    const delay = mf.delay(operation);
    if (delay === undefined || delay > untilMs)
      timers.after(untilMs, () => reply({ ok: false, status: 504, detail: 'no answer in time' }));
    if (delay !== undefined) {
      timers.after(delay, () => {
        const outcome = mf.run(operation);
        if (epoch !== this.#epoch && outcome.ok) this.#former.add(outcome.value.context?.contextId ?? '');
        if (delay <= untilMs) reply(outcome);
        // The client gave up; a late 201 is an orphan that its owner deletes (R17).
        else if (operation.method === 'POST' && outcome.ok) {
          this.#orphans.add(outcome.value.context?.contextId ?? '');
          reply(outcome);
        }
      });
    }
  }

  /** Crash and restart: the record is all that survives. */
  #storeAndRestore(): void {
    const { restore, random } = this.#options;
    if (restore === 0 || !random.chance(restore)) return;
    for (const call of this.dispatcher.calls()) {
      const stored = JSON.parse(JSON.stringify(call)) as Call;
      for (const key of Object.keys(call)) delete (call as unknown as Record<string, unknown>)[key];
      Object.assign(call, stored);
    }
  }
}
