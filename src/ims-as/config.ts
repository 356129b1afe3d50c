import Type, { type Static } from 'typebox';
import { SbiTls } from '../sbi/tls.ts';
import { OverloadSchema, SipLimitKeys, SipListenerSchema, TrustedPeersSchema } from '../sip/transport/config.ts';

const nested = { default: {} };
const milliseconds = (description: string, fallback: number, minimum = 0) =>
  Type.Integer({ default: fallback, minimum, maximum: 86_400_000, description: `${description}, ms` });
const role = (description: string, fallback: 'active' | 'passive') =>
  Type.Union([Type.Literal('active'), Type.Literal('passive')], { default: fallback, description });

/** The `imsAs` part of the configuration: the SIP application server. */
export const ImsAsConfig = Type.Object({
  listeners: Type.Array(SipListenerSchema, {
    minItems: 1,
    maxItems: 16,
    default: [{ transport: 'udp', address: '127.0.0.1', port: 5080 }],
    description: 'where ISC is listened for',
  }),
  names: Type.Array(Type.String({ maxLength: 255 }), {
    default: [],
    description: 'further host names or host:port pairs by which Route headers name this AS',
  }),
  sessionCase: Type.Union([Type.Literal('originating'), Type.Literal('terminating')], {
    default: 'originating',
    description: 'for INVITEs that have neither P-Served-User nor orig/term in their Route (R22)',
  }),
  maxCalls: Type.Integer({
    default: 100_000,
    minimum: 1,
    description: 'calls at once, of each worker; above it 503 with Retry-After',
  }),
  maxTransactions: Type.Integer({ default: 100_000, minimum: 100, description: 'SIP server transactions at once' }),
  maxConnections: SipLimitKeys.maxConnections,
  idleTimeoutMs: SipLimitKeys.idleTimeoutMs,
  udpMtuBytes: SipLimitKeys.udpMtuBytes,
  keepAliveMs: SipLimitKeys.keepAliveMs,
  paceMs: Type.Integer({
    default: 2,
    minimum: 0,
    maximum: 20,
    description:
      'while datagrams come densely (800 a second) the process looks for input so often: messages are dealt with together, a third less CPU for so much more delay at most; 0 = at once, always, ms',
  }),
  trustedPeers: TrustedPeersSchema,
  overload: OverloadSchema,
  guards: Type.Object(
    {
      dcsfBudgetMs: milliseconds('an INVITE is held for DCSF and MF together at most so long (R17)', 3_000, 100),
      budgetReserveMs: milliseconds('an instruction must leave so much of the budget (R17)', 500),
      mrmMs: milliseconds('an answer of the MF outside the barrier', 5_000, 100),
      ringMs: milliseconds('a call that nobody answers is released', 300_000, 1_000),
    },
    nested,
  ),
  media: Type.Object(
    {
      setupWithoutIce: role('our DTLS role when a UE without ICE leaves the choice to us', 'active'),
      setupWithIce: role('our DTLS role when a UE with ICE leaves the choice to us', 'passive'),
      iceInOffers: Type.Boolean({
        default: false,
        description:
          'lines that end at our MF are offered with ICE-lite lines, which browsers need; not behind gates that change c= and m= alone: that is an ICE mismatch',
      }),
      maxMessageSizeBytes: Type.Integer({
        default: 65_536,
        minimum: 1_024,
        maximum: 262_144,
        description: 'a=max-message-size of lines that end at our MF (R11)',
      }),
      bootstrapBandwidthKbps: Type.Integer({
        default: 500,
        minimum: 1,
        maximum: 1_000_000,
        description: 'b=AS of bootstrap lines that we add',
      }),
      acceptSha1: Type.Boolean({ default: false, description: 'accept SHA-1 fingerprints; for labs (ue-side 4.2)' }),
      multiplexing: Type.Boolean({
        default: true,
        description:
          'serve several far ends on one line of a UE that announces g.3gpp.dc-mux, and announce it back; false: neither',
      }),
    },
    nested,
  ),
  dnsServers: Type.Array(Type.String({ maxLength: 64 }), {
    maxItems: 8,
    default: [],
    description: 'DNS servers for next hops that are names, as address or [address]:port; default: those of the system',
  }),
  networkInitiated: Type.Optional(
    Type.Boolean({
      description:
        'calls of users with data channels that have none may get them from the network (A2P, bootstrap): their SDP is kept and the DCSF told of them, which a call of voice alone pays for; default: unless the DCSF of this process serves no DC4',
    }),
  ),
  stripHeaders: Type.Array(Type.String({ maxLength: 64 }), {
    default: [],
    description: 'header names that are never passed on',
  }),
  mf: Type.Object(
    {
      urls: Type.Array(Type.String({ pattern: '^https?://[^?#]+$' }), {
        minItems: 1,
        maxItems: 64,
        default: ['http://127.0.0.1:8092'],
        description: 'apiRoots of the media functions; the one with the fewest contexts of ours is taken',
      }),
      generation: Type.Union([Type.Literal('rel19'), Type.Literal('alpha')], {
        default: 'rel19',
        description: 'schemas that the MFs follow (R3)',
      }),
      tls: Type.Optional(SbiTls),
      retryAfterMs: milliseconds('an MF that did not answer is left alone so long', 5_000, 100),
      probeMs: milliseconds(
        'each MF is asked this often whether it still holds our contexts (R25), and at once when its host ends the connection; 0 = never',
        5_000,
      ),
      patienceMs: milliseconds(
        'an MF that leaves our questions unanswered for so long is lost, and each of its calls is moved by re-INVITE: longer than a busy machine or network may be silent. One whose host refuses two connections in a row, as after a crash, is lost at once',
        8_000,
        1_000,
      ),
      repair: Type.Object(
        {
          limitMs: milliseconds(
            'so long after its MF was lost a call looks for another one, or for the same one after a restart; then its data channel lines go to port 0. 0 = at once',
            10_000,
          ),
          perSecond: Type.Number({
            default: 100,
            minimum: 0.1,
            maximum: 10_000,
            description: 'so many calls look for another MF per second (R25); emergency and priority calls do not wait',
          }),
          burst: Type.Integer({ default: 50, minimum: 1, maximum: 100_000, description: 'so many do so at once' }),
          offer: Type.Union([Type.Literal('inPlace'), Type.Literal('newLine')], {
            default: 'inPlace',
            description:
              'how UEs hear of their new association: by a new tls-id in the line as it is, or by port 0 there and then a new line, for UEs that never begin a second association in a line',
          }),
        },
        nested,
      ),
    },
    nested,
  ),
  mediaEvents: Type.Object(
    {
      enabled: Type.Boolean({ default: true, description: 'take the events that our MF posts (R25)' }),
      address: Type.String({ default: '127.0.0.1', description: 'where they are listened for (HTTP/2)' }),
      port: Type.Integer({ default: 0, minimum: 0, maximum: 65_535, description: '0 = any free port' }),
      url: Type.Optional(Type.String({ description: 'what the MF is told instead of address and port' })),
    },
    nested,
  ),
  channelRecords: Type.Object(
    {
      file: Type.Optional(
        Type.String({
          minLength: 1,
          description: 'a JSON line for each data channel at its end (R31) is appended here; absent: none are written',
        }),
      ),
      maxBytes: Type.Integer({
        default: 104_857_600,
        minimum: 0,
        description: 'a file of this size becomes <file>.1; 0 = rotated from outside (SIGHUP opens it anew)',
      }),
      keep: Type.Integer({ default: 10, minimum: 1, maximum: 1_000, description: 'rotated files kept' }),
      maxQueued: Type.Integer({
        default: 10_000,
        minimum: 1,
        maximum: 1_000_000,
        description: 'records that wait for the disk; more are dropped and counted',
      }),
      figuresWaitMs: milliseconds('an ended channel waits so long for the figures of the MF', 5_000),
    },
    nested,
  ),
});
export type ImsAsConfig = Static<typeof ImsAsConfig>;
