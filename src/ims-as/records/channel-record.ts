import Type, { type Static } from 'typebox';
import type { MediaFigures } from '../../services/nmf-mrm.ts';

const Count = Type.Integer({ minimum: 0 });
const Text = Type.String();
const TextOrNull = Type.Union([Text, Type.Null()]);

const Way = Type.Object({ bytes: Count, messages: Count });
/** What one user's end of the channel carried, as our MF counted it. */
const LegFigures = Type.Object({ from: Way, to: Way });
export type LegFigures = Static<typeof LegFigures>;

/**
 * Why a channel ended:
 * - `BYE`, `CANCEL`, `REFUSED`: its call ended, was cancelled, or did not come about;
 * - `PORT_0`: its line was taken out of the session by a peer; `DCMAP_REMOVED`: only its dcmap was;
 * - `DELETED`: an instruction of the DCSF, or of the DC AS through it;
 * - `MF_LOST`: the MF that held it is gone; `STREAM_RESET`: either end closed it while its line stayed;
 * - `RELEASED`: we ended the call (session timer, operator, a bug); `AS_STOPPED`: this process ended before it did.
 */
export const CAUSES = [
  'BYE',
  'CANCEL',
  'REFUSED',
  'PORT_0',
  'DCMAP_REMOVED',
  'DELETED',
  'MF_LOST',
  'STREAM_RESET',
  'RELEASED',
  'AS_STOPPED',
] as const;
export type Cause = (typeof CAUSES)[number];

/** One data channel at its end (R31): one JSON line. docs/channel-records.md */
export const ChannelRecord = Type.Object({
  schema: Type.Literal(1),
  /** ICID of P-Charging-Vector; '' when the call had none. */
  chargingId: Text,
  callId: Text,
  sessionId: Text,
  sessionCase: Type.Enum(['originating', 'terminating']),
  served: Text,
  peer: Text,
  mediaId: Text,
  streamId: Type.Integer({ minimum: 0, maximum: 65_534 }),
  label: Text,
  subprotocol: Text,
  applicationId: TextOrNull,
  mode: Type.Enum(['bootstrap', 'P2P', 'P2A', 'A2P', 'P2A2P']),
  /** How the MF carried it; null: it did not. */
  proxy: Type.Union([Type.Enum(['HTTP_PROXY', 'UDP_PROXY', 'DC_APPLICATION_PROXY']), Type.Null()]),
  openedAt: Text,
  /** When the first association under it came up; null: never, or nobody told us. */
  connectedAt: TextOrNull,
  endedAt: Text,
  durationMs: Count,
  cause: Type.Enum(CAUSES),
  /** In words: who said BYE, which status, why the MF was lost. */
  detail: Text,
  /** Why an association under it failed; null: none did. */
  failure: TextOrNull,
  /** `datagrams`: those of the whole line, since DTLS hides its channels; `nothing`: no figures came. */
  counted: Type.Enum(['messages', 'datagrams', 'nothing']),
  /** By the user whose end it is. */
  legs: Type.Object({ served: Type.Optional(LegFigures), remote: Type.Optional(LegFigures) }),
});
export type ChannelRecord = Static<typeof ChannelRecord>;

/** What the outcome of a call means for its channels. */
export function causeOf(outcome: string): Cause {
  if (outcome.startsWith('BYE')) return 'BYE';
  if (outcome === 'cancelled') return 'CANCEL';
  return /^[3-6]\d\d$/.test(outcome) ? 'REFUSED' : 'RELEASED';
}

export function added(before: LegFigures | undefined, figures: MediaFigures): LegFigures {
  const { from, to } = before ?? NOTHING;
  return {
    from: { bytes: from.bytes + figures.bytesReceived, messages: from.messages + figures.messagesReceived },
    to: { bytes: to.bytes + figures.bytesSent, messages: to.messages + figures.messagesSent },
  };
}

const NOTHING: LegFigures = { from: { bytes: 0, messages: 0 }, to: { bytes: 0, messages: 0 } };
