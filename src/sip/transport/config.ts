import { type Static, Type } from 'typebox';

/** One place where SIP is listened for. */
export const SipListenerSchema = Type.Object(
  {
    transport: Type.Union([Type.Literal('udp'), Type.Literal('tcp')], { default: 'udp', description: 'udp or tcp' }),
    address: Type.String({ default: '127.0.0.1', description: 'IP address to bind; 0.0.0.0 or :: needs `advertise`' }),
    port: Type.Integer({ minimum: 0, maximum: 65535, default: 5060, description: 'port to bind; 0 takes a free one' }),
    advertise: Type.Optional(
      Type.String({ description: 'host or IP address that peers see in Via and Contact; default: the bound address' }),
    ),
  },
  { additionalProperties: false },
);

export type SipListenerConfig = Static<typeof SipListenerSchema>;

/** The SIP endpoint of a process. */
export const SipEndpointSchema = Type.Object(
  {
    listeners: Type.Array(SipListenerSchema, { minItems: 1, description: 'where SIP is listened for' }),
    maxTransactions: Type.Integer({
      minimum: 100,
      default: 100_000,
      description: 'live server transactions; above it new requests get 503',
    }),
    maxConnections: Type.Integer({
      minimum: 1,
      default: 1000,
      description: 'TCP connections per listener, in and out',
    }),
    idleTimeoutMs: Type.Integer({
      minimum: 1000,
      default: 1_800_000,
      description: 'close a TCP connection that is silent for so long',
    }),
  },
  { additionalProperties: false },
);

export type SipEndpointConfig = Static<typeof SipEndpointSchema>;
