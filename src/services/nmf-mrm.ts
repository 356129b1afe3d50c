import Type, { type Static } from 'typebox';
import {
  DcEndpoint,
  DcStreams,
  Endpoint,
  Mdc2Target,
  MediaProxy,
  ReplaceHttpUrls,
  SecuritySetup,
} from './common-data.ts';

/**
 * Nmf_MRM (TS 29.176 6.1): media contexts of an MF. One context per AS session, one termination per SIP leg, one
 * media entry per association (R2). A mediaId in one termination ends at the MF; the same mediaId in two is relayed.
 */

/** `{apiRoot}` + this + `/contexts`. */
export const NMF_MRM_PATH = '/nmf-mrm/v1';

/** Our vendor extension inside dcMedia (R4). */
export const ImsdcDcMedia = Type.Object({
  /** Request: the DTLS role the MF shall take. */
  localSetup: Type.Optional(SecuritySetup),
  /** Request: the far end does ICE, so answer its checks and return credentials. */
  ice: Type.Optional(Type.Boolean()),
  /** Exact size; the standard field counts KiB (R11). */
  maxMessageSizeBytes: Type.Optional(Type.Integer({ minimum: 0 })),
  /** Request: where {contextId, terminationId, mediaId, state, reason} is posted (R25). */
  eventUri: Type.Optional(Type.String({ maxLength: 2048 })),
  /** Request: when a channel ends, post its final figures to eventUri too (R31). */
  usage: Type.Optional(Type.Boolean()),
  /** Request: the peer multiplexes, so application streams may join a bootstrap association later (R13). */
  multiplexing: Type.Optional(Type.Boolean()),
  /** Request: beside remoteMdc2Endpoint, when MDC2 is WebSocket. */
  mdc2: Type.Optional(Mdc2Target),
  /** Response. */
  iceUfrag: Type.Optional(Type.String({ maxLength: 256 })),
  icePwd: Type.Optional(Type.String({ maxLength: 256 })),
});
export type ImsdcDcMedia = Static<typeof ImsdcDcMedia>;

export const DcMedia = Type.Object({
  mediaProxyConfig: Type.Optional(MediaProxy),
  replaceHttpUrl: Type.Optional(ReplaceHttpUrls),
  remoteMdc1Endpoint: Type.Optional(Endpoint),
  remoteMdc2Endpoint: Type.Optional(Endpoint),
  localMdc1Endpoint: Type.Optional(Endpoint),
  localMdc2Endpoint: Type.Optional(Endpoint),
  mdc2Protocol: Type.Optional(Type.String({ maxLength: 64 })),
  streams: DcStreams,
  /** KiB, 1..64 (R11). */
  maxMessageSize: Type.Optional(Type.Integer({ minimum: 0 })),
  localDcEndpoint: Type.Optional(DcEndpoint),
  remoteDcEndpoint: Type.Optional(DcEndpoint),
  /** Request: the peer's a=setup. Response: the MF's role. */
  securitySetup: Type.Optional(SecuritySetup),
  imsdc: Type.Optional(ImsdcDcMedia),
});
export type DcMedia = Static<typeof DcMedia>;

export const MediaInfo = Type.Object({
  mediaId: Type.String({ minLength: 1, maxLength: 128 }),
  mediaResourceType: Type.String({ maxLength: 32 }),
  localMbEndpoint: Type.Optional(Endpoint),
  remoteMbEndpoint: Type.Optional(Endpoint),
  dcMedia: Type.Optional(DcMedia),
  mediaProcessingUri: Type.Optional(Type.String({ maxLength: 2048 })),
});
export type MediaInfo = Static<typeof MediaInfo>;

export const TerminationInfo = Type.Object({
  terminationId: Type.String({ minLength: 1, maxLength: 128 }),
  medias: Type.Array(MediaInfo, { minItems: 1, maxItems: 64 }),
});
export type TerminationInfo = Static<typeof TerminationInfo>;

