import { dictionary, entriesOf, valuesOf } from '../../base/dictionary.ts';
import type { Environment } from '../../base/environment.ts';
import { CHANNELS_CLOSED, type MediaInstruction, type NotifiedMedia } from '../../services/nimsas.ts';
import { applicationRuling } from './application.ts';
import { bootstrapRuling, ownLine } from './bootstrap.ts';
import { spoken } from './emit.ts';
import { closedByServer, ended, established, NOTHING, withdrawn } from './ended.ts';
import { dividedRulings, mayDivide, partsOf } from './multiplex.ts';
import { sentence } from './reasons.ts';
import { BOOTSTRAP_IDS, FIRST_APPLICATION_ID, type Ruling, reject, type Scene, sessionOf, streamIds } from './scene.ts';
import type {
  DecidedMedia,
  Decision,
  Have,
  LegName,
  MediaOutcome,
  Question,
  Session,
  Step,
  SubscriberProfile,
} from './types.ts';

/**
 * The DCSF's decision on one session event (network-side.md 2.9): pure, and total: whatever fails inside becomes a
 * refusal of the lines it was about, with the reason recorded. Voice is none of its business.
 */
export function decide(question: Question, environment: Environment): Step {
  return guarded(question, () => {
    const { eventType } = question.notification.notificationEvent;
    switch (eventType) {
      case 'SESSION_ESTABLISHMENT_REQUEST':
      case 'MEDIA_CHANGE_REQUEST': {
        if (newLines(question).length === 0) return decided(request(question, environment, UNASKED));
        const identity = sessionOf(question).served;
        return { step: 'need', needs: [{ kind: 'subscriber', identity }], question };
      }
      case 'SESSION_TERMINATION':
      case 'SESSION_ESTABLISHMENT_FAILURE':
      case 'SESSION_ESTABLISHMENT_CANCELLATION':
        return decided(ended(question.session));
      case 'MEDIA_CHANGE_FAILURE':
      case 'MEDIA_CHANGE_CANCELLATION':
        return decided(withdrawn(question));
      case 'SESSION_ESTABLISHMENT_SUCCESS':
      case 'MEDIA_CHANGE_SUCCESS':
        return decided(established(question));
      case CHANNELS_CLOSED:
        return decided(closedByServer(question));
      default: // progress, alerting, and strings of later releases (3.6: preserved, acted on only when known)
        return decided({ ...NOTHING, session: question.session });
    }
  });
}

/** Continues a decision that asked for data. */
export function have(question: Question, answer: Have, environment: Environment): Step {
  return guarded(question, () => decided(request(question, environment, answer.profile)));
}

/** For events in which nothing depends on the subscriber. */
const UNASKED: SubscriberProfile = {
  allowed: false,
  standalone: false,
  applications: [],
  a2p: false,
  maxChannels: 0,
  handset: 'auto',
};

function decided(decision: Decision): Step {
  return { step: 'decided', decision };
}

/** "DCSF decision throws" must cost the new lines only, never the call. */
function guarded(question: Question, run: () => Step): Step {
  try {
    return run();
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    const rulings = new Map(newLines(question).map(([id]) => [id, reject('DECISION_FAILED', { problem })]));
    const session = question.session ?? sessionOf(question);
    return decided(assembled(question, session, rulings));
  }
}

type Line = readonly [mediaId: string, media: NotifiedMedia];

function dataLines(question: Question): Line[] {
  return entriesOf(question.notification.mediaInfoList ?? {}).filter(([, media]) => isDataChannel(media));
}

function isDataChannel({ mediaType }: NotifiedMedia): boolean {
  return mediaType.length === 2 && mediaType.toUpperCase() === 'DC';
}

/** Data channel lines that need a decision: unknown ones, and application lines whose streams changed. */
function newLines(question: Question, lines = dataLines(question)): Line[] {
  return lines.filter(([mediaId, media]) => {
    const known = knownLine(question.session, mediaId);
    if (!known) return true;
    // A re-offer may repeat what was offered, or only what we let through.
    const ids = streamIds(media);
    const kept = partsOf(question.session!, mediaId).flatMap(([, part]) => part.streams);
    if (same(known.offered, ids) || same(kept.toSorted(ascending), ids)) return false;
    return known.kind === 'application' || mayDivide(question);
  });
}

const ascending = (a: number, b: number) => a - b;

function knownLine(session: Session | null, mediaId: string): DecidedMedia | undefined {
  return session && Object.hasOwn(session.media, mediaId) ? session.media[mediaId] : undefined;
}

function same(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((id, index) => id === b[index]);
}

function offerLegOf(question: Question, session: Session): LegName {
  const { eventInitiator } = question.notification.notificationEvent;
  if (eventInitiator === 'SERVED_IMS_SUBSCRIBER') return 'served';
  if (eventInitiator === 'REMOTE_IMS_SUBSCRIBER') return 'remote';
  return session.sessionCase === 'originating' ? 'served' : 'remote';
}

