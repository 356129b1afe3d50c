import Type, { type Static } from 'typebox';

/** TS 29.571 types that DC1 and DC2 share. Open objects: unknown members pass (network-side.md 3.6). */

export const IpAddr = Type.Object({
  ipv4Addr: Type.Optional(Type.String({ maxLength: 15 })),
  ipv6Addr: Type.Optional(Type.String({ maxLength: 45 })),
});
export type IpAddr = Static<typeof IpAddr>;

/** TS 29.571 Endpoint united with Rel-19 MdcEndpoint (network-side.md 3.4). */
export const Endpoint = Type.Object({
  ip: IpAddr,
  transport: Type.Optional(Type.String({ maxLength: 32 })),
  portNumber: Type.Integer({ minimum: 1, maximum: 65535 }),
});
export type Endpoint = Static<typeof Endpoint>;

/** On the wire upper-case; SDP's `a=setup` lower-case. */
export const SecuritySetup = Type.Enum(['ACTIVE', 'PASSIVE', 'ACTPASS']);
export type SecuritySetup = Static<typeof SecuritySetup>;

export const DcEndpoint = Type.Object({
  sctpPort: Type.Integer({ minimum: 0, maximum: 65535 }),
  /** 'SHA-256 AA:BB:...'; Rel-19 deprecates it for `fingerprints`: we emit both, read either. */
  fingerprint: Type.Optional(Type.String({ maxLength: 256 })),
  fingerprints: Type.Optional(Type.Array(Type.String({ maxLength: 256 }), { minItems: 1, maxItems: 8 })),
  tlsId: Type.Optional(Type.String({ maxLength: 255 })),
  securitySetup: Type.Optional(SecuritySetup),
});
export type DcEndpoint = Static<typeof DcEndpoint>;

export const DcStream = Type.Object({
  /** Equals its map key; the key wins on tolerant input. */
  streamId: Type.Integer({ minimum: 0, maximum: 65534 }),
  subprotocol: Type.Optional(Type.String({ maxLength: 256 })),
  label: Type.Optional(Type.String({ maxLength: 256 })),
  order: Type.Optional(Type.Boolean()),
  maxRetry: Type.Optional(Type.Integer({ minimum: 0 })),
  maxTime: Type.Optional(Type.Integer({ minimum: 0 })),
  priority: Type.Optional(Type.Integer({ minimum: 0, maximum: 65535 })),
  /** Rel-18: string (JSON of AppBindingInfo). Rel-19: an object beside the streams. */
  appBindingInfo: Type.Optional(Type.Unknown()),
});
export type DcStream = Static<typeof DcStream>;
export const DcStreams = Type.Record(Type.String({ pattern: '^[0-9]{1,5}$' }), DcStream);

export const AppBindingInfo = Type.Object({
  applicationId: Type.String({ maxLength: 256 }),
  plmnId: Type.Optional(Type.Unknown()),
  appDcInfoList: Type.Optional(
    Type.Array(
      Type.Object({
        streamId: Type.Integer({ minimum: 0, maximum: 65534 }),
        adcEndpointType: Type.Enum(['UE', 'SERVER']),
      }),
    ),
  ),
});
export type AppBindingInfo = Static<typeof AppBindingInfo>;

/** Alpha: HTTP, UDP. Rel-19: HTTP_PROXY, UDP_PROXY, DC_APPLICATION_PROXY (R3). We read all, emit Rel-19 unless the peer profile says alpha. */
export const MediaProxy = Type.Enum(['HTTP_PROXY', 'UDP_PROXY', 'DC_APPLICATION_PROXY', 'HTTP', 'UDP']);
export type MediaProxy = Static<typeof MediaProxy>;

export const ReplaceHttpUrl = Type.Object({
  streamId: Type.Integer({ minimum: 0, maximum: 65534 }),
  replaceHttpUrl: Type.String({ maxLength: 2048 }),
});
export type ReplaceHttpUrl = Static<typeof ReplaceHttpUrl>;
export const ReplaceHttpUrls = Type.Record(Type.String({ pattern: '^[0-9]{1,5}$' }), ReplaceHttpUrl);

/** Vendor extension (docs/mdc2.md): the end of an association at a DC AS, or at the MF towards it. */
export const Mdc2End = Type.Object({
  endpoint: Type.Optional(Endpoint),
  dcEndpoint: Type.Optional(DcEndpoint),
  /** What it takes in one message; absent: 65,536 (RFC 8841 6), 0: unlimited. */
  maxMessageSizeBytes: Type.Optional(Type.Integer({ minimum: 0 })),
});
export type Mdc2End = Static<typeof Mdc2End>;

/**
 * Vendor extension (docs/mdc2.md), beside mdc2EndpointDcAs or remoteMdc2Endpoint. The standard tells the MF an address and
 * `mdc2Protocol`; what a WebSocket needs besides, and what a DTLS association needs, is here. The MF connects to the
 * address, with SNI and Host from the URL (as R27).
 */
export const Mdc2Target = Type.Object({
  /** WebSocket: `wss://dc-as.example/channels`; ws:// with `TCP`. */
  url: Type.Optional(Type.String({ maxLength: 2048 })),
  /** WebSocket: goes as bearer token to the DC AS and says whose channel it is; unguessable, per line. */
  ticket: Type.Optional(Type.String({ maxLength: 4096, pattern: '^[A-Za-z0-9._~+/=-]+$' })),
  /** DTLS: the DC AS's end, whoever ends the other one: the UE (`UDP_PROXY`) or the MF. */
  dcEndpoint: Type.Optional(DcEndpoint),
  maxMessageSizeBytes: Type.Optional(Type.Integer({ minimum: 0 })),
  /** DTLS on DC1: another end for the termination `remote` (P2A2P), which else has the same. */
  remote: Type.Optional(Mdc2End),
});
export type Mdc2Target = Static<typeof Mdc2Target>;

export type { ProblemDetails } from '../sbi/problem-details.ts';
