import Type, { type Static } from 'typebox';
import {
  AppBindingInfo,
  DcEndpoint,
  DcStreams,
  Endpoint,
  Mdc2Target,
  MediaProxy,
  ReplaceHttpUrls,
  SecuritySetup,
} from './common-data.ts';

/** DC1 as plain data: Nimsas_SessionEventControl (TS 29.175 6.1) and Nimsas_MediaControl (6.2). */

/** `{apiRoot}` + this + `/call-sessions/{sessionId}/media-instruction`. */
export const NIMSAS_MC_PATH = '/nimsas-mc/v1';

export const SESSION_EVENT_TYPES = [
  'SESSION_ESTABLISHMENT_REQUEST',
  'SESSION_ESTABLISHMENT_PROGRESS',
  'SESSION_ESTABLISHMENT_ALERTING',
  'SESSION_ESTABLISHMENT_SUCCESS',
  'SESSION_ESTABLISHMENT_FAILURE',
  'MEDIA_CHANGE_REQUEST',
  'MEDIA_CHANGE_SUCCESS',
  'MEDIA_CHANGE_FAILURE',
  'SESSION_TERMINATION',
] as const;
/**
 * Vendor extension: the DC AS of the lines named has closed the last of their channels; the SDP is as it was. Nobody
 * waits for the answer, and a DCSF that does not know it lets the lines be.
 */
export const CHANNELS_CLOSED = 'IMSDC_CHANNELS_CLOSED';
export type SessionEventType = (typeof SESSION_EVENT_TYPES)[number] | typeof CHANNELS_CLOSED;

export const NotifiedMedia = Type.Object({
  mediaId: Type.String({ minLength: 1, maxLength: 128 }),
  mediaType: Type.String({ maxLength: 32 }),
  dcMediaSpecification: Type.Optional(
    Type.Object({
      streams: DcStreams,
      maxMessageSize: Type.Optional(Type.Integer({ minimum: 0 })),
      localDcEndpoint: Type.Optional(DcEndpoint),
      remoteDcEndpoint: Type.Optional(DcEndpoint),
      securitySetup: Type.Optional(SecuritySetup),
      /** SENDER or RECEIVER: TS 29.571 BdcUsedBy. */
      bdcUsedBy: Type.Optional(Type.String({ maxLength: 16 })),
      /** Rel-19 place of the binding. */
      appBindingInfos: Type.Optional(Type.Array(AppBindingInfo, { maxItems: 32 })),
    }),
  ),
});
export type NotifiedMedia = Static<typeof NotifiedMedia>;

export const SessionEventNotification = Type.Object({
  notificationEvent: Type.Object({
    /** One of SESSION_EVENT_TYPES; unknown strings are accepted and ignored by the decision. */
    eventType: Type.String({ maxLength: 64 }),
    eventInitiator: Type.Optional(Type.String({ maxLength: 64 })),
  }),
  sessionId: Type.String({ minLength: 1, maxLength: 128 }),
  sessionInfo: Type.Optional(
    Type.Object({
      callingIdentity: Type.Optional(Type.String({ maxLength: 512 })),
      calledIdentity: Type.Optional(Type.String({ maxLength: 512 })),
      sessionCase: Type.Optional(Type.Enum(['ORIGINATING_IMS_SESSION', 'TERMINATING_IMS_SESSION'])),
      /** Vendor extension: what the AS knows of the peer's capability (R23). Absent = unknown. */
      peerSupportsDc: Type.Optional(Type.Boolean()),
      /** Vendor extension: who offers announced `g.3gpp.dc-mux`, so streams of one line may have several far ends. */
      offererMultiplexes: Type.Optional(Type.Boolean()),
    }),
  ),
  mediaInfoList: Type.Optional(Type.Record(Type.String({ maxLength: 128 }), NotifiedMedia)),
});
export type SessionEventNotification = Static<typeof SessionEventNotification>;

export const MediaInstruction = Type.Object({
  mediaId: Type.String({ minLength: 1, maxLength: 128 }),
  mediaResourceType: Type.String({ maxLength: 32 }),
  /** Absent: leave the line untouched (unanchored P2P; network-side.md 3.2). */
  mediaInstruction: Type.Optional(Type.String({ maxLength: 64 })),
  dcMediaSpecification: Type.Optional(
    Type.Object({
      mediaProxyConfig: Type.Optional(MediaProxy),
      replaceHttpUrls: Type.Optional(ReplaceHttpUrls),
      mdc1EndpointDcsf: Type.Optional(Endpoint),
      mdc1EndpointMf: Type.Optional(Endpoint),
      mdc2EndpointDcAs: Type.Optional(Endpoint),
      mdc2EndpointMf: Type.Optional(Endpoint),
      mdc2Protocol: Type.Optional(Type.String({ maxLength: 64 })),
      streams: DcStreams,
      /** ORIGINATE_MEDIA: towards which leg the line is added. Vendor extension; default: the far side of the offer. */
      imsdcTowards: Type.Optional(Type.Enum(['served', 'remote'])),
      /**
       * Rel-19 multiplexing (23.228 Annex AC, R3): these streams of that offered line have a far end of their own; the
       * instruction's mediaId is then `d-<uuid>`. TERMINATE_MEDIA or TERMINATE_AND_ORIGINATE_MEDIA. Vendor extension.
       */
      imsdcCarriedBy: Type.Optional(Type.String({ maxLength: 128 })),
      /** ORIGINATE_MEDIA of application streams: a=3gpp-req-app of the line. In the place where Rel-19 notifies it. */
      appBindingInfos: Type.Optional(Type.Array(AppBindingInfo, { maxItems: 32 })),
      /** Vendor extension, beside mdc2EndpointDcAs: MDC2 over WebSocket. */
      imsdcMdc2: Type.Optional(Mdc2Target),
    }),
  ),
  mediaProcessingUrl: Type.Optional(Type.String({ maxLength: 2048 })),
});
export type MediaInstruction = Static<typeof MediaInstruction>;

export const MediaInstructionData = Type.Object({
  sessionId: Type.String({ minLength: 1, maxLength: 128 }),
  mediaInstructionSet: Type.Record(Type.String({ maxLength: 128 }), MediaInstruction),
});
export type MediaInstructionData = Static<typeof MediaInstructionData>;

/** AS -> DCSF. Resolves when the DCSF has answered 204: every instruction for this event has been delivered (2.0). */
export interface SessionEventControl {
  notify(notification: SessionEventNotification, options: { deadlineMs: number }): Promise<void>;
}

/** DCSF -> AS, served re-entrantly while a notification is pending. Resolves with the 200 body, or nothing for 204. */
export interface MediaControl {
  mediaInstruction(
    data: MediaInstructionData,
    options: { idempotencyKey: string },
  ): Promise<MediaInstructionData | undefined>;
}