function request(question: Question, environment: Environment, profile: SubscriberProfile | 'unavailable'): Decision {
  const session = withoutClosedLines(question, sessionOf(question));
  const rulings = new Map<string, Ruling>();
  const lines = dataLines(question);
  const fresh = new Map(newLines(question, lines));
  for (const [mediaId] of lines) {
    if (!fresh.has(mediaId)) rulings.set(mediaId, { outcome: 'known', code: 'LINE_KNOWN' });
  }
  if (fresh.size === 0) return assembled(question, session, rulings);

  const bar = profile === 'unavailable' ? 'PROFILE_UNAVAILABLE' : barred(question, profile);
  if (bar || profile === 'unavailable') {
    const code = bar ?? 'PROFILE_UNAVAILABLE';
    for (const mediaId of fresh.keys()) rulings.set(mediaId, reject(code));
    const decision = assembled(question, session, rulings);
    // A failed store is our fault, not the user's: never 403 for it.
    const refuse =
      code === 'NOT_STANDALONE' || (code === 'NOT_AUTHORISED' && question.policy.unauthorised === 'refuse');
    return refuse
      ? { ...decision, instructions: {}, refusal: { code, sentence: sentence(code) }, session: question.session }
      : decision;
  }
  const peerSupportsDc = question.notification.sessionInfo?.peerSupportsDc;
  const offerLeg = offerLegOf(question, session);
  let scene: Scene = { question, session, profile, offerLeg, peerSupportsDc, environment };
  for (const [mediaId, media] of fresh) {
    const divided = mayDivide(question) ? dividedRulings(scene, mediaId, media) : undefined;
    const line = divided ?? new Map([[mediaId, ruledLine(scene, mediaId, media)]]);
    for (const [id, ruling] of line) rulings.set(id, ruling);
    // The next line of the same offer sees this one: channel limits and "one own line" count it.
    scene = { ...scene, session: remembered(scene.session, line) };
  }
  const offersBootstrap = [...rulings.values()].some(({ remember }) => remember?.kind === 'bootstrap');
  const added = offersBootstrap ? ownLine(scene) : undefined;
  if (!added) return assembled(question, scene.session, rulings);
  rulings.set(added.mediaId, added.ruling);
  return assembled(question, remembered(scene.session, new Map([[added.mediaId, added.ruling]])), rulings);
}

/**
 * Application lines that a full list of the offer does not name have been closed: they must not count as channels any
 * more. A list of new data channel lines only (worked example 10) says nothing of the others.
 */
function withoutClosedLines({ notification }: Question, session: Session): Session {
  if (valuesOf(session.media).every(({ kind }) => kind !== 'application')) return session;
  const listed = notification.mediaInfoList ?? {};
  const full = entriesOf(listed).some(
    ([mediaId, media]) => !isDataChannel(media) || Object.hasOwn(session.media, mediaId),
  );
  if (!full) return session;
  const media = entriesOf(session.media).flatMap(([mediaId, line]): [string, DecidedMedia][] => {
    if (line.kind !== 'application') return [[mediaId, line]];
    const { carriedBy } = line;
    if (carriedBy === undefined) return Object.hasOwn(listed, mediaId) ? [[mediaId, line]] : [];
    // The streams of a part stand on the line that carries it.
    const offered = Object.hasOwn(listed, carriedBy) ? streamIds(listed[carriedBy]!) : [];
    const streams = line.streams.filter((id) => offered.includes(id));
    return streams.length > 0 ? [[mediaId, { ...line, streams }]] : [];
  });
  return { ...session, media: dictionary(media) };
}

function barred(question: Question, profile: SubscriberProfile): 'NOT_AUTHORISED' | 'NOT_STANDALONE' | undefined {
  if (!profile.allowed) return 'NOT_AUTHORISED';
  const { mediaInfoList, notificationEvent } = question.notification;
  const standalone =
    notificationEvent.eventType === 'SESSION_ESTABLISHMENT_REQUEST' &&
    valuesOf(mediaInfoList ?? {}).every(isDataChannel);
  return standalone && !profile.standalone ? 'NOT_STANDALONE' : undefined;
}

function ruledLine(scene: Scene, mediaId: string, media: NotifiedMedia): Ruling {
  const limit = scene.question.policy.maxMediaPerSession;
  const known = knownLine(scene.session, mediaId);
  if (!known && Object.keys(scene.session.media).length >= limit) return reject('LINES_EXCEEDED', { limit });
  const ids = streamIds(media);
  // One line with both kinds, from a UE that does not multiplex: the bootstrap part is served, the rest is left out.
  if (ids.some((id) => BOOTSTRAP_IDS.has(id))) return bootstrapRuling(scene, media);
  if (ids.some((id) => id >= FIRST_APPLICATION_ID)) return applicationRuling(scene, media, known);
  return reject('STREAMS_INVALID');
}

/** The session after these rulings. A refused change leaves a live line as it was (R17). */
function remembered(session: Session, rulings: ReadonlyMap<string, Ruling>): Session {
  const media = dictionary(entriesOf(session.media));
  for (const [mediaId, ruling] of rulings) {
    if (!ruling.remember) continue;
    const { former, offered, streams } = media[mediaId] ?? ruling.remember;
    const changes = !same(offered, ruling.remember.offered) || !same(streams, ruling.remember.streams);
    const before = former ?? (changes ? { offered, streams } : undefined);
    media[mediaId] = before ? { ...ruling.remember, former: before } : ruling.remember;
  }
  return { ...session, media };
}

/** `session`: with what is to be remembered of the rulings. */
function assembled(question: Question, session: Session, rulings: ReadonlyMap<string, Ruling>): Decision {
  const instructions = dictionary<MediaInstruction>();
  const outcomes: MediaOutcome[] = [];
  for (const [mediaId, { outcome, code, details, instruction }] of rulings) {
    outcomes.push({ mediaId, outcome, code, sentence: sentence(code, details) });
    if (!instruction) continue;
    instructions[mediaId] = spoken({ mediaId, mediaResourceType: 'DC', ...instruction }, question.peer);
  }
  return {
    instructions,
    outcomes,
    grants: [...rulings.values()].flatMap((ruling) => ruling.grants ?? []),
    revoke: [],
    session: { ...session, revision: session.revision + 1 },
  };
}
