import type { MediaProxy } from '../../services/common-data.ts';
import type { Anchor } from '../../services/ndcar.ts';
import type { NotifiedMedia } from '../../services/nimsas.ts';
import { bindings, type StreamBinding } from './binding.ts';
import { networkOf } from './identity.ts';
import { own } from './own.ts';
import type { ReasonCode } from './reasons.ts';
import { FIRST_APPLICATION_ID, instructedStreams, type Ruling, reject, type Scene, streamIds } from './scene.ts';
import { type ServerRoute, serverRuling } from './server.ts';
import type { ApplicationRule, DecidedMedia, NetworkRule, Session } from './types.ts';

/** Of several applications on one line the strictest anchoring counts for the line. */
const STRICTNESS: Readonly<Record<Anchor, number>> = { none: 0, e2e: 1, e2DCe: 2 };
/** R3. */
const PROXIES: Readonly<Record<Exclude<Anchor, 'none'>, MediaProxy>> = {
  e2DCe: 'DC_APPLICATION_PROXY',
  e2e: 'UDP_PROXY',
};

/** Where a stream leads: to the other UE, or to its DC AS, for one of three reasons. */
type Route = 'peer' | ServerRoute;

export type Verdict =
  | { readonly allowed: true; readonly application: string; readonly anchor: Anchor; readonly route: Route }
  | { readonly allowed: false; readonly code: ReasonCode; readonly details?: Ruling['details'] };

/**
 * An application line (ids from 1000; 23.228 AC.7.2): peer to peer, past the MF or through it. Each stream is judged
 * by the application it is bound to; the line is refused when no stream is left, and also when one is refused on a
 * line that would pass untouched, since then nobody could leave its dcmap out.
 */
export function applicationRuling(scene: Scene, media: NotifiedMedia, known: DecidedMedia | undefined): Ruling {
  const bound = bindings(media);
  const offered = streamIds(media);
  const verdicts = offered
    .filter((id) => id >= FIRST_APPLICATION_ID)
    .map((id) => ({ id, verdict: judged(scene, bound.get(id)) }));
  const refused = verdicts.map(({ verdict }) => verdict).find((verdict) => !verdict.allowed);
  const allowed = verdicts.flatMap(({ id, verdict }) => (verdict.allowed ? [{ id, ...verdict }] : []));
  const [first] = allowed;
  if (!first) return refused ? reject(refused.code, refused.details) : reject('STREAMS_INVALID');

  const limit = scene.profile.maxChannels;
  if (channelsBeside(scene.session, known) + allowed.length > limit) return reject('CHANNELS_EXCEEDED', { limit });
  // A line has one far end; of streams that lead elsewhere the dcmap is left out of the answer.
  const { application, route } = first;
  const here = allowed.filter(
    (other) => other.route === route && (route === 'peer' || other.application === application),
  );
  if (known?.kind === 'application' && known.dcAs !== (route === 'peer' ? undefined : application))
    return reject('ENDPOINT_CHANGED');
  if (route !== 'peer') {
    return serverRuling(scene, media, { application, route, offered, accepted: here.map(({ id }) => id), known });
  }
  const anchor = here.reduce<Anchor>((a, { anchor: b }) => (STRICTNESS[b] > STRICTNESS[a] ? b : a), 'none');
  if (anchor === 'none' && refused) return reject(refused.code, refused.details);
  // Past the MF nobody can leave out the stream that belongs at a server.
  if (anchor === 'none' && here.length < allowed.length) return reject('ENDPOINTS_MIXED');
  return ruled(media, anchor, { offered, accepted: here.map(({ id }) => id), known, application });
}

