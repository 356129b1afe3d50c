import { randomBytes } from 'node:crypto';
import type { Environment } from '../base/environment.ts';
import type { RouteToken } from '../base/ids.ts';
import type { Logger } from '../base/log.ts';
import type { Counter, Metrics } from '../base/metrics.ts';
import { pooledRandomHex } from '../base/random.ts';
import { ImsdcError } from '../errors.ts';
import type { GrantPort } from '../services/ndcar.ts';
import type { MediaControl, SessionEventControl, SessionEventNotification } from '../services/nimsas.ts';
import type { Journal } from '../store/journal.ts';
import type { PlacedDcsfConfig } from './config.ts';
import { DcAsConnections, type Prepared } from './connections.ts';
import type { LineCreated, LineRequest } from './dc4.ts';
import { originateChannels } from './decide/a2p.ts';
import { decide, have } from './decide/decide.ts';
import { normalisedIdentity } from './decide/identity.ts';
import { sentence } from './decide/reasons.ts';
import type { DcOnePeer, Decision, Have, Need, Policy, Question, Session } from './decide/types.ts';
import { undone } from './decide/undo.ts';
import { policyOf } from './policy.ts';
import { restoredSessions, type StoredSession, storeSessions } from './session-store.ts';
import { SessionTable } from './sessions.ts';
import { localSubscribers, type SubscriberStore } from './subscribers.ts';

export interface DcsfDependencies {
  readonly mediaControl: MediaControl;
  readonly grants: GrantPort;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Default: the configured file and defaults. */
  readonly subscribers?: SubscriberStore;
  /** Starts each content token (R21). */
  readonly token?: RouteToken;
  /** Sessions are kept here over a restart, and those of a former process taken over. */
  readonly journal?: Journal | undefined;
}

/** What a DC AS may ask for (DC4). Rejects with DCSF_NO_SESSION, DCSF_A2P_REFUSED, DCSF_INSTRUCTION_FAILED. */
export interface ChannelControl {
  add(request: LineRequest & { readonly applicationId: string }): Promise<LineCreated>;
  /** Ends a line of that application: port 0 towards the UE. */
  remove(line: { readonly applicationId: string; readonly sessionId: string; readonly mediaId: string }): Promise<void>;
}

export interface Dcsf {
  readonly sessionEvents: SessionEventControl;
  readonly channels: ChannelControl;
  /** Forgets restored sessions that the IMS AS does not know: they end with their tokens. */
  keepOnly(isKnown: (sessionId: string) => boolean): void;
  /** The newest call with data channels of that user, by its last event (epoch ms). */
  newestSession(servedUser: string): { readonly sessionId: string; readonly touchedMs: number } | null;
  status(): { sessions: number; media: number; tokens: number; pending: number };
  close(): Promise<void>;
}

/** How often sessions are checked for age. */
const SWEEP_INTERVAL_MS = 60_000;
/** A free-standing instruction may wait for an offer/answer that is open in the call. */
const FREE_STANDING_MS = 20_000;

/** The DCSF: takes session events, decides, instructs the IMS AS inside the pending notification (2.0). */
export function startDcsf(config: PlacedDcsfConfig, dependencies: DcsfDependencies): Dcsf {
  const room = new Room(config, dependencies);
  const sweep = setInterval(() => room.sweep(), SWEEP_INTERVAL_MS).unref();
  return {
    sessionEvents: { notify: (notification, { deadlineMs }) => room.notify(notification, deadlineMs) },
    channels: {
      add: (request) => room.pend(room.addLine(request)),
      remove: (line) => room.pend(room.removeLine(line)),
    },
    keepOnly: (isKnown) => room.keepOnly(isKnown),
    newestSession: (servedUser) => room.newestSession(servedUser),
    status: () => room.status(),
    close: async () => {
      clearInterval(sweep);
      await room.close();
    },
  };
}

