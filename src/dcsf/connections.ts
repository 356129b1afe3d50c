import type { Logger } from '../base/log.ts';
import type { SbiTls } from '../sbi/tls.ts';
import type { Mdc2End } from '../services/common-data.ts';
import type { Mdc2Connection, Mdc2ConnectionEnds } from '../services/mdc2-connection.ts';
import type { MediaInstruction, MediaInstructionData, SessionEventNotification } from '../services/nimsas.ts';
import type { PlacedDcsfConfig } from './config.ts';
import { DcAsClient } from './dc-as-client.ts';
import { sentence } from './decide/reasons.ts';
import { reject } from './decide/scene.ts';
import type { Decision, LegName, Session } from './decide/types.ts';

/** A DC AS holds up a call no longer than this; voice is behind it. */
const ASK_MS = 1_000;
/** Nobody waits for the end of a connection. */
const END_MS = 5_000;

type Specification = NonNullable<MediaInstruction['dcMediaSpecification']>;

/** A connection that was asked for in this decision. */
interface Asked {
  readonly mediaId: string;
  readonly application: string;
  readonly connection: Mdc2Connection;
  readonly leg: LegName;
}

/** A decision whose instructions are complete, and what the DC ASs are to be told once the MF has been. */
export interface Prepared {
  readonly decision: Decision;
  readonly asked: readonly Asked[];
}

/**
 * The DC ASs that are asked for an end of each line (`dc4Url`): before the instruction, so that one that is down costs its
 * own line and nothing else, and after it, when the MF has said where it connects from.
 */
export class DcAsConnections {
  readonly #clients: ReadonlyMap<string, DcAsClient>;
  readonly #log: Logger;

