import { type Static, Type } from 'typebox';

/** TLS of one listener, towards clients and, for what is sent from it, towards servers. */
export const SipTlsSchema = Type.Object(
  {
    certFile: Type.String({ description: 'our certificate chain, PEM' }),
    keyFile: Type.String({ description: 'its private key, PEM' }),
    caFile: Type.Optional(
      Type.String({ description: 'the authorities that peers must be certified by, PEM; default: the public ones' }),
    ),
    requestCert: Type.Optional(
      Type.Boolean({ default: false, description: 'mutual TLS: refuse clients without a certificate of caFile' }),
    ),
    minVersion: Type.Optional(
      Type.Union([Type.Literal('TLSv1.2'), Type.Literal('TLSv1.3')], {
        default: 'TLSv1.2',
        description: 'oldest version of TLS',
      }),
    ),
  },
  { additionalProperties: false, description: 'needed for tls and wss' },
);

export type SipTlsConfig = Static<typeof SipTlsSchema>;

/** One place where SIP is listened for. */
export const SipListenerSchema = Type.Object(
  {
    transport: Type.Union(
      [Type.Literal('udp'), Type.Literal('tcp'), Type.Literal('tls'), Type.Literal('ws'), Type.Literal('wss')],
      { default: 'udp', description: 'udp, tcp, tls, ws or wss' },
    ),
    address: Type.String({ default: '127.0.0.1', description: 'IP address to bind; 0.0.0.0 or :: needs `advertise`' }),
    port: Type.Integer({ minimum: 0, maximum: 65535, default: 5060, description: 'port to bind; 0 takes a free one' }),
    advertise: Type.Optional(
      Type.String({ description: 'host or IP address that peers see in Via and Contact; default: the bound address' }),
    ),
    tls: Type.Optional(SipTlsSchema),
    allowedOrigins: Type.Optional(
      Type.Array(Type.String({ maxLength: 255 }), {
        maxItems: 64,
        default: [],
        description:
          'ws and wss: pages that may connect, as scheme://host[:port]; "*" any. Pages of our own host and clients without an Origin always may',
      }),
    ),
  },
  { additionalProperties: false },
);

export type SipListenerConfig = Static<typeof SipListenerSchema>;

/** Knobs of the endpoint that every function with SIP has. */
export const SipLimitKeys = {
  maxTransactions: Type.Integer({
    minimum: 100,
    default: 100_000,
    description: 'live server transactions; above it new requests get 503',
  }),
  maxConnections: Type.Integer({
    minimum: 1,
    default: 1000,
    description:
      'stream connections (TCP, TLS, WebSocket) per listener, in and out; those from addresses that are not trusted have a quarter of it on top',
  }),
  idleTimeoutMs: Type.Integer({
    minimum: 1000,
    default: 1_800_000,
    description: 'close a TCP or TLS connection that is silent for so long, ms',
  }),
  udpMtuBytes: Type.Integer({
    minimum: 0,
    maximum: 65_535,
    default: 1300,
    description:
      'requests above it go over TCP where a TCP listener is there and the URI does not say transport=udp (RFC 3261 18.1.1); back to UDP when TCP is refused; 0: always UDP',
  }),
  keepAliveMs: Type.Integer({
    minimum: 0,
    maximum: 3_600_000,
    default: 0,
    description: 'double CRLF so often on TCP and TLS connections that we open (RFC 5626 4.4.1), ms; 0: none',
  }),
};

/** Entries for `TrustedPeers`. */
export const TrustedPeersSchema = Type.Array(Type.String({ minLength: 1, maxLength: 255 }), {
  maxItems: 1024,
  default: [],
  description:
    'who may send us SIP requests, and may be told identities and charging data: IP addresses, CIDR blocks, names in TLS client certificates ("scscf.home.net", "*.home.net"). Loopback is always trusted; everybody else must be listed, or gets 403',
});

const perSecond = (whose: string) =>
  Type.Integer({
    minimum: 0,
    maximum: 1_000_000,
    default: 0,
    description: `requests outside dialogs (calls, mostly) per second from ${whose}; 0: any number`,
  });
const burst = (whose: string, fallback: number) =>
  Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    default: fallback,
    description: `how many of them ${whose} may send at once`,
  });

/** Options for `OverloadControl`. Emergency calls and requests with Resource-Priority always pass. */
export const OverloadSchema = Type.Object(
  {
    peerRequestsPerSecond: perSecond('one peer address'),
    peerBurst: burst('it', 1000),
    userRequestsPerSecond: perSecond('one user'),
    userBurst: burst('the user', 10),
    loopLagMs: Type.Integer({
      minimum: 0,
      maximum: 60_000,
      default: 1000,
      description:
        'when the process is late by so much, new calls begin to be refused with 503, all of them at twice that; peers that offer `oc` are asked for less instead (RFC 7339); 0: never',
    }),
    retryAfterSeconds: Type.Integer({
      minimum: 1,
      maximum: 3600,
      default: 2,
      description: 'Retry-After of the refusals, s',
    }),
  },
  { additionalProperties: false, default: {}, description: 'when new calls are refused; emergency calls never are' },
);
