import { sessionIdOf } from '../base/ids.ts';
import type { Timers } from '../base/timers.ts';
import type { MediaInstructionData } from '../services/nimsas.ts';
import { buildResponse } from '../sip/message/writer.ts';
import type { ClientKey, ServerKey, SipMessage, TransactionUserEvent } from '../sip/types.ts';
import { Capabilities, type Capability } from './b2bua/capability.ts';
import { ownResponse } from './b2bua/compose.ts';
import { counterpart, type DialogName } from './b2bua/counterpart.ts';
import { callOfBranch, readTag } from './b2bua/identity.ts';
import { iscContext } from './b2bua/session-case.ts';
import { completeTurn, handleCallEvent } from './call/call.ts';
import { createCall, startCall } from './call/invite.ts';
import { notify } from './call/notify.ts';
import type {
  Call,
  CallConfig,
  CallEffect,
  CallEnvironment,
  CallEvent,
  DeadlineName,
  InstructionResult,
  MrmReply,
  Outcome,
  SessionCase,
} from './call/types.ts';

import { CallDeadlines } from './call-deadlines.ts';
import { type ClosedLine, ClosedLines } from './closed-lines.ts';
import { type Counterparts, type DialogsElsewhere, keyOf } from './dialogs-elsewhere.ts';
import { InstructionDesk, noSuchSession } from './instruction-desk.ts';
import { answerAlone } from './out-of-dialog.ts';
import type { ServicePorts, SipPort, Touch } from './ports.ts';
import { DEFAULT_PACE, RepairPace } from './repair-pace.ts';

export interface DispatcherOptions {
  readonly sip: SipPort;
  readonly services: ServicePorts;
  readonly timers: Timers;
  readonly config: CallConfig;
  /** How fast calls that lost their MF ask for another one (R25). Default DEFAULT_PACE. */
  readonly repairs?: { readonly perSecond: number; readonly burst: number };
  /** Without P-Served-User and orig/term (R22). */
  readonly sessionCase: SessionCase;
  readonly maxCalls: number;
  readonly mintId: () => string;
  readonly random: (bytes: number) => string;
  /** After each event of a call that went well; changes nothing. */
  readonly onEvent?: ((call: Call) => void) | undefined;
  /** Of the route token (R21); default 0. */
  readonly worker?: number;
  /** Absent where there is no other worker. */
  readonly elsewhere?: DialogsElsewhere | undefined;
  /** What a third-party REGISTER has told, for other workers (R23). */
  readonly learnt?: (capability: Capability) => void;
  readonly onEnded: (call: Call) => void;
  /** A call threw: a bug of ours. The call is released. */
  readonly onError: (error: unknown, call: Call) => void;
  /** Told of every call that may have changed, by id. */
  readonly store?: Touch | undefined;
}

const NONE: Counterparts = new Map();
/** Losses that are told one by one within this time are looked up together. */
const LOSS_BATCH_MS = 20;
/** For giving back what a crashed call held. */
const CLEAN_UP_MS = 20_000;
/** Seconds. */
const RETRY_AFTER = 2;

