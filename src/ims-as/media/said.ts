import { own } from '../../base/owned.ts';
import { changedSlots } from '../../sdp/changes.ts';
import { setAttribute } from '../../sdp/edit.ts';
import { attribute, fieldText, words } from '../../sdp/lines.ts';
import { type Origin, type SentDescription, stampOrigin } from '../../sdp/origin.ts';
import { parseSessionDescription } from '../../sdp/parse.ts';
import type { SessionDescription } from '../../sdp/types.ts';
import { type LegName, otherLeg } from '../call/types.ts';
import { lineAt } from './state.ts';
import type { MediaState } from './types.ts';

/**
 * Puts our o= on `sdp` and remembers it (R7). On the first SDP of a leg the other peer's o= is taken over, so that a
 * call that had no data channel before goes on with the numbers the peer knows.
 */
export function stamp(
  media: MediaState,
  leg: LegName,
  fork: number,
  sdp: SessionDescription,
  randomId: () => string,
): SentDescription {
  const state = media.sdp[fork]![leg];
  state.sent = stampOrigin(sdp, state.sent ?? originOf(sdp, randomId));
  return state.sent;
}

function originOf(sdp: SessionDescription, randomId: () => string): Origin {
  const [username = '-', sessionId = '', version = '', , , address = ''] = words(fieldText(sdp.session, 'o') ?? '');
  const number = Number(version);
  if (address !== '' && Number.isSafeInteger(number)) {
    return { username: own(username), sessionId: own(sessionId), version: number, address: own(address) };
  }
  // Versions beyond 2^53 cannot be counted on; nobody has seen our numbers yet, so they may be new ones.
  return {
    username: '-',
    sessionId: String(Number.parseInt(randomId(), 16)),
    version: 1,
    address: address === '' ? '0.0.0.0' : own(address),
  };
}

/** The same but for o=, a=setup and what is dead anyway: no reason to bother a peer again (R19). */
export function saysTheSame(media: MediaState, to: LegName, fork: number, offer: SessionDescription): boolean {
  const { offerAnswer } = media.sdp[fork]![to];
  if (offerAnswer.agreed === undefined) return false;
  const own = parseSessionDescription(offerAnswer.agreed.local);
  const last = {
    own,
    other: parseSessionDescription(offerAnswer.agreed.remote),
    ownWasAnswer: offerAnswer.agreed.offerer === 'remote',
  };
  if (!changedSlots(last, offer).every((change) => change === 'unchanged')) return false;
  const withoutOrigin = (lines: readonly string[]): string => lines.filter((line) => !line.startsWith('o=')).join('\n');
  return withoutOrigin(own.session) === withoutOrigin(offer.session);
}

/**
 * The far peer's last description, to be repeated as an answer (R19). Where it was an offer, a channel that passes
 * between the peers says there what an answer must not: `actpass`, and `3gpp-bdc-used-by` from the other point of view.
 */
export function asAnswer(
  media: MediaState,
  to: LegName,
  fork: number,
  offer: SessionDescription,
  far: SessionDescription,
): SessionDescription {
  const before = media.sdp[fork]?.[to].offerAnswer.agreed?.remote;
  const said = before === undefined ? undefined : parseSessionDescription(before);
  const from = otherLeg(to);
  const sections = far.media.map((section, slot) => {
    const line = lineAt(media, from, slot);
    if (
      line === undefined ||
      !line.dataChannel ||
      (line.treatment !== 'pass' && line.treatment !== 'flow') ||
      section.port === 0
    )
      return section;
    const offered = offer.media[line.slots[to]]?.lines ?? [];
    const ours = attribute(offered, 'setup') ?? 'active';
    const theirs =
      ours === 'active' || ours === 'passive'
        ? ours
        : (attribute(said?.media[line.slots[to]]?.lines ?? [], 'setup') ?? 'active');
    const usedBy = attribute(offered, '3gpp-bdc-used-by');
    const lines = setAttribute(section.lines, 'setup', theirs === 'passive' ? 'active' : 'passive');
    return { ...section, lines: usedBy === undefined ? lines : setAttribute(lines, '3gpp-bdc-used-by', usedBy) };
  });
  return { ...far, media: sections };
}

/**
 * A hash of the description in `body`, up to its first data channel line and without o=: equal for a peer's description
 * with and without the data channels that it adds.
 */
export function hashPlain(body: string, start: number, end: number): number {
  const channel = body.indexOf('DTLS/SCTP', start);
  const stop = channel < 0 || channel >= end ? end : body.lastIndexOf('\nm=', channel) + 1;
  const origin = body.indexOf('\no=', start);
  const resume = origin < 0 ? start : body.indexOf('\n', origin + 1);
  let hash = 0x811c9dc5;
  for (let i = start; i < stop; i++) {
    if (i === origin && resume > origin) i = resume;
    hash = Math.imul(hash ^ body.charCodeAt(i), 0x01000193);
  }
  return hash;
}

/** Whether the SDP text may hold data channel lines: a cheap look before anything is parsed. */
export function mentionsDataChannel(body: string, start: number, end: number): boolean {
  let at = body.indexOf('DTLS/SCTP', start);
  // The protocol may be written in any case; its format has only one spelling.
  if (at < 0) at = body.indexOf('webrtc-datachannel', start);
  return at >= 0 && at < end;
}