  constructor(servers: PlacedDcsfConfig['policy']['dcAs'], tls: SbiTls | undefined, log: Logger) {
    this.#log = log;
    this.#clients = new Map(
      Object.entries(servers).flatMap(([application, { dc4Url, mdc2, secret }]) =>
        dc4Url === undefined || mdc2 === 'WEBSOCKET'
          ? []
          : [[application, new DcAsClient({ url: dc4Url, secret, tls })] as const],
      ),
    );
  }

  /** Completes the decision. Lines whose DC AS gives no end are rejected in it. Never rejects. */
  async prepare(
    decision: Decision,
    before: Session | null,
    deadlineMs: number,
    notification?: SessionEventNotification,
  ): Promise<Prepared> {
    if (this.#clients.size === 0) return { decision, asked: [] };
    const asked = Object.values(decision.instructions).flatMap((instruction) =>
      this.#toAsk(decision, instruction, notification),
    );
    let complete = decision;
    const granted: Asked[] = [];
    await Promise.all(
      asked.map(async (one) => {
        try {
          const ends = await this.#put(decision, one, deadlineMs);
          if (one.connection.ticket === undefined) return;
          complete = withEnds(complete, one, ends);
          granted.push(one);
        } catch (error) {
          complete = withoutLine(complete, before, one, (error as Error).message);
        }
      }),
    );
    return { decision: complete, asked: granted };
  }

  /** The AS has carried it out: the DC ASs hear where the MF connects from. Never rejects: the MF will notice. */
  async connect(
    { asked, decision }: Prepared,
    answer: MediaInstructionData | undefined,
    deadlineMs: number,
  ): Promise<void> {
    if (asked.length === 0) return;
    await Promise.all(
      asked.map(async (one) => {
        const said = answer?.mediaInstructionSet[one.mediaId]?.dcMediaSpecification;
        const connection = { ...one.connection, legs: farEnds(one, said) };
        try {
          await this.#put(decision, { ...one, connection }, deadlineMs);
        } catch (error) {
          const { application, mediaId } = one;
          this.#log.warn({ application, mediaId, reason: (error as Error).message }, 'DC AS: not told of the MF');
        }
      }),
    );
  }

  /** Lines that were there before, or were asked for, and are not any more. Nobody waits for it. */
  release(sessionId: string, before: Session | null, after: Session | null, asked: readonly Asked[] = []): void {
    if (this.#clients.size === 0) return;
    const lines = new Map(asked.map(({ application, mediaId }) => [mediaId, application]));
    for (const [mediaId, { dcAs }] of Object.entries(before?.media ?? {}))
      if (dcAs !== undefined) lines.set(mediaId, dcAs);
    for (const [mediaId, application] of lines) {
      if (after !== null && Object.hasOwn(after.media, mediaId)) continue;
      this.#clients
        .get(application)
        ?.delete({ sessionId, mediaId }, END_MS)
        .catch((error: Error) => this.#log.info({ sessionId, mediaId, reason: error.message }, 'DC AS: not released'));
    }
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
  }

  #put(
    decision: Decision,
    { application, connection, mediaId }: Asked,
    deadlineMs: number,
  ): Promise<Mdc2ConnectionEnds> {
    const timeoutMs = Math.min(ASK_MS, deadlineMs - Date.now());
    const sessionId = decision.session?.sessionId ?? '';
    return this.#clients.get(application)!.put({ sessionId, mediaId }, connection, timeoutMs);
  }

  #toAsk(decision: Decision, instruction: MediaInstruction, notification?: SessionEventNotification): Asked[] {
    const { dcMediaSpecification: spec, mediaId, mediaInstruction } = instruction;
    const application = decision.session?.media[mediaId]?.dcAs;
    if (application === undefined || !this.#clients.has(application) || spec === undefined) return [];
    const ticket = spec.imsdcMdc2?.ticket;
    const isUpdate = mediaInstruction === 'UPDATE_MEDIA';
    if (ticket === undefined && !isUpdate) return [];
    const leg = legOf(decision, instruction, notification);
    // Who ends DTLS at the far end: the UE that offers the line; of the MF nothing is known yet.
    const ue = notification?.mediaInfoList?.[mediaId]?.dcMediaSpecification;
    const isDatagrams = spec.mediaProxyConfig === 'UDP_PROXY';
    const far: Mdc2End =
      isDatagrams && ue?.remoteDcEndpoint ? { dcEndpoint: { ...ue.remoteDcEndpoint, ...setupOf(ue) } } : {};
    const both = mediaInstruction === 'TERMINATE_AND_ORIGINATE_MEDIA';
    const limit = ue?.maxMessageSize === undefined ? {} : { maxMessageSizeBytes: ue.maxMessageSize * 1_024 };
    const legs = both ? { served: { ...far, ...limit }, remote: {} } : { [leg]: { ...far, ...limit } };
    const proxy = isDatagrams ? 'UDP_PROXY' : 'DC_APPLICATION_PROXY';
    const { streams } = spec;
    if (isUpdate) return [{ mediaId, application, leg, connection: { proxy, streams, legs: {} } }];
    return [{ mediaId, application, leg, connection: { ticket, proxy, streams: spec.streams, legs } }];
  }
}

function setupOf({ securitySetup }: { securitySetup?: 'ACTIVE' | 'ACTPASS' | 'PASSIVE' | undefined }) {
  return securitySetup === undefined ? {} : { securitySetup };
}

/** Whose line it is: of who offers it, or of whom it is offered to. */
function legOf(
  decision: Decision,
  { dcMediaSpecification }: MediaInstruction,
  notification?: SessionEventNotification,
): LegName {
  const initiator = notification?.notificationEvent.eventInitiator;
  if (dcMediaSpecification?.imsdcTowards !== undefined) return dcMediaSpecification.imsdcTowards;
  if (initiator !== undefined) return initiator === 'REMOTE_IMS_SUBSCRIBER' ? 'remote' : 'served';
  return decision.session?.sessionCase === 'terminating' ? 'remote' : 'served';
}

/** The MF's ends, as the AS told them: that of the line's own leg, and in P2A2P that of the other. */
function farEnds({ connection, leg }: Asked, said: Specification | undefined): Mdc2Connection['legs'] {
  const mf = said?.imsdcMdc2?.dcEndpoint;
  const dcEndpoint = connection.proxy === 'UDP_PROXY' ? connection.legs[leg]?.dcEndpoint : mf;
  const far = (endpoint: Mdc2End['endpoint']): Mdc2End => ({
    ...(endpoint && { endpoint }),
    ...(dcEndpoint && { dcEndpoint }),
  });
  const own = { [leg]: far(said?.mdc2EndpointMf) };
  return Object.keys(connection.legs).length === 1 ? own : { ...own, remote: far(said?.imsdcMdc2?.remote?.endpoint) };
}

function withEnds(decision: Decision, { connection, leg, mediaId }: Asked, { legs }: Mdc2ConnectionEnds): Decision {
  const own = legs[leg];
  if (own?.endpoint === undefined || own.dcEndpoint === undefined) throw new Error('its answer names no end');
  const both = Object.keys(connection.legs).length > 1;
  if (both && (legs.remote?.endpoint === undefined || legs.remote.dcEndpoint === undefined)) {
    throw new Error('its answer names no end for the other user');
  }
  const instruction = decision.instructions[mediaId]!;
  const { dcEndpoint, endpoint, maxMessageSizeBytes } = own;
  const dcMediaSpecification: Specification = {
    ...instruction.dcMediaSpecification!,
    mdc2EndpointDcAs: endpoint,
    // The ticket was for the DC AS, which has it.
    imsdcMdc2: { dcEndpoint, maxMessageSizeBytes, ...(both && legs.remote ? { remote: legs.remote } : {}) },
  };
  return {
    ...decision,
    instructions: { ...decision.instructions, [mediaId]: { ...instruction, dcMediaSpecification } },
  };
}

/** That line, or its change, is rejected, for this reason; the others go on. */
function withoutLine(
  decision: Decision,
  before: Session | null,
  { application, mediaId }: Asked,
  problem: string,
): Decision {
  const code = 'DC_AS_UNAVAILABLE';
  const { instruction } = reject(code);
  const outcome = { mediaId, outcome: 'reject', code, sentence: sentence(code, { application, problem }) } as const;
  const { [mediaId]: _, ...others } = decision.session?.media ?? {};
  const former = before !== null && Object.hasOwn(before.media, mediaId) ? before.media[mediaId] : undefined;
  const media = former === undefined ? others : { ...others, [mediaId]: former };
  return {
    ...decision,
    instructions: { ...decision.instructions, [mediaId]: { mediaId, mediaResourceType: 'DC', ...instruction } },
    outcomes: decision.outcomes.map((one) => (one.mediaId === mediaId ? outcome : one)),
    session: decision.session && { ...decision.session, media },
  };
}
