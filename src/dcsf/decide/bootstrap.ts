import { sparse, valuesOf } from '../../base/dictionary.ts';
import type { DcStream } from '../../services/common-data.ts';
import type { Grant } from '../../services/ndcar.ts';
import type { NotifiedMedia } from '../../services/nimsas.ts';
import { instructedStream, instructedStreams, type Ruling, reject, type Scene, streamIds } from './scene.ts';
import type { LegName } from './types.ts';
import { uuid } from './uuid.ts';

/**
 * Bootstrap lines (R1). `3gpp-bdc-used-by` is relative to the sender of the offer (R8), so one table serves both
 * session cases:
 *
 * | offer from | 0          | 100 sender             | 100 receiver        |
 * |------------|------------|------------------------|---------------------|
 * | served UE  | ours       | in transit to the peer | nobody's            |
 * | far side   | not for us | ours, for the far user | in transit to ours  |
 */
export function bootstrapRuling(scene: Scene, media: NotifiedMedia): Ruling {
  const [served] = bootstrapEnds(scene, media);
  if (served !== undefined) return served();
  return reject(
    streamIds(media).includes(0) && scene.offerLeg === 'remote' ? 'BOOTSTRAP_FOREIGN_LOCAL' : 'BOOTSTRAP_NOT_SERVED',
  );
}

/** What becomes of each bootstrap stream of a line that somebody serves. `anchored`: whatever the policy says. */
export function bootstrapEnds(scene: Scene, media: NotifiedMedia, anchored = false): readonly (() => Ruling)[] {
  const ids = streamIds(media);
  const usedByReceiver = media.dcMediaSpecification?.bdcUsedBy?.toUpperCase() === 'RECEIVER';
  const isOurs = scene.offerLeg === 'served' ? ids.includes(0) : ids.includes(100) && !usedByReceiver;
  const isTheirs = ids.includes(100) && usedByReceiver === (scene.offerLeg === 'remote');
  const ends: (() => Ruling)[] = [];
  if (isOurs) ends.push(() => terminated(scene, media, ids));
  if (isTheirs) ends.push(() => transit(scene, media, ids, anchored));
  return ends;
}

/**
 * The line we add so that the other side reaches our repository: 100 towards the far user, 0 towards the served
 * user. At most one of each kind per session; none towards a user who has no data channels.
 */
export function ownLine(scene: Scene): { mediaId: string; ruling: Ruling } | undefined {
  const towards: LegName = scene.offerLeg === 'served' ? 'remote' : 'served';
  const streamId = towards === 'remote' ? 100 : 0;
  if (!scene.question.policy.bootstrap.offerOwnLine || scene.peerSupportsDc === false) return undefined;
  const exists = valuesOf(scene.session.media).some(
    (line) => line.kind === 'bootstrap' && line.proxy === 'HTTP_PROXY' && line.streams.includes(streamId),
  );
  if (exists) return undefined;
  const http = served(scene, streamId, undefined);
  return {
    mediaId: `d-${uuid(scene.environment.random(16))}`,
    ruling: {
      outcome: 'originate',
      code: towards === 'remote' ? 'BOOTSTRAP_FOR_PEER' : 'BOOTSTRAP_FOR_SERVED',
      grants: http.grants,
      instruction: {
        mediaInstruction: 'ORIGINATE_MEDIA',
        dcMediaSpecification: { ...http.specification, imsdcTowards: towards },
      },
      remember: { ...http.remember, outcome: 'originate' },
    },
  };
}

function terminated(scene: Scene, media: NotifiedMedia, offered: readonly number[]): Ruling {
  const http = served(scene, scene.offerLeg === 'served' ? 0 : 100, media);
  return {
    outcome: 'terminate',
    code: 'BOOTSTRAP_OWN',
    grants: http.grants,
    instruction: { mediaInstruction: 'TERMINATE_MEDIA', dcMediaSpecification: http.specification },
    remember: { ...http.remember, outcome: 'terminate', offered },
  };
}

/** Everything that makes one stream end at our repository: grant, replacement URL, MDC1 endpoint. */
function served(scene: Scene, streamId: 0 | 100, media: NotifiedMedia | undefined) {
  const { policy } = scene.question;
  const grant = mintGrant(scene, streamId);
  const said = instructedStream(media, streamId);
  const stream: DcStream = said.subprotocol === 'http' ? said : { ...said, subprotocol: 'http' };
  const replaceHttpUrl = `${policy.mdc1.baseUrl}${grant.token}/`;
  return {
    grants: [grant],
    specification: {
      mediaProxyConfig: 'HTTP_PROXY' as const,
      mdc1EndpointDcsf: policy.mdc1.endpoint,
      replaceHttpUrls: sparse([[streamId, { streamId, replaceHttpUrl }]]),
      streams: sparse([[streamId, stream]]),
    },
    remember: {
      kind: 'bootstrap' as const,
      proxy: 'HTTP_PROXY' as const,
      offered: [streamId],
      streams: [streamId],
      tokens: [grant.token],
      status: 'pending' as const,
    },
  };
}

function mintGrant(scene: Scene, streamId: 0 | 100): Grant {
  const { question, session, profile, environment } = scene;
  const own = streamId === 0;
  return {
    token: question.policy.routePrefix + environment.random(16),
    sessionId: session.sessionId,
    streamId,
    subscriber: own ? session.served : session.peer,
    peerSubscriber: own ? session.peer : session.served,
    network: own ? 'own' : 'remote',
    // The far user sees what our served user may share; his own subscription is his network's business.
    applications: profile.applications === '*' ? '*' : [...profile.applications],
    peerSupportsDc: scene.peerSupportsDc !== false,
    profile: own ? profile.handset : 'auto',
    expiresAtMs: environment.nowMs + question.policy.tokenLifetimeMs,
  };
}

function transit(scene: Scene, media: NotifiedMedia, offered: readonly number[], anchoredAnyway: boolean): Ruling {
  if (scene.peerSupportsDc === false) return reject('PEER_INCAPABLE');
  const anchored = anchoredAnyway || scene.question.policy.bootstrap.transit === 'anchor';
  const streams = instructedStreams(media, [100]);
  const remember = {
    kind: 'bootstrap',
    offered,
    streams: [100],
    tokens: [],
    status: 'pending',
  } as const;
  if (!anchored) {
    return {
      outcome: 'pass',
      code: 'BOOTSTRAP_TRANSIT_PASSED',
      instruction: { dcMediaSpecification: { streams } },
      remember: { ...remember, outcome: 'pass' },
    };
  }
  return {
    outcome: 'relay',
    code: 'BOOTSTRAP_TRANSIT_ANCHORED',
    instruction: {
      mediaInstruction: 'TERMINATE_AND_ORIGINATE_MEDIA',
      dcMediaSpecification: { mediaProxyConfig: 'DC_APPLICATION_PROXY', streams },
    },
    remember: { ...remember, outcome: 'relay', proxy: 'DC_APPLICATION_PROXY' },
  };
}
