import type { Environment } from '../../base/environment.ts';
import type { AppBindingInfo, DcStream } from '../../services/common-data.ts';
import { channelsBeside } from './application.ts';
import { ownLine } from './bootstrap.ts';
import { spoken } from './emit.ts';
import { own } from './own.ts';
import { type ReasonCode, sentence } from './reasons.ts';
import { FIRST_APPLICATION_ID } from './scene.ts';
import { mdc2 } from './server.ts';
import type { DecidedMedia, Decision, Question, Session, SubscriberProfile } from './types.ts';
import { uuid } from './uuid.ts';

/** One channel that a DC AS wants to the served user. */
export interface WantedChannel {
  /** Last part of its label. */
  readonly name: string;
  readonly subprotocol?: string;
  readonly ordered?: boolean;
  readonly maxRetransmissions?: number;
  readonly maxTimeMs?: number;
}

export interface A2pQuestion extends Pick<Question, 'peer' | 'policy'> {
  readonly session: Session;
  readonly profile: SubscriberProfile;
  readonly applicationId: string;
  readonly channels: readonly WantedChannel[];
  /** Also the bootstrap channel over which the UE fetches the application, if the session has none. */
  readonly bootstrap: boolean;
}

export type A2pAnswer =
  | { readonly decision: Decision; readonly mediaId: string; readonly streams: readonly number[] }
  | { readonly refused: ReasonCode; readonly sentence: string };

/** A2P (23.228 AC.7.2.2): an application line towards the served user, from his DC AS, outside any notification. */
export function originateChannels(asked: A2pQuestion, environment: Environment): A2pAnswer {
  const refused = refusal(asked);
  if (refused) return { refused: refused.code, sentence: sentence(refused.code, refused.details) };
  const bootstrap = asked.bootstrap ? originateBootstrap(asked, environment) : undefined;
  if (asked.channels.length === 0) return bootstrap ?? { refused: 'LINE_KNOWN', sentence: sentence('LINE_KNOWN') };
  const line = applicationLine({ ...asked, session: bootstrap?.decision.session ?? asked.session }, environment);
  if (!bootstrap) return line;
  // Both in one offer: the handset that cannot start the application yet fetches it from the same answer on.
  const { grants, instructions, outcomes } = bootstrap.decision;
  return {
    ...line,
    decision: {
      ...line.decision,
      grants,
      instructions: { ...instructions, ...line.decision.instructions },
      outcomes: [...outcomes, ...line.decision.outcomes],
    },
  };
}

type Originated = Exclude<A2pAnswer, { readonly refused: ReasonCode }>;

/** The bootstrap line of the served user's own network, by re-INVITE of the network (24.186 9.3.2.2.2). */
function originateBootstrap(asked: A2pQuestion, environment: Environment): Originated | undefined {
  const { peer, profile, session } = asked;
  // Somebody asks for it, so it is offered whatever the policy says of lines that nobody asked for.
  const policy = { ...asked.policy, bootstrap: { ...asked.policy.bootstrap, offerOwnLine: true } };
  const question = { notification: NO_EVENT, session, policy, peer, catalogue: new Map() };
  const own = ownLine({ question, session, profile, offerLeg: 'remote', peerSupportsDc: undefined, environment });
  if (!own) return undefined;
  const { mediaId, ruling } = own;
  const { code, grants = [], instruction, outcome, remember } = ruling;
  return {
    mediaId,
    streams: remember!.streams,
    decision: {
      instructions: { [mediaId]: spoken({ mediaId, mediaResourceType: 'DC', ...instruction }, peer) },
      outcomes: [{ mediaId, outcome, code, sentence: sentence(code) }],
      grants,
      revoke: [],
      session: { ...session, revision: session.revision + 1, media: { ...session.media, [mediaId]: remember! } },
    },
  };
}