/** Finds the call of every event in one look-up, runs it, and carries out what it wants. One per AS. */
export class Dispatcher {
  readonly capabilities: Capabilities;
  readonly counts = {
    calls: 0,
    refusedCalls: 0,
    strayMessages: 0,
    lateInstructions: 0,
    /** Calls whose data channels moved to another MF after a loss, and calls that lost them. */
    reanchored: 0,
    givenUp: 0,
  };
  readonly #options: DispatcherOptions;
  readonly #calls = new Map<string, Call>();
  readonly #sessions = new Map<string, string>();
  readonly #invites = new Map<ServerKey, string>();
  readonly #env: CallEnvironment & { nowMs: number };
  readonly #instructions = new InstructionDesk();
  readonly #deadlines: CallDeadlines;
  /** Why, by context: told one by one, looked up together. */
  readonly #lost = new Map<string, string>();
  readonly #closedLines: ClosedLines;
  /** What other workers have said of the dialogs that the message being served names. */
  #counterparts: Counterparts = NONE;
  #closed = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.capabilities = new Capabilities({ learnt: options.learnt });
    const pace = new RepairPace(options.repairs ?? DEFAULT_PACE);
    this.#env = {
      nowMs: options.timers.nowMs(),
      random: options.random,
      config: options.config,
      repairSlotMs: (priority) => pace.slotMs(options.timers.nowMs(), priority),
      local: (nextHop) => options.sip.local(nextHop),
      counterpart: (name) => this.counterpart(name) ?? this.#counterparts.get(keyOf(name)),
    };
    this.#closedLines = new ClosedLines(options.timers, (lines) => this.#serverClosed(lines));
    this.#deadlines = new CallDeadlines(options.timers, (id, name) => {
      const call = this.#calls.get(id);
      if (call === undefined) return;
      this.#run(call, { from: 'timer', name });
      if (name === 'rest') this.#instructions.forget(id);
    });
  }

  get size(): number {
    return this.#calls.size;
  }

  /** Calls that the callee has answered. Looks at each call: for who asks now and then. */
  get answered(): number {
    let count = 0;
    for (const { state } of this.#calls.values()) if (state === 'established') count++;
    return count;
  }

  calls(): IterableIterator<Call> {
    return this.#calls.values();
  }

  call(id: string): Call | undefined {
    return this.#calls.get(id);
  }

  /** A call of a former process (design 7): its requests are served from now on. `resume` it, soon. */
  adopt(call: Call): void {
    this.#calls.set(call.id, call);
    this.#sessions.set(call.sessionId, call.id);
    for (const [name, atMs] of Object.entries(call.deadlines)) this.#deadlines.arm(call, name as DeadlineName, atMs);
  }

  /** Brings the MF and the DCSF to what an adopted call says. */
  resume(callId: string): void {
    const call = this.#calls.get(callId);
    if (call !== undefined) this.#run(call, { from: 'store', kind: 'restored' });
  }

  /** R21, for the message of another worker. */
  counterpart(name: DialogName): DialogName | undefined {
    return counterpart(name, (id) => this.#calls.get(id));
  }

  hasSession(sessionId: string): boolean {
    return this.#sessions.has(sessionId);
  }

  close() {
    this.#closed = true;
    this.#deadlines.close();
    this.#instructions.close();
  }

  // SIP

  transactionEvent(event: TransactionUserEvent) {
    switch (event.kind) {
      case 'request':
        return this.#request(event.key, event.message);
      case 'ack': {
        const owner = readTag(event.message.toTag);
        const call = owner === undefined ? undefined : this.#calls.get(owner.callId);
        if (call === undefined || owner === undefined) return this.#stray();
        return this.#run(call, { from: 'sip', kind: 'ack', leg: owner.leg, message: event.message });
      }
      case 'cancel': {
        const call = this.#calls.get(this.#invites.get(event.key) ?? '');
        if (call === undefined) return this.#stray();
        return this.#run(call, { from: 'sip', kind: 'cancel', key: event.key, message: event.message });
      }
      case 'response': {
        // Not that of its Via, which another attempt may have made (RFC 3263 4.3).
        const branch = branchOfKey(event.key);
        const call = this.#calls.get(callOfBranch(branch));
        if (call === undefined) return this.#stray();
        return this.#run(call, { from: 'sip', kind: 'response', branch, message: event.message });
      }
      case 'clientFailed': {
        const branch = branchOfKey(event.key);
        const call = this.#calls.get(callOfBranch(branch));
        if (call === undefined) return this.#stray();
        return this.#run(call, { from: 'sip', kind: 'clientFailed', branch, reason: event.reason });
      }
      case 'serverFailed': {
        const call = this.#calls.get(this.#invites.get(event.key) ?? '');
        if (call !== undefined) this.#run(call, { from: 'sip', kind: 'serverFailed', key: event.key });
        return;
      }
      case 'strayResponse': {
        // Its transaction may have gone with a former process: a 2xx must have its ACK all the same.
        const { method, status, via } = event.message;
        const call = method === 'INVITE' && status >= 200 ? this.#calls.get(callOfBranch(via.branch)) : undefined;
        if (call === undefined) return this.#stray();
        return this.#run(call, { from: 'sip', kind: 'response', branch: via.branch, message: event.message });
      }
      default:
        event satisfies never;
    }
  }

  #stray() {
    this.counts.strayMessages++;
  }

  #request(key: ServerKey, message: SipMessage) {
    if (message.toTag === '') return this.#outOfDialog(key, message);
    const owner = readTag(message.toTag);
    const call = owner === undefined ? undefined : this.#calls.get(owner.callId);
    if (call === undefined || owner === undefined) return this.#answer(key, message, 481);
    if (message.method === 'INVITE') this.#invites.set(key, call.id);
    const event: CallEvent = { from: 'sip', kind: 'request', leg: owner.leg, key, message };
    const asked = this.#options.elsewhere?.counterparts(message);
    if (asked === undefined) return this.#run(call, event);
    void asked.then((counterparts) => {
      if (this.#calls.get(call.id) !== call) return this.#answer(key, message, 481);
      this.#counterparts = counterparts;
      this.#run(call, event);
      this.#counterparts = NONE;
    });
  }

  #outOfDialog(key: ServerKey, message: SipMessage) {
    const own = answerAlone(message, this.capabilities, this.#options.timers.nowMs());
    if (own === undefined) return this.#invite(key, message);
    this.#answer(key, message, own.status, own.headers, own.reason);
  }

  #invite(key: ServerKey, message: SipMessage) {
    if (this.#closed || this.#calls.size >= this.#options.maxCalls) {
      this.counts.refusedCalls++;
      return this.#answer(key, message, 503, `Retry-After: ${RETRY_AFTER}\r\n`);
    }
    if (message.first('contact') === undefined) return this.#answer(key, message, 400, '', 'Missing Contact');
    const { sip, sessionCase, mintId, worker = 0, timers, random } = this.#options;
    const nowMs = timers.nowMs();
    const isc = iscContext(message, (uri) => sip.isOurs(uri), sessionCase);
    const call = createCall(message, {
      id: mintId(),
      sessionId: sessionIdOf(worker, random(16)),
      isc,
      calleeSupportsDataChannel: this.capabilities.supports(isc.called, nowMs),
      nowMs,
    });
    this.#calls.set(call.id, call);
    this.#sessions.set(call.sessionId, call.id);
    this.#invites.set(key, call.id);
    this.counts.calls++;
    const effects: CallEffect[] = [];
    this.#env.nowMs = nowMs;
    const turn = { call, env: this.#env, out: { emit: (effect: CallEffect) => void effects.push(effect) } };
    try {
      startCall(turn, key, message);
      completeTurn(turn);
    } catch (error) {
      return this.#crashed(call, error);
    }
    this.#options.onEvent?.(call);
    this.#perform(call, effects);
  }

  #answer(key: ServerKey, message: SipMessage, status: number, headers = '', reason?: string) {
    const toTag = this.#options.mintId();
    this.#options.sip.respond(
      key,
      status,
      buildResponse(message, status, { toTag, headers, ...(reason === undefined ? {} : { reason }) }),
    );
  }

  // DC1, DC2, timers

  notified(callId: string, id: string, outcome: Outcome) {
    const call = this.#calls.get(callId);
    if (call !== undefined) this.#run(call, { from: 'dcsf', kind: 'notified', id, outcome });
  }

  /** Undefined: no such call; a context that it brings is an orphan, to be deleted by the caller. */
  mrmReplied(callId: string, id: string, outcome: Outcome<MrmReply>): boolean {
    const call = this.#calls.get(callId);
    if (call !== undefined) this.#run(call, { from: 'mf', kind: 'reply', id, outcome });
    return call !== undefined;
  }

  /** The MF says that it does not hold this context any more. A worker that dies loses thousands: one look-up for all. */
  contextLost(contextId: string, reason: string) {
    const isArmed = this.#lost.size > 0;
    this.#lost.set(contextId, reason);
    if (isArmed) return;
    this.#options.timers.after(LOSS_BATCH_MS, () => {
      const lost = new Map(this.#lost);
      this.#lost.clear();
      for (const [why, ids] of Map.groupBy(lost.keys(), (id) => lost.get(id)!)) this.contextsLost(new Set(ids), why);
    });
  }

  /** The MF does not hold these contexts any more: each call repairs itself when its turn comes (R25). */
  contextsLost(contextIds: ReadonlySet<string>, reason: string) {
    for (const call of [...this.#calls.values()]) {
      const contextId = call.media?.context.contextId;
      if (contextId !== undefined && contextIds.has(contextId))
        this.#run(call, { from: 'mf', kind: 'lost', contextId, reason });
    }
  }

  /** The MF says that the DC AS of a line has closed its last channel. */
  serverClosed(line: ClosedLine) {
    this.#closedLines.add(line);
  }

  /** So many were not looked at, because too many waited. */
  get closedLinesDropped(): number {
    return this.#closedLines.dropped;
  }

  #serverClosed(lines: readonly ClosedLine[]) {
    const byContext = Map.groupBy(lines, ({ contextId }) => contextId);
    for (const call of [...this.#calls.values()]) {
      const closed = byContext.get(call.media?.context.contextId ?? '') ?? [];
      for (const line of closed) this.#run(call, { from: 'mf', kind: 'serverClosed', ...line });
    }
  }

  instruct(data: MediaInstructionData, idempotencyKey: string): Promise<InstructionResult> {
    const call = this.#calls.get(this.#sessions.get(data.sessionId) ?? '');
    if (call === undefined) {
      this.counts.lateInstructions++;
      return Promise.resolve({ ok: false, problem: noSuchSession() });
    }
    return this.#instructions.take(call.id, idempotencyKey, (id) =>
      this.#run(call, { from: 'dcsf', kind: 'instruction', id, data }),
    );
  }

  /** The operator ends a call, or all of them. */
  release(callId?: string) {
    for (const call of [...this.#calls.values()]) {
      if (callId === undefined || call.id === callId) this.#run(call, { from: 'operator', command: 'release' });
    }
  }

  #run(call: Call, event: CallEvent) {
    const effects: CallEffect[] = [];
    this.#env.nowMs = this.#options.timers.nowMs();
    try {
      handleCallEvent(call, event, this.#env, { emit: (effect) => void effects.push(effect) });
    } catch (error) {
      return this.#crashed(call, error);
    }
    this.#options.onEvent?.(call);
    // Nothing was said or heard: nothing to store either, and writing the record would spread it out again.
    if (event.from === 'timer' && event.name === 'rest' && effects.length === 0) return;
    this.#perform(call, effects);
  }

  /** A bug must not take other calls with it. What the call holds is given back as well as can be. */
  #crashed(call: Call, error: unknown) {
    this.#options.onError(error, call);
    const context = call.media?.context;
    if (context !== undefined && context.contextId !== '') {
      const operation = { method: 'DELETE' as const, mf: context.mf, contextId: context.contextId };
      this.#options.services.mrm(call.id, `d${call.serial++}`, operation, this.#env.nowMs + CLEAN_UP_MS);
    }
    if (call.media !== null) {
      const out = { emit: (effect: CallEffect) => this.#perform(call, [effect]) };
      notify({ call, env: this.#env, out }, 'SESSION_TERMINATION', call.caller, {});
    }
    for (const exchange of call.exchanges) {
      if (exchange.server === null || exchange.answered !== 0) continue;
      const tag = call.forks[0]!.dialogs[exchange.from].localTag;
      this.#options.sip.respond(exchange.server, 500, ownResponse(exchange, 500, tag));
    }
    call.record.outcome = 'internal error';
    this.#instructions.abandon(call.id);
    this.#forget(call);
  }

  #perform(call: Call, effects: readonly CallEffect[]) {
    const { sip, services, store } = this.#options;
    store?.touch(call.id);
    for (const effect of effects) {
      switch (effect.kind) {
        case 'respond':
          if (effect.status >= 200) this.#invites.delete(effect.key);
          sip.respond(effect.key, effect.status, effect.wire);
          break;
        case 'request':
          sip.request(effect);
          break;
        case 'transmit':
          sip.transmit(effect.wire, effect.nextHop);
          break;
        case 'cancel':
          sip.cancel(effect.branch, effect.headers);
          break;
        case 'arm':
          this.#deadlines.arm(call, effect.name, effect.atMs);
          break;
        case 'notify':
          services.notify(call.id, effect.id, effect.notification, effect.deadlineMs);
          break;
        case 'mrm':
          services.mrm(call.id, effect.id, effect.operation, effect.deadlineMs);
          break;
        case 'answerInstruction': {
          this.#instructions.answer(effect.id, effect.result);
          break;
        }
        case 'repaired':
          this.counts[effect.outcome]++;
          break;
        case 'ended':
          this.#forget(call);
          break;
        default:
          effect satisfies never;
      }
    }
  }

  #forget(call: Call) {
    this.#calls.delete(call.id);
    this.#sessions.delete(call.sessionId);
    this.#options.store?.touch(call.id);
    this.#deadlines.forget(call);
    this.#instructions.forget(call.id);
    for (const exchange of call.exchanges) if (exchange.server !== null) this.#invites.delete(exchange.server);
    this.#options.onEnded(call);
  }
}

function branchOfKey(key: ClientKey): string {
  return key.slice(0, key.indexOf(' '));
}
