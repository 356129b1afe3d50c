import Type, { type Static } from 'typebox';
import { DcStreams, Mdc2End } from './common-data.ts';

/**
 * DC4 towards a DC AS that is reached over DTLS (docs/mdc2.md): before the DCSF instructs the AS it asks the DC AS for an
 * end for the line, and then tells it where the MF connects from (23.228 AC.7.2.2 steps "allocate MDC2 endpoint" and "MF
 * MDC2 endpoint"). One resource per line, PUT as it should be; DELETE when the line is over.
 */

/** `{dc4Url}` + this + `/{sessionId}/{mediaId}`. */
export const MDC2_CONNECTIONS_PATH = '/imsdc-mdc2/v1/connections';

const Legs = Type.Object({ served: Type.Optional(Mdc2End), remote: Type.Optional(Mdc2End) });

/** What the DCSF wants the DC AS to have. */
export const Mdc2Connection = Type.Object({
  /** Whose it is; the one that a WebSocket would bring (services/mdc2.ts). Absent where only streams change. */
  ticket: Type.Optional(Type.String({ maxLength: 4_096 })),
  /** UDP_PROXY: the UE ends DTLS at the far end; DC_APPLICATION_PROXY: the MF does. */
  proxy: Type.Enum(['UDP_PROXY', 'DC_APPLICATION_PROXY']),
  streams: DcStreams,
  /**
   * The far end for each user whose channel it is: `endpoint` is the MF's, known once the MF has been told;
   * `dcEndpoint` is of who ends DTLS there, known at first for UDP_PROXY, else together with the endpoint.
   */
  legs: Legs,
});
export type Mdc2Connection = Static<typeof Mdc2Connection>;

/** 200: the DC AS's own ends, complete and the same at every PUT. */
export const Mdc2ConnectionEnds = Type.Object({ legs: Legs });
export type Mdc2ConnectionEnds = Static<typeof Mdc2ConnectionEnds>;