function applicationLine(asked: A2pQuestion, environment: Environment): Originated {
  const { applicationId, channels, peer, policy, session } = asked;

  const mediaId = `d-${uuid(environment.random(16))}`;
  const ids = freeStreamIds(session, channels.length);
  const streams = Object.fromEntries(
    channels.map((channel, i) => [String(ids[i]), dcStream(applicationId, channel, ids[i]!)]),
  );
  const binding: AppBindingInfo = {
    applicationId,
    appDcInfoList: ids.map((streamId) => ({ streamId, adcEndpointType: 'SERVER' })),
  };
  const question = { notification: NO_EVENT, session, policy, peer, catalogue: new Map() };
  const { proxy } = own(policy.dcAs, applicationId)!;
  const instruction = spoken(
    {
      mediaId,
      mediaResourceType: 'DC',
      mediaInstruction: 'ORIGINATE_MEDIA',
      dcMediaSpecification: {
        mediaProxyConfig: proxy,
        ...mdc2({ environment, question, session }, applicationId, 'A2P'),
        streams,
        appBindingInfos: [binding],
        imsdcTowards: 'served',
      },
    },
    peer,
  );
  const line: DecidedMedia = {
    kind: 'application',
    outcome: 'originate',
    proxy,
    offered: ids,
    streams: ids,
    tokens: [],
    dcAs: applicationId,
    status: 'pending',
  };
  const details = { application: applicationId };
  const code = 'APPLICATION_FROM_SERVER';
  return {
    mediaId,
    streams: ids,
    decision: {
      instructions: { [mediaId]: instruction },
      outcomes: [{ mediaId, outcome: 'originate', code, sentence: sentence(code, details) }],
      grants: [],
      revoke: [],
      session: { ...session, revision: session.revision + 1, media: { ...session.media, [mediaId]: line } },
    },
  };
}

const NO_EVENT = { notificationEvent: { eventType: 'none' }, sessionId: 'none' };

function refusal({ applicationId: application, channels, policy, profile, session }: A2pQuestion) {
  const { applications, maxChannels } = profile;
  const refuse = (code: ReasonCode, details: Record<string, string | number> = {}) => ({ code, details });
  if (!profile.allowed) return refuse('NOT_AUTHORISED');
  if (!profile.a2p) return refuse('A2P_NOT_ALLOWED');
  const server = own(policy.dcAs, application);
  if (!server) return refuse('DC_AS_MISSING', { application });
  if (server.proxy === 'UDP_PROXY' && !server.endpoint) return refuse('DC_AS_NEEDS_UE', { application });
  if (own(policy.applications.rules, application)?.allow === false) {
    return refuse('APPLICATION_NOT_ALLOWED', { application });
  }
  if (applications !== '*' && !applications.includes(application)) {
    return refuse('APPLICATION_NOT_SUBSCRIBED', { application });
  }
  const limit = policy.maxMediaPerSession;
  if (Object.keys(session.media).length >= limit) return refuse('LINES_EXCEEDED', { limit });
  if (channelsBeside(session) + channels.length > maxChannels) {
    return refuse('CHANNELS_EXCEEDED', { limit: maxChannels });
  }
  return undefined;
}

/** Odd ones: handsets count their own from 1000 by two, and some know channels of a call by stream id alone. */
function freeStreamIds({ media }: Session, count: number): number[] {
  const taken = new Set(Object.values(media).flatMap(({ offered, streams }) => [...offered, ...streams]));
  const ids: number[] = [];
  for (let id = FIRST_APPLICATION_ID + 1; ids.length < count; id += 2) if (!taken.has(id)) ids.push(id);
  return ids;
}

/** The label of deployed handsets: use case 2 is A2P (miniapp-runtime.md 5). */
function dcStream(applicationId: string, channel: WantedChannel, streamId: number): DcStream {
  const { maxRetransmissions, maxTimeMs, name, ordered, subprotocol } = channel;
  return {
    streamId,
    label: `local_${applicationId}_2_${name}`,
    ...(subprotocol && { subprotocol }),
    ...(ordered === undefined ? {} : { order: ordered }),
    ...(maxRetransmissions === undefined ? {} : { maxRetry: maxRetransmissions }),
    ...(maxTimeMs === undefined ? {} : { maxTime: maxTimeMs }),
  };
}