class Room {
  readonly #policy: Policy;
  readonly #peer: DcOnePeer;
  readonly #subscribers: SubscriberStore;
  readonly #dependencies: DcsfDependencies;
  readonly #sessions: SessionTable;
  readonly #dcAs: DcAsConnections;
  readonly #environment: Environment = {
    get nowMs() {
      return Date.now();
    },
    random: pooledRandomHex(),
  };
  /** Part of every idempotency key: a restarted DCSF counts revisions from zero again. */
  readonly #epoch = randomBytes(6).toString('hex');
  #pending = 0;
  #onIdle: () => void = () => undefined;
  readonly #notifications: Counter;
  readonly #rejectedLines: Counter;
  readonly #failures: Counter;
  #closed = false;

  constructor(config: PlacedDcsfConfig, dependencies: DcsfDependencies) {
    const { metrics } = dependencies;
    this.#dependencies = dependencies;
    this.#policy = policyOf(config, dependencies.token);
    this.#peer = config.imsAs;
    this.#dcAs = new DcAsConnections(config.policy.dcAs, config.dc4.tls, dependencies.log);
    this.#subscribers = dependencies.subscribers ?? localSubscribers(config.subscribers);
    const { journal, log, grants } = dependencies;
    const touch =
      journal &&
      storeSessions(journal, {
        stored: (id) => this.#stored(id),
        ids: () => this.#sessions.ids(),
      });
    this.#sessions = new SessionTable(config.sessions, metrics, touch && ((id) => touch.touch(id)));
    for (const { session, grants: granted } of journal ? restoredSessions(journal, log) : []) {
      this.#sessions.set(session.sessionId, session, Date.now());
      grants.grant(granted);
    }
    this.#notifications = metrics.counter('imsdc_dcsf_notifications_total', 'Session events received');
    this.#rejectedLines = metrics.counter('imsdc_dcsf_rejected_lines_total', 'Data channel lines refused');
    this.#failures = metrics.counter(
      'imsdc_dcsf_instruction_failures_total',
      'Decisions that could not be carried out',
    );
    metrics.gauge('imsdc_dcsf_pending', 'Notifications not yet answered', () => this.#pending);
  }

  #stored(sessionId: string): StoredSession | undefined {
    const session = this.#sessions.get(sessionId) ?? undefined;
    const { grants } = this.#dependencies;
    return session && { schema: 1, session, grants: grants.granted?.(tokensOf(session)) ?? [] };
  }

  keepOnly(isKnown: (sessionId: string) => boolean): void {
    const unknown = [...this.#sessions.sessions()].filter(({ sessionId }) => !isKnown(sessionId));
    for (const { sessionId } of unknown) this.#sessions.set(sessionId, null, Date.now());
    this.#dependencies.grants.revoke(unknown.flatMap(tokensOf));
  }

  /** Resolves when everything for this event has been decided and carried out; rejects with a coded error. */
  notify(notification: SessionEventNotification, deadlineMs: number): Promise<void> {
    this.#notifications.value++;
    if (this.#closed) return Promise.reject(new ImsdcError('DCSF_CLOSED'));
    return this.pend(this.#handle(notification, deadlineMs));
  }

  /** Work that `close` waits for. */
  async pend<T>(work: Promise<T>): Promise<T> {
    this.#pending++;
    try {
      return await work;
    } finally {
      if (--this.#pending === 0) this.#onIdle();
    }
  }

  newestSession(servedUser: string): ReturnType<Dcsf['newestSession']> {
    const session = this.#sessions.ofServed(normalisedIdentity(servedUser));
    return session && { sessionId: session.sessionId, touchedMs: this.#sessions.touchedMs(session.sessionId) };
  }

  async addLine(request: Parameters<ChannelControl['add']>[0]) {
    const { applicationId, bootstrap = false, channels, servedUser, sessionId } = request;
    if (this.#closed) throw new ImsdcError('DCSF_CLOSED');
    const session =
      sessionId === undefined
        ? this.#sessions.ofServed(normalisedIdentity(servedUser ?? ''))
        : this.#sessions.get(sessionId);
    if (!session)
      throw new ImsdcError('DCSF_NO_SESSION', { what: 'that user has no call that could have data channels' });
    const { profile } = await this.#find({ kind: 'subscriber', identity: session.served });
    if (profile === 'unavailable')
      throw new ImsdcError('DCSF_A2P_REFUSED', { reason: sentence('PROFILE_UNAVAILABLE') });
    // As it is now: the profile may have taken a while.
    const before = this.#sessions.get(session.sessionId) ?? session;
    const asked = { applicationId, bootstrap, channels, profile };
    const question = { ...asked, session: before, policy: this.#policy, peer: this.#peer };
    const answer = originateChannels(question, this.#environment);
    if ('refused' in answer) throw new ImsdcError('DCSF_A2P_REFUSED', { reason: answer.sentence });
    const { decision, mediaId, streams } = answer;
    this.#dependencies.log.info({ sessionId: before.sessionId, outcomes: decision.outcomes }, 'A2P');
    await this.#carryOut(before, decision, Date.now() + FREE_STANDING_MS);
    return { sessionId: before.sessionId, mediaId, streams };
  }

  async removeLine({ applicationId, mediaId, sessionId }: Parameters<ChannelControl['remove']>[0]): Promise<void> {
    const before = this.#sessions.get(sessionId);
    const line = before && Object.hasOwn(before.media, mediaId) ? before.media[mediaId] : undefined;
    if (!before || line?.dcAs !== applicationId) {
      throw new ImsdcError('DCSF_NO_SESSION', { what: `${applicationId} has no such line` });
    }
    const { [mediaId]: _, ...media } = before.media;
    const instruction = { mediaId, mediaResourceType: 'DC', mediaInstruction: 'DELETE_MEDIA' };
    const session = { ...before, revision: before.revision + 1, media };
    const decision = { instructions: { [mediaId]: instruction }, outcomes: [], grants: [], revoke: [], session };
    await this.#carryOut(before, decision, Date.now() + FREE_STANDING_MS);
  }

  /** Outside a notification: the AS gives it the offer/answer slot when that is free (R16). */
  async #carryOut(before: Session, decision: Decision, deadlineMs: number): Promise<void> {
    const { sessionId } = before;
    const { grants } = this.#dependencies;
    this.#sessions.set(sessionId, decision.session, Date.now());
    const prepared = await this.#dcAs.prepare(decision, before, deadlineMs);
    if (decision.grants.length > 0) grants.grant(decision.grants);
    const refused = prepared.decision.outcomes.find(({ outcome }) => outcome === 'reject');
    try {
      if (refused) throw new ImsdcError('DCSF_A2P_REFUSED', { reason: refused.sentence });
      await this.#instruct(prepared, `${sessionId}:${this.#epoch}.${decision.session?.revision}`, deadlineMs);
      this.#dcAs.release(sessionId, before, decision.session);
    } catch (error) {
      this.#undo(sessionId, before, prepared);
      grants.revoke(decision.grants.map(({ token }) => token));
      if (refused) throw error;
      throw new ImsdcError(
        'DCSF_INSTRUCTION_FAILED',
        { sessionId, problem: (error as Error).message },
        { cause: error },
      );
    }
  }

  /** What was decided could not be carried out: as if it had not been. */
  #undo(sessionId: string, before: Session | null, { asked, decision }: Prepared): void {
    this.#failures.value++;
    const current = this.#sessions.get(sessionId);
    if (current) this.#sessions.set(sessionId, undone(current, before, decision), Date.now());
    this.#dcAs.release(sessionId, null, before, asked);
  }

  async #handle(notification: SessionEventNotification, deadlineMs: number): Promise<void> {
    const { before, decision: decided } = await this.#decide(notification);
    const { sessionId } = notification;
    const prepared = await this.#dcAs.prepare(decided, before, deadlineMs, notification);
    const { decision } = prepared;
    if (decision !== decided) this.#forgetRefused(sessionId, before, decided, decision);
    this.#dcAs.release(sessionId, before, decision.session);
    this.#report(notification, decision);
    if (decision.revoke.length > 0) this.#dependencies.grants.revoke(decision.revoke);
    if (decision.refusal) throw new ImsdcError('DCSF_NOT_AUTHORISED', { reason: decision.refusal.sentence });
    if (Object.keys(decision.instructions).length === 0) return;
    // Granted before the AS can set up anything, so that the repository knows a token before the first request.
    if (decision.grants.length > 0) this.#dependencies.grants.grant(decision.grants);
    const revision = decision.session?.revision ?? 0;
    try {
      await this.#instruct(prepared, `${sessionId}:${this.#epoch}.${revision}`, deadlineMs);
    } catch (error) {
      this.#undo(sessionId, before, prepared);
      this.#dependencies.grants.revoke(decision.grants.map(({ token }) => token));
      // Rejecting, not 204: an application line that should be anchored must not pass because we failed.
      throw error instanceof ImsdcError && error.code === 'DCSF_DEADLINE'
        ? error
        : new ImsdcError('DCSF_INSTRUCTION_FAILED', { sessionId, problem: (error as Error).message }, { cause: error });
    }
  }

  /** Lines whose DC AS gave no end are remembered as they were before the decision, or not at all. */
  #forgetRefused(sessionId: string, before: Session | null, decided: Decision, decision: Decision): void {
    const current = this.#sessions.get(sessionId);
    if (!current || !decided.session || !decision.session) return;
    const kept = decision.session.media;
    const lost = Object.entries(decided.session.media).filter(([mediaId, line]) => kept[mediaId] !== line);
    const session = { ...decided.session, media: Object.fromEntries(lost) };
    this.#sessions.set(sessionId, undone(current, before, { ...decided, session }), Date.now());
  }

  /** Decides and remembers. Asks for what the decision needs; starts again when another event changed the session meanwhile. */
  async #decide(notification: SessionEventNotification): Promise<{ before: Session | null; decision: Decision }> {
    let answer: Have | undefined;
    for (;;) {
      const before = this.#sessions.get(notification.sessionId);
      const catalogue = this.#dependencies.grants.applications();
      const question: Question = { notification, session: before, policy: this.#policy, peer: this.#peer, catalogue };
      let step = decide(question, this.#environment);
      const [need] = step.step === 'need' ? step.needs : [];
      if (need) {
        if (answer?.identity !== need.identity) answer = await this.#find(need);
        if (this.#sessions.get(notification.sessionId) !== before) continue;
        step = have(question, answer, this.#environment);
      }
      if (step.step === 'decided') {
        // In the same turn as the decision: the next event of this session must see it.
        this.#sessions.set(notification.sessionId, step.decision.session, Date.now());
        return { before, decision: step.decision };
      }
    }
  }

  async #find({ identity }: Need): Promise<Have> {
    try {
      return { kind: 'subscriber', identity, profile: await this.#subscribers.profile(identity) };
    } catch (error) {
      this.#dependencies.log.warn({ err: error }, 'subscriber data unavailable');
      return { kind: 'subscriber', identity, profile: 'unavailable' };
    }
  }

  /** The AS guards itself (R17); this guard only keeps a dead AS from holding the notification for ever. */
  async #instruct(prepared: Prepared, idempotencyKey: string, deadlineMs: number): Promise<void> {
    const { decision } = prepared;
    const sessionId = decision.session?.sessionId ?? '';
    const remainingMs = deadlineMs - Date.now();
    if (remainingMs <= 0) throw new ImsdcError('DCSF_DEADLINE', { sessionId });
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new ImsdcError('DCSF_DEADLINE', { sessionId })), remainingMs);
    const data = { sessionId, mediaInstructionSet: decision.instructions };
    try {
      const { mediaControl } = this.#dependencies;
      const answer = await Promise.race([mediaControl.mediaInstruction(data, { idempotencyKey }), late]);
      await this.#dcAs.connect(prepared, answer, deadlineMs);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The audit trail: one line per decision, reasons by code, no names of people. */
  #report(notification: SessionEventNotification, decision: Decision): void {
    const { outcomes, refusal } = decision;
    if (outcomes.length === 0 && !refusal) return;
    this.#rejectedLines.value += outcomes.filter(({ outcome }) => outcome === 'reject').length;
    const { sessionId, notificationEvent } = notification;
    this.#dependencies.log.info({ sessionId, event: notificationEvent.eventType, outcomes, refusal }, 'decided');
  }

  sweep(): void {
    const tokens = this.#sessions.expire(Date.now()).flatMap(tokensOf);
    if (tokens.length > 0) this.#dependencies.grants.revoke(tokens);
  }

  status(): ReturnType<Dcsf['status']> {
    let media = 0;
    let tokens = 0;
    for (const session of this.#sessions.sessions()) {
      media += Object.keys(session.media).length;
      tokens += tokensOf(session).length;
    }
    return { sessions: this.#sessions.size, media, tokens, pending: this.#pending };
  }

  /** Takes no new events and lets the pending ones end. Tokens live on: the calls do too. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#pending > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    this.#dcAs.close();
  }
}

function tokensOf(session: Session): string[] {
  return Object.values(session.media).flatMap((line) => line.tokens);
}
