import { entriesOf } from '../../base/dictionary.ts';
import type { NotifiedMedia } from '../../services/nimsas.ts';
import { channelsBeside, judged, ruled } from './application.ts';
import { bindings, type StreamBinding } from './binding.ts';
import { bootstrapEnds } from './bootstrap.ts';
import { own as ownOf } from './own.ts';
import { FIRST_APPLICATION_ID, type Ruling, reject, type Scene, streamIds } from './scene.ts';
import { type ServerRoute, serverRuling } from './server.ts';
import type { DecidedMedia, Question, Session } from './types.ts';
import { uuid } from './uuid.ts';

/**
 * Rel-19 multiplexing (TS 23.228 Annex AC, R3): streams of one line that lead to different far ends. The first far end
 * is decided under the id of the line, each further one under an id of its own, `carriedBy` the line. The MF ends the
 * association, so whatever goes to the other UE is anchored there.
 */

/** The offerer announced `g.3gpp.dc-mux`, and the IMS AS knows how to divide a line. */
export function mayDivide({ notification, peer }: Question): boolean {
  return notification.sessionInfo?.offererMultiplexes === true && peer.vendorExtensions;
}

/** Everything remembered of one line: itself and its parts. */
export function partsOf(session: Session, mediaId: string): [string, DecidedMedia][] {
  return entriesOf(session.media).filter(([id, part]) => id === mediaId || part.carriedBy === mediaId);
}

/** Rulings of a line by media id; undefined: it has one far end, so it is decided like any other. */
export function dividedRulings(
  scene: Scene,
  mediaId: string,
  media: NotifiedMedia,
): ReadonlyMap<string, Ruling> | undefined {
  const parts = partsOf(scene.session, mediaId);
  const own = parts.find(([id]) => id === mediaId)?.[1];
  // What passes, or is forwarded as datagrams, has its association end to end: nobody between could divide it.
  if (own && (own.outcome === 'pass' || own.proxy === 'UDP_PROXY')) return undefined;
  const { ends, refused } = farEndsOf(scene, media, parts);
  if (ends.length + parts.length < 2) return undefined;
  if (ends.length === 0) return new Map([[mediaId, refused ?? reject('STREAMS_INVALID')]]);
  const excess = tooMuch(scene, parts, ends);
  if (excess) return new Map([[mediaId, excess]]);

  const offered = streamIds(media);
  const rulings = new Map<string, Ruling>();
  for (const { key, ruling } of ends) {
    const [id, known] = parts.find(([, part]) => keyOf(part) === key) ?? [];
    if (id !== undefined && known !== undefined) {
      if (sameIds(known.streams, ruling.remember!.streams)) continue;
      rulings.set(id, id === mediaId ? withOffered(ruling, offered) : carried(ruling, mediaId));
    } else if (parts.length === 0 && !rulings.has(mediaId)) rulings.set(mediaId, withOffered(ruling, offered));
    else rulings.set(`d-${uuid(scene.environment.random(16))}`, carried(ruling, mediaId));
  }
  if (rulings.has(mediaId)) return rulings;
  const remember = own && { remember: { ...own, offered, streams: own.streams.filter((id) => offered.includes(id)) } };
  return new Map([[mediaId, { outcome: 'known', code: 'LINE_KNOWN', ...remember }], ...rulings]);
}

interface FarEnd {
  readonly key: string;
  readonly ruling: Ruling;
}

/** Those that end at our MF come first: the line then lasts whatever the other peer says to the rest. */
function farEndsOf(scene: Scene, media: NotifiedMedia, parts: readonly [string, DecidedMedia][]) {
  const rulings = bootstrapEnds(scene, media, true).map((rule) => rule());
  const offered = streamIds(media);
  const bound = bindings(media);
  const groups = new Map<string, { ids: number[]; application: string; route: 'peer' | ServerRoute }>();
  for (const id of offered.filter((id) => id >= FIRST_APPLICATION_ID)) {
    const verdict = judged(scene, bound.get(id) satisfies StreamBinding | undefined);
    if (!verdict.allowed) {
      rulings.push(reject(verdict.code, verdict.details));
      continue;
    }
    const { application, route } = verdict;
    // DTLS of the whole line would end there: nobody could divide it.
    if (route !== 'peer' && ownOf(scene.question.policy.dcAs, application)?.proxy === 'UDP_PROXY') {
      rulings.push(reject('ENDPOINTS_MIXED'));
      continue;
    }
    const key = route === 'peer' ? 'peer' : `${route === 'between'} ${application}`;
    const group = groups.get(key) ?? { ids: [], application, route };
    groups.set(key, { ...group, ids: [...group.ids, id] });
  }
  for (const { application, ids: accepted, route } of groups.values()) {
    const line = { application, offered: accepted, accepted };
    const known = (ruling: Ruling) => parts.find(([, part]) => keyOf(part) === keyOf(ruling.remember!))?.[1];
    const rule = (before: DecidedMedia | undefined) =>
      route === 'peer'
        ? ruled(media, 'e2DCe', { ...line, known: before })
        : serverRuling(scene, media, { ...line, route, known: before });
    rulings.push(rule(known(rule(undefined))));
  }
  const ends = rulings.flatMap((ruling): FarEnd[] =>
    ruling.remember ? [{ key: keyOf(ruling.remember), ruling }] : [],
  );
  const endsHere = ({ ruling }: FarEnd) => ruling.remember!.outcome === 'terminate';
  return {
    ends: [...ends.filter(endsHere), ...ends.filter((end) => !endsHere(end))],
    refused: rulings.find(({ outcome }) => outcome === 'reject'),
  };
}

/** Where a part leads, in one word. */
function keyOf({ dcAs, kind, outcome }: DecidedMedia): string {
  return `${kind} ${outcome === 'originate' ? 'terminate' : outcome} ${dcAs ?? ''}`;
}

function tooMuch(scene: Scene, parts: readonly [string, DecidedMedia][], ends: readonly FarEnd[]): Ruling | undefined {
  const { profile, question, session } = scene;
  const channels = ends
    .filter(({ ruling }) => ruling.remember!.kind === 'application')
    .reduce((sum, { ruling }) => sum + ruling.remember!.streams.length, 0);
  const beside = channelsBeside(session, ...parts.map(([, part]) => part));
  if (beside + channels > profile.maxChannels) return reject('CHANNELS_EXCEEDED', { limit: profile.maxChannels });
  const limit = question.policy.maxMediaPerSession;
  const others = Object.keys(session.media).length - parts.length;
  return others + Math.max(ends.length, parts.length) > limit ? reject('LINES_EXCEEDED', { limit }) : undefined;
}

/** The line itself remembers all that was offered on it: another set is a change. */
function withOffered(ruling: Ruling, offered: readonly number[]): Ruling {
  return { ...ruling, remember: { ...ruling.remember!, offered } };
}

function carried(ruling: Ruling, mediaId: string): Ruling {
  const { instruction, remember } = ruling;
  const specification = instruction!.dcMediaSpecification!;
  return {
    ...ruling,
    instruction: { ...instruction, dcMediaSpecification: { ...specification, imsdcCarriedBy: mediaId } },
    remember: { ...remember!, carriedBy: mediaId },
  };
}

function sameIds(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((id, index) => id === b[index]);
}
