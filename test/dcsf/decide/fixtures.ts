import type { Environment } from '../../../src/base/environment.ts';
import { decide, have } from '../../../src/dcsf/decide/decide.ts';
import type {
  DcOnePeer,
  Decision,
  Policy,
  Question,
  Session,
  Step,
  SubscriberProfile,
} from '../../../src/dcsf/decide/types.ts';
import type { CatalogueEntry } from '../../../src/services/ndcar.ts';
import type { NotifiedMedia, SessionEventNotification } from '../../../src/services/nimsas.ts';

export const ALICE = 'sip:alice@ims.example';
export const BOB = 'sip:bob@other.example';

export const POLICY: Policy = {
  unauthorised: 'strip',
  bootstrap: { transit: 'anchor', offerOwnLine: true },
  applications: { anchor: 'none', unknown: 'reject', unbound: 'reject', rules: { '10000005': { allow: true } } },
  networks: {},
  dcAs: {},
  mdc1: {
    endpoint: { ip: { ipv4Addr: '127.0.0.1' }, transport: 'TCP', portNumber: 8090 },
    baseUrl: 'http://m/bdc/v1/',
  },
  tokenLifetimeMs: 1000,
  maxMediaPerSession: 16,
  routePrefix: '',
};

export const PROFILE: SubscriberProfile = {
  allowed: true,
  standalone: false,
  applications: '*',
  a2p: true,
  maxChannels: 4,
  handset: 'auto',
};

export const PEER: DcOnePeer = { vocabulary: 'rel19', omitSubprotocol: false, vendorExtensions: true };

/** Deterministic: every call of `random` gives other digits. */
export function environment(): Environment {
  let calls = 0;
  return { nowMs: 5_000, random: (bytes) => (++calls).toString(16).padStart(bytes * 2, 'a') };
}

export function line(streamIds: number[], more: Partial<NonNullable<NotifiedMedia['dcMediaSpecification']>> = {}) {
  return {
    mediaId: 'replaced by media()',
    mediaType: 'DC',
    dcMediaSpecification: {
      streams: Object.fromEntries(
        streamIds.map((streamId) => [
          String(streamId),
          streamId < 1000 ? { streamId, subprotocol: 'http' } : { streamId, label: `local_10000005_1_c${streamId}` },
        ]),
      ),
      ...more,
    },
  } satisfies NotifiedMedia;
}

export const AUDIO: NotifiedMedia = { mediaId: 'm0', mediaType: 'AUDIO' };

export function media(lines: Record<string, NotifiedMedia>): Record<string, NotifiedMedia> {
  return Object.fromEntries(Object.entries(lines).map(([mediaId, entry]) => [mediaId, { ...entry, mediaId }]));
}

export function notification(
  lines: Record<string, NotifiedMedia>,
  options: {
    event?: string;
    case?: 'ORIGINATING_IMS_SESSION' | 'TERMINATING_IMS_SESSION';
    initiator?: string;
    peerSupportsDc?: boolean;
    offererMultiplexes?: boolean;
  } = {},
): SessionEventNotification {
  const sessionCase = options.case ?? 'ORIGINATING_IMS_SESSION';
  const initiator =
    options.initiator ??
    (sessionCase === 'ORIGINATING_IMS_SESSION' ? 'SERVED_IMS_SUBSCRIBER' : 'REMOTE_IMS_SUBSCRIBER');
  return {
    notificationEvent: { eventType: options.event ?? 'SESSION_ESTABLISHMENT_REQUEST', eventInitiator: initiator },
    sessionId: 's1',
    sessionInfo: {
      callingIdentity: ALICE,
      calledIdentity: BOB,
      sessionCase,
      ...(options.peerSupportsDc !== undefined && { peerSupportsDc: options.peerSupportsDc }),
      ...(options.offererMultiplexes !== undefined && { offererMultiplexes: options.offererMultiplexes }),
    },
    mediaInfoList: media(lines),
  };
}

export interface Run {
  policy?: Partial<Policy>;
  profile?: SubscriberProfile | 'unavailable';
  session?: Session | null;
  peer?: DcOnePeer;
  catalogue?: ReadonlyMap<string, CatalogueEntry>;
  environment?: Environment;
}

export function question(event: SessionEventNotification, run: Run = {}): Question {
  return {
    notification: event,
    session: run.session ?? null,
    policy: { ...POLICY, ...run.policy },
    peer: run.peer ?? PEER,
    catalogue: run.catalogue ?? new Map(),
  };
}

/** Runs the machine to its end, answering every need from `run`. */
export function decideAll(event: SessionEventNotification, run: Run = {}): Decision {
  const env = run.environment ?? environment();
  let step: Step = decide(question(event, run), env);
  while (step.step === 'need') {
    const [need] = step.needs;
    const profile = run.profile ?? PROFILE;
    step = have(step.question, { kind: 'subscriber', identity: need!.identity, profile }, env);
  }
  return step.decision;
}

export function outcomeOf(decision: Decision, mediaId: string): string | undefined {
  const found = decision.outcomes.find((outcome) => outcome.mediaId === mediaId);
  return found && `${found.outcome} ${found.code}`;
}
