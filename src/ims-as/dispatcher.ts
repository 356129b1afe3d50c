import type { Timer, Timers } from '../base/timers.ts';
import type { ProblemDetails } from '../services/common-data.ts';
import type { MediaInstructionData, SessionEventNotification } from '../services/nimsas.ts';
import { checkRequest, parseAddress } from '../sip/message/index.ts';
import { buildResponse } from '../sip/message/writer.ts';
import type { ServerKey, SipMessage, TransactionUserEvent } from '../sip/types.ts';
import { Capabilities } from './b2bua/capability.ts';
import { ownResponse } from './b2bua/compose.ts';
import { callOfBranch, readTag } from './b2bua/identity.ts';
import { iscContext } from './b2bua/session-case.ts';
import { completeTurn, handleCallEvent } from './call/call.ts';
import { createCall, startCall } from './call/invite.ts';
import type {
  Call,
  CallConfig,
  CallEffect,
  CallEnvironment,
  CallEvent,
  DeadlineName,
  InstructionResult,
  LocalAddress,
  MrmOperation,
  MrmReply,
  Outcome,
  SessionCase,
} from './call/types.ts';

/** SIP as the dispatcher needs it: over sockets, or in virtual time. It must not call back before it returns. */
export interface SipPort {
  respond(key: ServerKey, status: number, wire: string): void;
  request(options: { wire: string; method: string; branch: string; nextHop: string }): void;
  /** Without a transaction. */
  transmit(wire: string, nextHop: string): void;
  cancel(branch: string, headers: string): void;
  local(nextHop: string): LocalAddress;
  /** Whether a Route URI names this AS. */
  isOurs(uri: string): boolean;
}

/** DC1 towards the DCSF and DC2 towards the MFs. Outcomes come back through `notified` and `mrmReplied`, always. */
export interface ServicePorts {
  notify(call: string, id: string, notification: SessionEventNotification, deadlineMs: number): void;
  mrm(call: string, id: string, operation: MrmOperation, deadlineMs: number): void;
}

export interface DispatcherOptions {
  readonly sip: SipPort;
  readonly services: ServicePorts;
  readonly timers: Timers;
  readonly config: CallConfig;
  /** Without P-Served-User and orig/term (R22). */
  readonly sessionCase: SessionCase;
  readonly maxCalls: number;
  readonly mintId: () => string;
  readonly random: (bytes: number) => string;
  readonly onEnded: (call: Call) => void;
  /** A call threw: a bug of ours. The call is released. */
  readonly onError: (error: unknown, call: Call) => void;
}

interface Entry {
  readonly call: Call;
  /** Deadlines soon enough for a timer of their own. */
  readonly timers: Map<DeadlineName, Timer>;
  /** Instructions by idempotency key, so that a repeated one is executed once (29.500 6.10). */
  instructions: Map<string, Promise<InstructionResult>> | undefined;
}

/** Deadlines further away are looked for by the sweep instead: millions of sleeping timers cost nothing then. */
const NEAR_MS = 20_000;
const SWEEP_MS = 5_000;
/** Idempotency keys remembered per call. */
const MAX_INSTRUCTIONS = 64;
/** Seconds. */
const RETRY_AFTER = 2;

const METHODS = 'INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, PRACK, UPDATE, INFO, MESSAGE, REFER, NOTIFY';
const SCHEMES: ReadonlySet<string> = new Set(['sip', 'sips', 'tel', 'urn']);