export const MediaContext = Type.Object({
  contextId: Type.Optional(Type.String({ maxLength: 256 })),
  terminations: Type.Array(TerminationInfo, { minItems: 1, maxItems: 16 }),
});
export type MediaContext = Static<typeof MediaContext>;

export const PatchItem = Type.Object({
  op: Type.Enum(['add', 'replace', 'remove', 'test', 'move', 'copy']),
  path: Type.String({ maxLength: 1024 }),
  from: Type.Optional(Type.String({ maxLength: 1024 })),
  value: Type.Optional(Type.Unknown()),
});
export type PatchItem = Static<typeof PatchItem>;

/** A PATCH body (RFC 6902): more operations than any call of ours needs, few enough to apply in one turn. */
export const JsonPatch = Type.Array(PatchItem, { minItems: 1, maxItems: 256 });

const Count = Type.Integer({ minimum: 0 });
/** Both ways, as seen from the MF: `received` came from the peer of the termination. */
export const MediaFigures = Type.Object({
  bytesReceived: Count,
  messagesReceived: Count,
  bytesSent: Count,
  messagesSent: Count,
});
export type MediaFigures = Static<typeof MediaFigures>;

/** What an association or flow carried, where `usage` was asked for (R31). */
export const MediaUsage = Type.Object({
  /** By stream id; only streams that have ended. */
  streams: Type.Record(Type.String({ pattern: '^[0-9]{1,5}$' }), MediaFigures),
  /** Of an e2e flow, whose streams nobody but the UEs can tell apart: messages are datagrams here. */
  datagrams: Type.Optional(MediaFigures),
});
export type MediaUsage = Static<typeof MediaUsage>;

/** What our MF posts to `eventUri` (R25). */
export const MediaEvent = Type.Object({
  contextId: Type.String(),
  terminationId: Type.String(),
  mediaId: Type.String(),
  /**
   * With `usage`: `ended`: nothing carries the medium any more; `superseded`: another association does (R12);
   * `streamClosed`: one stream of it was closed. `serverClosed`: its DC AS has closed the last channel of it, on every
   * leg; association and medium are there as before.
   */
  state: Type.Enum(['connected', 'failed', 'closed', 'ended', 'streamClosed', 'superseded', 'serverClosed']),
  reason: Type.Optional(Type.String()),
  usage: Type.Optional(MediaUsage),
});
export type MediaEvent = Static<typeof MediaEvent>;

export interface MrmRequestOptions {
  /** Epoch ms; the answer is of no use later. */
  readonly deadlineMs: number;
  /** From (call, revision, step): a repeated request is executed once (R26). */
  readonly idempotencyKey?: string;
  /** 0 (highest) to 31: TS 29.500 6.8; emergency and priority calls. */
  readonly priority?: number;
}

/**
 * Nmf_MRM as its consumer, the IMS AS, sees it. Rejections are coded: MRM_TIMEOUT (it may have been executed: delete
 * what may exist), MRM_UNAVAILABLE (not executed), MRM_NOT_FOUND, MRM_CONFLICT (a `test` failed, nothing applied),
 * MRM_REJECTED (our message is wrong), MRM_FAILED (no ports, ...), MRM_MALFORMED.
 */
export interface NmfMrm {
  /** Resolves with the MF's representation: contextId, localMbEndpoint, localDcEndpoint, its role; same order. */
  createContext(context: MediaContext, options: MrmRequestOptions): Promise<MediaContext & { contextId: string }>;
  /** All or nothing. Undefined: 204, the MF has nothing to add. */
  patchContext(
    contextId: string,
    items: readonly PatchItem[],
    options: MrmRequestOptions,
  ): Promise<MediaContext | undefined>;
  /** A context that is gone already counts as deleted. */
  deleteContext(contextId: string, options: MrmRequestOptions): Promise<void>;
}
