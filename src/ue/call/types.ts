import type { DataAnswer } from '../media/answer-policy.ts';
import type { UeChannel } from '../media/channel.ts';
import type { SessionMediaEvents } from '../media/session-media.ts';

export type CallState =
  /** Our INVITE is out; nothing but 100 has come. */
  | 'inviting'
  /** Somebody calls us, or the peer's phone rings. */
  | 'ringing'
  | 'connected'
  | 'ended';

export interface CallEvents extends Pick<SessionMediaEvents, 'association'> {
  state: CallState;
  channel: UeChannel;
  /** An offer/answer exchange is agreed: by whom it was offered, and both texts. */
  negotiated: { readonly local: string; readonly remote: string };
  ended: CallEnd;
}

export interface CallEnd {
  readonly by: 'us' | 'peer' | 'network';
  /** SIP status of a failed INVITE; 0 after BYE. */
  readonly status: number;
  readonly reason: string;
}

/** What a caller may add to an INVITE. */
export interface CallOptions {
  /** Offer audio. Default true. */
  readonly audio?: boolean;
  /** Offer the two bootstrap lines in the INVITE (else later by re-INVITE). Default: when data channels are allowed. */
  readonly bootstrap?: boolean;
  /** Whole header lines without CRLF, which nobody in the network knows: they must arrive as they are (R21). */
  readonly extraHeaders?: readonly string[];
  /** A second body part beside the SDP (R24). */
  readonly extraBody?: { readonly contentType: string; readonly content: string };
}

export interface AnswerOptions {
  /** Send the answer in a 183 first, reliably where the caller can, and the 200 when `accept` is called again. */
  readonly early?: boolean;
  readonly data?: DataAnswer;
  readonly extraHeaders?: readonly string[];
}