/** Finds the call of every event in one look-up, runs it, and carries out what it wants. One per AS. */
export class Dispatcher {
  readonly capabilities = new Capabilities();
  readonly counts = { calls: 0, refusedCalls: 0, strayMessages: 0, lateInstructions: 0 };
  readonly #options: DispatcherOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #sessions = new Map<string, string>();
  readonly #invites = new Map<ServerKey, string>();
  readonly #env: CallEnvironment & { nowMs: number };
  readonly #pendingInstructions = new Map<string, (result: InstructionResult) => void>();
  #instructionSerial = 0;
  #sweep: Timer;
  #closed = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#env = {
      nowMs: options.timers.nowMs(),
      random: options.random,
      config: options.config,
      local: (nextHop) => options.sip.local(nextHop),
      counterpart: (callId, toTag, fromTag) => this.#counterpart(callId, toTag, fromTag),
    };
    this.#sweep = options.timers.after(SWEEP_MS, () => this.#lookForDeadlines());
  }

  get size(): number {
    return this.#entries.size;
  }

  calls(): IterableIterator<Entry> {
    return this.#entries.values();
  }

  close() {
    this.#closed = true;
    this.#sweep.cancel();
    for (const entry of this.#entries.values()) for (const timer of entry.timers.values()) timer.cancel();
    for (const resolve of this.#pendingInstructions.values()) resolve({ ok: false, problem: gone() });
    this.#pendingInstructions.clear();
  }

  // SIP

  transactionEvent(event: TransactionUserEvent) {
    switch (event.kind) {
      case 'request':
        return this.#request(event.key, event.message);
      case 'ack': {
        const owner = readTag(event.message.toTag);
        const entry = owner === undefined ? undefined : this.#entries.get(owner.callId);
        if (entry === undefined || owner === undefined) return this.#stray();
        return this.#run(entry, { from: 'sip', kind: 'ack', leg: owner.leg, message: event.message });
      }
      case 'cancel': {
        const entry = this.#entries.get(this.#invites.get(event.key) ?? '');
        if (entry === undefined) return this.#stray();
        return this.#run(entry, { from: 'sip', kind: 'cancel', key: event.key, message: event.message });
      }
      case 'response': {
        const { branch } = event.message.via;
        const entry = this.#entries.get(callOfBranch(branch));
        if (entry === undefined) return this.#stray();
        return this.#run(entry, { from: 'sip', kind: 'response', branch, message: event.message });
      }
      case 'clientFailed': {
        const branch = event.key.slice(0, event.key.indexOf(' '));
        const entry = this.#entries.get(callOfBranch(branch));
        if (entry === undefined) return this.#stray();
        return this.#run(entry, { from: 'sip', kind: 'clientFailed', branch, reason: event.reason });
      }
      case 'serverFailed': {
        const entry = this.#entries.get(this.#invites.get(event.key) ?? '');
        if (entry !== undefined) this.#run(entry, { from: 'sip', kind: 'serverFailed', key: event.key });
        return;
      }
      case 'strayResponse':
        return this.#stray();
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
    const entry = owner === undefined ? undefined : this.#entries.get(owner.callId);
    if (entry === undefined || owner === undefined) return this.#answer(key, message, 481);
    if (message.method === 'INVITE') this.#invites.set(key, entry.call.id);
    this.#run(entry, { from: 'sip', kind: 'request', leg: owner.leg, key, message });
  }

  #outOfDialog(key: ServerKey, message: SipMessage) {
    const forwards = message.method === 'INVITE';
    const refusal = checkRequest(
      message,
      forwards ? { schemes: SCHEMES, forwards } : { schemes: SCHEMES, forwards, supported: NONE },
    );
    if (refusal !== undefined) return this.#answer(key, message, refusal.status, refusal.headers, refusal.reason);
    switch (message.method) {
      case 'INVITE':
        return this.#invite(key, message);
      case 'REGISTER':
        return this.#register(key, message);
      case 'OPTIONS':
        return this.#answer(
          key,
          message,
          200,
          `Allow: ${METHODS}\r\nAccept: application/sdp\r\nSupported: 100rel, timer, replaces\r\n`,
        );
      default:
        return this.#answer(key, message, 405, `Allow: ${METHODS}\r\n`);
    }
  }

  /** Third-party registration (24.229 5.4.1.7): always 200; the AS registers nobody. */
  #register(key: ServerKey, message: SipMessage) {
    const user = parseAddress(message.first('to') ?? '')?.uri;
    if (user !== undefined) this.capabilities.learn(user, message, this.#options.timers.nowMs());
    const expires = message.first('expires');
    this.#answer(key, message, 200, expires === undefined ? '' : `Expires: ${expires}\r\n`);
  }

  #invite(key: ServerKey, message: SipMessage) {
    if (this.#closed || this.#entries.size >= this.#options.maxCalls) {
      this.counts.refusedCalls++;
      return this.#answer(key, message, 503, `Retry-After: ${RETRY_AFTER}\r\n`);
    }
    if (message.first('contact') === undefined) return this.#answer(key, message, 400, '', 'Missing Contact');
    const { sip, sessionCase, mintId, timers, random } = this.#options;
    const nowMs = timers.nowMs();
    const isc = iscContext(message, (uri) => sip.isOurs(uri), sessionCase);
    const call = createCall(message, {
      id: mintId(),
      sessionId: uuid(random(16)),
      isc,
      calleeSupportsDataChannel: this.capabilities.supports(isc.called, nowMs),
      nowMs,
    });
    const entry: Entry = { call, timers: new Map(), instructions: undefined };
    this.#entries.set(call.id, entry);
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
      return this.#crashed(entry, error);
    }
    this.#perform(entry, effects);
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
    const entry = this.#entries.get(callId);
    if (entry !== undefined) this.#run(entry, { from: 'dcsf', kind: 'notified', id, outcome });
  }

  /** Undefined: no such call; a context that it brings is an orphan, to be deleted by the caller. */
  mrmReplied(callId: string, id: string, outcome: Outcome<MrmReply>): boolean {
    const entry = this.#entries.get(callId);
    if (entry !== undefined) this.#run(entry, { from: 'mf', kind: 'reply', id, outcome });
    return entry !== undefined;
  }

  contextLost(contextId: string, reason: string) {
    this.contextsLost(new Set([contextId]), reason);
  }

  /** The MF does not hold these contexts any more: each call repairs itself (R25). */
  contextsLost(contextIds: ReadonlySet<string>, reason: string) {
    for (const entry of [...this.#entries.values()]) {
      const contextId = entry.call.media?.context.contextId;
      if (contextId !== undefined && contextIds.has(contextId))
        this.#run(entry, { from: 'mf', kind: 'lost', contextId, reason });
    }
  }

  instruct(data: MediaInstructionData, idempotencyKey: string): Promise<InstructionResult> {
    const entry = this.#entries.get(this.#sessions.get(data.sessionId) ?? '');
    if (entry === undefined) {
      this.counts.lateInstructions++;
      return Promise.resolve({ ok: false, problem: gone() });
    }
    const known = entry.instructions?.get(idempotencyKey);
    if (known !== undefined) return known;
    const id = `i${this.#instructionSerial++}`;
    const result = new Promise<InstructionResult>((resolve) => this.#pendingInstructions.set(id, resolve));
    entry.instructions ??= new Map();
    if (entry.instructions.size < MAX_INSTRUCTIONS) entry.instructions.set(idempotencyKey, result);
    this.#run(entry, { from: 'dcsf', kind: 'instruction', id, data });
    return result;
  }

  /** The operator ends a call, or all of them. */
  release(callId?: string) {
    for (const entry of [...this.#entries.values()]) {
      if (callId === undefined || entry.call.id === callId) this.#run(entry, { from: 'operator', command: 'release' });
    }
  }

  #run(entry: Entry, event: CallEvent) {
    const effects: CallEffect[] = [];
    this.#env.nowMs = this.#options.timers.nowMs();
    try {
      handleCallEvent(entry.call, event, this.#env, { emit: (effect) => void effects.push(effect) });
    } catch (error) {
      return this.#crashed(entry, error);
    }
    this.#perform(entry, effects);
  }

  /** A bug must not take other calls with it. What the call holds is given back as well as can be. */
  #crashed(entry: Entry, error: unknown) {
    const { call } = entry;
    this.#options.onError(error, call);
    const context = call.media?.context;
    if (context !== undefined && context.contextId !== '') {
      const operation = { method: 'DELETE' as const, mf: context.mf, contextId: context.contextId };
      this.#options.services.mrm(call.id, `d${call.serial++}`, operation, this.#env.nowMs + NEAR_MS);
    }
    for (const exchange of call.exchanges) {
      if (exchange.server === null || exchange.answered !== 0) continue;
      const tag = call.forks[0]!.dialogs[exchange.from].localTag;
      this.#options.sip.respond(exchange.server, 500, ownResponse(exchange, 500, tag));
    }
    call.record.outcome = 'internal error';
    this.#forget(entry);
  }

  #perform(entry: Entry, effects: readonly CallEffect[]) {
    const { sip, services } = this.#options;
    const { call } = entry;
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
          this.#arm(entry, effect.name, effect.atMs);
          break;
        case 'notify':
          services.notify(call.id, effect.id, effect.notification, effect.deadlineMs);
          break;
        case 'mrm':
          services.mrm(call.id, effect.id, effect.operation, effect.deadlineMs);
          break;
        case 'answerInstruction': {
          const resolve = this.#pendingInstructions.get(effect.id);
          this.#pendingInstructions.delete(effect.id);
          resolve?.(effect.result);
          break;
        }
        case 'ended':
          this.#forget(entry);
          break;
        default:
          effect satisfies never;
      }
    }
  }

  #arm(entry: Entry, name: DeadlineName, atMs: number) {
    entry.timers.get(name)?.cancel();
    entry.timers.delete(name);
    const delay = atMs - this.#options.timers.nowMs();
    if (delay > NEAR_MS) return;
    const timer = this.#options.timers.after(delay, () => {
      entry.timers.delete(name);
      this.#due(entry, name);
    });
    entry.timers.set(name, timer);
  }

  #due(entry: Entry, name: DeadlineName) {
    const at = entry.call.deadlines[name];
    if (at === undefined || this.#entries.get(entry.call.id) !== entry) return;
    if (at > this.#options.timers.nowMs()) return this.#arm(entry, name, at);
    this.#run(entry, { from: 'timer', name });
  }

  /** Session timers, ringing, lingering: seconds do not matter there. */
  #lookForDeadlines() {
    const soon = this.#options.timers.nowMs() + SWEEP_MS;
    for (const entry of [...this.#entries.values()]) {
      for (const name in entry.call.deadlines) {
        const deadline = name as DeadlineName;
        if (entry.call.deadlines[deadline]! <= soon && !entry.timers.has(deadline))
          this.#arm(entry, deadline, entry.call.deadlines[deadline]!);
      }
    }
    if (!this.#closed) this.#sweep = this.#options.timers.after(SWEEP_MS, () => this.#lookForDeadlines());
  }

  #forget(entry: Entry) {
    const { call } = entry;
    this.#entries.delete(call.id);
    this.#sessions.delete(call.sessionId);
    for (const timer of entry.timers.values()) timer.cancel();
    for (const exchange of call.exchanges) if (exchange.server !== null) this.#invites.delete(exchange.server);
    this.#options.onEnded(call);
  }

  /** R21: both of our dialogs of one call, by Call-ID and tags. */
  #counterpart(
    callId: string,
    toTag: string,
    fromTag: string,
  ): { callId: string; toTag: string; fromTag: string } | undefined {
    const owner = readTag(toTag) ?? readTag(fromTag);
    const call = owner === undefined ? undefined : this.#entries.get(owner.callId)?.call;
    if (call === undefined || owner === undefined || call.legs[owner.leg].callId !== callId) return undefined;
    const ours = readTag(toTag) === undefined ? fromTag : toTag;
    const theirs = ours === toTag ? fromTag : toTag;
    const fork = call.forks.find(
      ({ dialogs }) => dialogs[owner.leg].localTag === ours && dialogs[owner.leg].remoteTag === theirs,
    );
    const far = owner.leg === 'served' ? 'remote' : 'served';
    if (fork === undefined) return undefined;
    const { localTag, remoteTag } = fork.dialogs[far];
    // Seen from the far peer, what was ours is now its own, and the other way round.
    return {
      callId: call.legs[far].callId,
      toTag: ours === toTag ? remoteTag : localTag,
      fromTag: ours === toTag ? localTag : remoteTag,
    };
  }
}

const NONE: ReadonlySet<string> = new Set();

function gone(): ProblemDetails {
  return { status: 404, cause: 'RESOURCE_URI_STRUCTURE_NOT_FOUND', detail: 'no such session' };
}

/** RFC 9562 version 4 from 32 hex digits. */
function uuid(hex: string): string {
  const variant = ((Number.parseInt(hex[16]!, 16) & 3) | 8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