export function judged(scene: Scene, binding: StreamBinding | undefined): Verdict {
  const { policy, catalogue } = scene.question;
  const network = networkOf(scene.session.peer);
  const networkRule: NetworkRule | undefined = own(policy.networks, network);
  /** The other user is involved: is that possible, and allowed? */
  const withPeer = (application: string, wish: Anchor | undefined, route: 'between' | 'peer' = 'peer'): Verdict => {
    if (scene.peerSupportsDc === false) return { allowed: false, code: 'PEER_INCAPABLE' };
    if (networkRule?.allow === false) return { allowed: false, code: 'NETWORK_NOT_ALLOWED', details: { network } };
    return { allowed: true, application, anchor: wish ?? policy.applications.anchor, route };
  };
  if (!binding) {
    if (policy.applications.unbound === 'reject') return { allowed: false, code: 'APPLICATION_UNBOUND' };
    return withPeer('(unbound)', networkRule?.anchor);
  }
  const application = binding.applicationId;
  const refuse = (code: ReasonCode): Verdict => ({ allowed: false, code, details: { application } });
  const rule: ApplicationRule | undefined = own(policy.applications.rules, application);
  const published = catalogue.get(application);
  const server = own(policy.dcAs, application);
  if (!rule && !published && !server && policy.applications.unknown === 'reject') return refuse('APPLICATION_UNKNOWN');
  if (rule?.allow === false) return refuse('APPLICATION_NOT_ALLOWED');
  // The callee need not have subscribed to what the caller's network offers: it fetches it over 100 (AC.7.2.1).
  const subscribed = scene.profile.applications;
  if (scene.offerLeg === 'served' && subscribed !== '*' && !subscribed.includes(application)) {
    return refuse('APPLICATION_NOT_SUBSCRIBED');
  }
  if (binding.endpoint === 'SERVER') {
    return server ? { allowed: true, application, anchor: 'e2DCe', route: 'server' } : refuse('DC_AS_MISSING');
  }
  if (scene.peerSupportsDc === false && server?.interworking) {
    return { allowed: true, application, anchor: 'e2DCe', route: 'interworking' };
  }
  // The network of whoever opens the channel puts the DC AS between; for the other one the line is between two UEs.
  const between = server?.between === true && scene.offerLeg === 'served';
  return withPeer(application, rule?.anchor ?? networkRule?.anchor ?? published?.anchor, between ? 'between' : 'peer');
}

interface Accepted {
  readonly offered: readonly number[];
  readonly accepted: readonly number[];
  readonly known: DecidedMedia | undefined;
  readonly application: string;
}

export function ruled(media: NotifiedMedia, anchor: Anchor, line: Accepted): Ruling {
  const { offered, accepted, known } = line;
  const details = { application: line.application };
  const streams = instructedStreams(media, accepted);
  const remember = { kind: 'application', offered, streams: accepted, tokens: [], status: 'pending' } as const;
  if (anchor === 'none') {
    // network-side.md 3.2: an entry without mediaInstruction leaves the line untouched.
    return {
      outcome: 'pass',
      code: 'APPLICATION_PASSED',
      details,
      instruction: { dcMediaSpecification: { streams } },
      remember: { ...remember, outcome: 'pass' },
    };
  }
  const proxy = PROXIES[anchor];
  const dcMediaSpecification = { mediaProxyConfig: proxy, streams };
  if (known?.outcome === 'relay' && known.proxy === proxy) {
    return {
      outcome: 'update',
      code: 'STREAMS_CHANGED',
      instruction: { mediaInstruction: 'UPDATE_MEDIA', dcMediaSpecification },
      remember: { ...remember, outcome: 'relay', proxy, status: known.status },
    };
  }
  return {
    outcome: 'relay',
    code: anchor === 'e2DCe' ? 'APPLICATION_ANCHORED_E2DCE' : 'APPLICATION_ANCHORED_E2E',
    details,
    instruction: { mediaInstruction: 'TERMINATE_AND_ORIGINATE_MEDIA', dcMediaSpecification },
    remember: { ...remember, outcome: 'relay', proxy },
  };
}

/** Application channels of the session, those of `lines` not counted. */
export function channelsBeside(session: Session, ...lines: readonly (DecidedMedia | undefined)[]): number {
  return Object.values(session.media)
    .filter((other) => other.kind === 'application' && !lines.includes(other))
    .reduce((sum, other) => sum + other.streams.length, 0);
}
