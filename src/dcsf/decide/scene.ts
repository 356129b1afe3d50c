import { sparse } from '../../base/dictionary.ts';
import type { Environment } from '../../base/environment.ts';
import type { DcStream } from '../../services/common-data.ts';
import type { Grant } from '../../services/ndcar.ts';
import type { MediaInstruction, NotifiedMedia } from '../../services/nimsas.ts';
import { normalisedIdentity } from './identity.ts';
import type { ReasonCode } from './reasons.ts';
import type { DecidedMedia, LegName, Outcome, Question, Session, SubscriberProfile } from './types.ts';

/** One *_REQUEST with all that its rulings look at. */
export interface Scene {
  readonly question: Question;
  readonly session: Session;
  readonly profile: SubscriberProfile;
  /** The leg that the offer came from. */
  readonly offerLeg: LegName;
  /** undefined: unknown, which counts as capable (R23). */
  readonly peerSupportsDc: boolean | undefined;
  readonly environment: Environment;
}

/** What was decided of one line; `decide` turns it into outcome, memory and instruction. */
export interface Ruling {
  readonly outcome: Outcome;
  readonly code: ReasonCode;
  readonly details?: Readonly<Record<string, string | number>>;
  readonly instruction?: Omit<MediaInstruction, 'mediaId' | 'mediaResourceType'>;
  readonly remember?: DecidedMedia;
  readonly grants?: readonly Grant[];
}

export function reject(code: ReasonCode, details?: Ruling['details']): Ruling {
  return { outcome: 'reject', code, details, instruction: { mediaInstruction: 'REJECT_MEDIA' } };
}

const NONE = {};

/** Stream ids of a line, ascending; keys that are no id in 0..65534 are left out. The key wins over the inner id. */
export function streamIds(media: NotifiedMedia): number[] {
  // Sorted into an array of its own size: sessions keep it, and one that grew by push has room for sixteen more.
  return Object.keys(media.dcMediaSpecification?.streams ?? NONE)
    .map(Number)
    .filter((id) => Number.isInteger(id) && id >= 0 && id <= 65_534)
    .toSorted((a, b) => a - b);
}

/** The bootstrap ids of TS 26.114 table 6.2.10.1-2. */
export const BOOTSTRAP_IDS: ReadonlySet<number> = new Set([0, 10, 100, 110]);
/** Ids below are reserved for bootstrap channels (26.114 6.2.10.1). */
export const FIRST_APPLICATION_ID = 1000;

/** `streams` member for the given ids: what the offer says of each, without the binding, which is not an instruction. */
export function instructedStreams(media: NotifiedMedia | undefined, ids: readonly number[]): Record<string, DcStream> {
  return sparse(ids.map((streamId) => [streamId, instructedStream(media, streamId)]));
}

export function instructedStream(media: NotifiedMedia | undefined, streamId: number): DcStream {
  const said = media?.dcMediaSpecification?.streams[streamId];
  if (said?.streamId === streamId && said.appBindingInfo === undefined) return said;
  const { appBindingInfo: _, ...offered } = said ?? {};
  return { ...offered, streamId };
}

/** The session as remembered, or as the first notification describes it. */
export function sessionOf({ notification, session }: Question): Session {
  if (session) return session;
  const { sessionInfo, notificationEvent, sessionId } = notification;
  const sessionCase =
    sessionInfo?.sessionCase === 'TERMINATING_IMS_SESSION' ||
    (!sessionInfo?.sessionCase && notificationEvent.eventInitiator === 'REMOTE_IMS_SUBSCRIBER')
      ? 'terminating'
      : 'originating';
  const calling = normalisedIdentity(sessionInfo?.callingIdentity ?? '');
  const called = normalisedIdentity(sessionInfo?.calledIdentity ?? '');
  const [served, peer] = sessionCase === 'originating' ? [calling, called] : [called, calling];
  return { schema: 1, sessionId, sessionCase, served, peer, revision: 0, media: {} };
}
