import { dictionary, entriesOf, valuesOf } from '../../base/dictionary.ts';
import type { MediaInstruction } from '../../services/nimsas.ts';
import { own } from './own.ts';
import { sentence } from './reasons.ts';
import { sessionOf, streamIds } from './scene.ts';
import type { DecidedMedia, Decision, Question, Session } from './types.ts';

/** What became of lines that were decided before: agreed, refused, over. Only a DC AS that hangs up has us instruct anything. */

export const NOTHING: Omit<Decision, 'session'> = { instructions: {}, outcomes: [], grants: [], revoke: [] };

/** The session is over. */
export function ended(session: Session | null): Decision {
  return { ...NOTHING, revoke: valuesOf(session?.media ?? {}).flatMap((line) => line.tokens), session: null };
}

/** The offer was refused, or withdrawn: the lines named, or else all that were not yet established, are gone. */
export function withdrawn({ notification, session }: Question): Decision {
  if (!session) return { ...NOTHING, session };
  const named = notification.mediaInfoList && new Set(Object.keys(notification.mediaInfoList));
  const entries = entriesOf(session.media);
  const isGone = ([id, line]: [string, DecidedMedia]) => (named ? named.has(id) : line.status === 'pending');
  const gone = entries.filter(isGone);
  const stays = entries
    .filter((entry) => !isGone(entry))
    .map(([id, line]): [string, DecidedMedia] => [id, named ? line : asBefore(line)]);
  const dropped = gone.map(([, line]): Dropped => [line.carriedBy, line.streams]);
  return {
    ...NOTHING,
    revoke: gone.flatMap(([, line]) => line.tokens),
    session: { ...session, media: dictionary(named ? withoutDropped(stays, dropped) : stays) },
  };
}

/**
 * The DC AS of these lines has closed their last channels: where the policy says so, they end (DELETE_MEDIA). A line whose
 * change is not agreed yet is about to have other channels, and stays.
 */
export function closedByServer({ notification, policy, session }: Question): Decision {
  if (!session) return { ...NOTHING, session };
  const gone = Object.keys(notification.mediaInfoList ?? {}).flatMap((mediaId) => {
    const { dcAs, status } = own(session.media, mediaId) ?? {};
    if (dcAs === undefined || status !== 'established' || !own(policy.dcAs, dcAs)?.endsLines) return [];
    return [{ mediaId, sentence: sentence('DC_AS_CLOSED', { application: dcAs }) }];
  });
  if (gone.length === 0) return { ...NOTHING, session };
  const ids = new Set(gone.map(({ mediaId }) => mediaId));
  return {
    ...NOTHING,
    instructions: dictionary(
      gone.map(({ mediaId }): [string, MediaInstruction] => [
        mediaId,
        { mediaId, mediaResourceType: 'DC', mediaInstruction: 'DELETE_MEDIA' },
      ]),
    ),
    outcomes: gone.map((one) => ({ ...one, outcome: 'delete', code: 'DC_AS_CLOSED' })),
    session: {
      ...session,
      revision: session.revision + 1,
      media: dictionary(entriesOf(session.media).filter(([mediaId]) => !ids.has(mediaId))),
    },
  };
}

function withoutFormer(line: DecidedMedia): DecidedMedia {
  if (line.former === undefined) return line;
  const { former: _, ...agreed } = line;
  return agreed;
}

function asBefore({ former, ...line }: DecidedMedia): DecidedMedia {
  return { ...line, ...former };
}

/** Streams that have ended, with the line that stated them. */
type Dropped = readonly [mediaId: string | undefined, streams: readonly number[]];

/** Offered again they are new, and decided anew. */
function withoutDropped(
  lines: readonly [string, DecidedMedia][],
  dropped: readonly Dropped[],
): readonly [string, DecidedMedia][] {
  if (dropped.length === 0) return lines;
  return lines.map(([id, line]) => {
    const ids = dropped.flatMap(([mediaId, streams]) => (mediaId === id ? streams : []));
    return [id, ids.length === 0 ? line : { ...line, offered: line.offered.filter((one) => !ids.includes(one)) }];
  });
}

/** The offer was agreed: the lines named stand as they are named. */
export function established(question: Question): Decision {
  const { notification, session } = question;
  if (!session) {
    // A call without data channels: known, so that an application or the operator may add some (A2P).
    const isPlain = notification.sessionInfo !== undefined && notification.mediaInfoList === undefined;
    const isNew = notification.notificationEvent.eventType === 'SESSION_ESTABLISHMENT_SUCCESS';
    return { ...NOTHING, session: isPlain && isNew ? sessionOf(question) : session };
  }
  const named = notification.mediaInfoList ?? {};
  const dropped: Dropped[] = [];
  const media = entriesOf(session.media).map(([id, line]): [string, DecidedMedia] => {
    if (!Object.hasOwn(named, id)) return [id, line];
    const agreed = withoutFormer(line);
    const live = named[id]!.dcMediaSpecification ? streamIds(named[id]!) : line.streams;
    const streams = line.streams.filter((one) => live.includes(one));
    const over = line.streams.filter((one) => !live.includes(one));
    if (line.kind === 'application' && over.length > 0) dropped.push([id, over], [line.carriedBy, over]);
    return [id, { ...agreed, streams: line.kind === 'application' ? streams : line.streams, status: 'established' }];
  });
  return { ...NOTHING, session: { ...session, media: dictionary(withoutDropped(media, dropped)) } };
}
