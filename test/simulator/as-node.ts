import type { Timers } from '../../src/base/timers.ts';
import type { Call, CallConfig, MrmOperation, MrmReply, Outcome, SessionCase } from '../../src/ims-as/call/types.ts';
import { Dispatcher } from '../../src/ims-as/dispatcher.ts';
import type { ServicePorts, SipPort } from '../../src/ims-as/ports.ts';
import type { SessionEventNotification } from '../../src/services/nimsas.ts';
import { parseUri } from '../../src/sip/message/index.ts';
import { clientKey } from '../../src/sip/transaction/index.ts';
import type { ServerKey } from '../../src/sip/types.ts';
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
  maxMessageSizeBytes: 65536,
  bootstrapBandwidthKbps: 500,
  stripHeaders: new Set(),
  mediaEventUri: '',
  acceptSha1: false,
  channelUsage: false,
  multiplexing: true,
  mfProxyNames: 'rel19',
};

/** What a test may break on purpose, to prove that the simulator sees it. */
export interface Sabotage {
  readonly timers?: (timers: Timers) => Timers;
  readonly sip?: (sip: SipPort) => SipPort;
  readonly services?: (services: ServicePorts) => ServicePorts;
}

export interface AsOptions {
  readonly node: SipNode;
  readonly dcsf: DcsfBehaviour;
  readonly mf: MfModel;
  readonly random: Random;
  readonly sessionCase: SessionCase;
  /** Between 0 and 1: how often the call record is stored and read again after an event. */
  readonly restore: number;
  readonly sabotage: Sabotage;
  /** The context is about to go: the last moment to look at it. */
  readonly onDelete: (contextId: string) => void;
}

/** One AS with its DCSF and MF, in virtual time. */
export class AsNode {
  readonly dispatcher: Dispatcher;
  readonly ended: Call[] = [];
  readonly #options: AsOptions;
  readonly #finals = new Map<ServerKey, number>();
  readonly #decided = new Set<string>();
  /** Contexts of a 201 that came too late: no call holds them. */
  readonly #orphans = new Set<string>();
  /** When an offer of ours last met a 491: what it says is not agreed until it is sent again. */
  lastGlareMs = Number.NEGATIVE_INFINITY;
  #serial = 0;

  constructor(options: AsOptions) {
    this.#options = options;
    const { node, sabotage, random } = options;
    const sip = sabotage.sip?.(this.#sip()) ?? this.#sip();
    const services = sabotage.services?.(this.#services()) ?? this.#services();
    this.dispatcher = new Dispatcher({
      sip,
      services,
      timers: sabotage.timers?.(node.network.timers) ?? node.network.timers,
      config: SIMULATED_CONFIG,
      sessionCase: options.sessionCase,
      maxCalls: 100,
      mintId: () => `${node.name}.0.1.${this.#serial++}x`,
      random: (bytes) => random.hex(bytes),
      onEnded: (call) => this.ended.push(call),
      onError: (error) => {
        throw error;
      },
    });
    node.onEvent = (event) => {
      this.dispatcher.transactionEvent(event);
      for (const call of this.dispatcher.calls()) if (call.deadlines.glare !== undefined) this.lastGlareMs = node.nowMs;
      this.#storeAndRestore();
    };
  }

  get transactions(): number {
    const { clients, servers } = this.#options.node.layer.size;
    return clients + servers;
  }

  #sip(): SipPort {
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

  #services(): ServicePorts {
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
    const done = (outcome: Outcome): void => {
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

  #mrm(call: string, id: string, operation: MrmOperation, deadlineMs: number): void {
    const { node, mf } = this.#options;
    const { timers, trace } = node.network;
    trace.event(
      node.nowMs,
      node.name,
      'mf',
      `${operation.method} ${id} ${operation.method === 'POST' ? operation.context.terminations.map((t) => `${t.terminationId}{${t.medias.map((m) => m.mediaId)}}`).join(' ') : operation.contextId}`,
    );
    if (operation.method === 'DELETE' && !this.#orphans.has(operation.contextId))
      this.#options.onDelete(operation.contextId);
    const delay = mf.delay(operation);
    const reply = (outcome: Outcome<MrmReply>): void => {
      trace.event(node.nowMs, 'mf', node.name, outcome.ok ? `2xx ${id}` : `${outcome.status} ${id} ${outcome.detail}`);
      const taken = this.dispatcher.mrmReplied(call, id, outcome);
      this.#storeAndRestore();
      const orphan = outcome.ok ? outcome.value.context?.contextId : undefined;
      if (!taken && operation.method === 'POST' && orphan !== undefined)
        mf.run({ method: 'DELETE', mf: 'mf', contextId: orphan });
    };
    const untilMs = Math.max(1, deadlineMs - node.nowMs);
    if (delay === undefined || delay > untilMs)
      timers.after(untilMs, () => reply({ ok: false, status: 504, detail: 'no answer in time' }));
    if (delay !== undefined) {
      timers.after(delay, () => {
        const outcome = mf.run(operation);
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
