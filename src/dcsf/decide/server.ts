import type { Mdc2Mode } from '../../services/mdc2.ts';
import type { NotifiedMedia } from '../../services/nimsas.ts';
import { own } from './own.ts';
import type { ReasonCode } from './reasons.ts';
import { instructedStreams, type Ruling, type Scene } from './scene.ts';
import type { DecidedMedia, Session } from './types.ts';

/** Why a channel ends at a DC AS: it was opened to one; its DC AS stands between the users, or in for one of them. */
export type ServerRoute = 'between' | 'interworking' | 'server';

const REASON: Readonly<Record<ServerRoute, ReasonCode>> = {
  between: 'APPLICATION_BETWEEN',
  interworking: 'APPLICATION_INTERWORKED',
  server: 'APPLICATION_TO_SERVER',
};

interface ServerLine {
  readonly application: string;
  readonly route: ServerRoute;
  readonly offered: readonly number[];
  readonly accepted: readonly number[];
  readonly known: DecidedMedia | undefined;
}

/**
 * A line that ends at its DC AS over MDC2 (23.228 AC.7.2.2, AC.7.2.3, AC.7.9): answered by us, so that the far side
 * never hears of it, or, between two users, ended on both legs.
 */
export function serverRuling(scene: Scene, media: NotifiedMedia, line: ServerLine): Ruling {
  const { accepted, application, known, offered, route } = line;
  const streams = instructedStreams(media, accepted);
  const mediaProxyConfig = own(scene.question.policy.dcAs, application)!.proxy;
  const outcome = route === 'between' ? ('relay' as const) : ('terminate' as const);
  const remember = {
    kind: 'application',
    outcome,
    proxy: mediaProxyConfig,
    offered,
    streams: accepted,
    tokens: [],
    dcAs: application,
  } as const;
  if (known?.dcAs === application) {
    return {
      outcome: 'update',
      code: 'STREAMS_CHANGED',
      // Without MDC2 data: a new ticket would move the channels that are open.
      instruction: { mediaInstruction: 'UPDATE_MEDIA', dcMediaSpecification: { mediaProxyConfig, streams } },
      remember: { ...remember, outcome: known.outcome, status: known.status },
    };
  }
  const mode = route === 'between' ? 'P2A2P' : 'P2A';
  return {
    outcome,
    code: REASON[route],
    details: { application },
    instruction: {
      mediaInstruction: route === 'between' ? 'TERMINATE_AND_ORIGINATE_MEDIA' : 'TERMINATE_MEDIA',
      dcMediaSpecification: { mediaProxyConfig, ...mdc2(scene, application, mode), streams },
    },
    remember: { ...remember, status: 'pending' },
  };
}

/** Where the MF takes the channels, and the ticket that says whose they are. */
export function mdc2(
  { environment, question, session }: Pick<Scene, 'environment' | 'question' | 'session'>,
  application: string,
  mode: Mdc2Mode,
) {
  const server = own(question.policy.dcAs, application)!;
  const ticket = server.seal({
    jti: environment.random(16),
    exp: Math.ceil((environment.nowMs + question.policy.tokenLifetimeMs) / 1_000),
    app: application,
    session: session.sessionId,
    mode,
    ...(server.tellIdentities ? identities(session) : {}),
  });
  return {
    ...(server.endpoint && { mdc2EndpointDcAs: server.endpoint }),
    mdc2Protocol: server.protocol,
    imsdcMdc2: { ...server.target, ticket },
  };
}

function identities({ peer, served }: Session) {
  return { ...(served && { served }), ...(peer && { peer }) };
}
