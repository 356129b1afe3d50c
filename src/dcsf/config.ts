import Type, { type Static } from 'typebox';
import { SbiTls } from '../sbi/tls.ts';
import { Anchor, HandsetProfile } from '../services/ndcar.ts';

const PROFILE_KEYS = {
  allowed: Type.Boolean({ default: true, description: 'may use IMS data channels at all' }),
  standalone: Type.Boolean({ default: false, description: 'may set up sessions without audio or video' }),
  applications: Type.Union([Type.Literal('*'), Type.Array(Type.String({ minLength: 1, maxLength: 256 }))], {
    default: '*',
    description: 'application ids the user subscribed to, or * for all',
  }),
  a2p: Type.Boolean({ default: true, description: 'applications may call the user' }),
  maxChannels: Type.Integer({ default: 16, minimum: 0, maximum: 1024, description: 'application channels per call' }),
  handset: Type.Unsafe<Static<typeof HandsetProfile>>({
    ...HandsetProfile,
    default: 'auto',
    description: 'how lists and packages are served; auto looks at each request',
  }),
};

const anchor = (description: string, fallback?: 'none') =>
  Type.Unsafe<Static<typeof Anchor>>({ ...Anchor, ...(fallback && { default: fallback }), description });
const nested = { default: {} };

/** Profile of one subscriber; absent members come from `default`. */
export const SubscriberOverride = Type.Object({
  allowed: Type.Optional(Type.Boolean()),
  standalone: Type.Optional(Type.Boolean()),
  applications: Type.Optional(
    Type.Union([Type.Literal('*'), Type.Array(Type.String({ minLength: 1, maxLength: 256 }))]),
  ),
  a2p: Type.Optional(Type.Boolean()),
  maxChannels: Type.Optional(Type.Integer({ minimum: 0, maximum: 1024 })),
  handset: Type.Optional(HandsetProfile),
});

/** The `dcsf` part of the configuration. */
export const DcsfConfig = Type.Object({
  workers: Type.Integer({
    default: 1,
    minimum: 1,
    maximum: 64,
    description:
      'processes for the roles ims-as and dcsf behind the same addresses; about one per core (docs/operations.md)',
  }),
  dispatcher: Type.Union([Type.Literal('auto'), Type.Literal('always')], {
    default: 'auto',
    description:
      'always: one worker too runs behind a dispatcher, which keeps the addresses and what arrives while it starts again; auto: from two',
  }),
  mdc1: Type.Object(
    {
      baseUrl: Type.Optional(
        Type.String({
          pattern: '^https?://[^?#]+/$',
          description:
            'where MFs fetch content, if not where our own repository listens: host name for TLS, other host; ends in /, no query (R27)',
        }),
      ),
      address: Type.Optional(
        Type.String({ maxLength: 45, description: 'IP address the MF connects to; default: the host of baseUrl' }),
      ),
      port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65535, description: 'default: the port of baseUrl' })),
    },
    nested,
  ),
  dc4: Type.Object(
    {
      enabled: Type.Boolean({ default: false, description: 'let DC ASs add and end channels (A2P)' }),
      host: Type.String({ default: '127.0.0.1', description: 'address of that interface; off loopback only with tls' }),
      port: Type.Integer({ default: 8095, minimum: 0, maximum: 65535, description: '0 = any free port' }),
      tls: Type.Optional(SbiTls),
    },
    nested,
  ),
  grants: Type.Object(
    {
      url: Type.String({ default: 'http://127.0.0.1:8091/', description: 'internal API of the repository process' }),
      secret: Type.String({
        default: '',
        description: 'shared with dcar.internal.secret; imsdc dcsf sets both when empty',
      }),
    },
    nested,
  ),
  policy: Type.Object(
    {
      unauthorised: Type.Union([Type.Literal('strip'), Type.Literal('refuse')], {
        default: 'strip',
        description: 'users without authorisation: strip the data channel lines (R9), or refuse the request with 403',
      }),
      bootstrap: Type.Object(
        {
          transit: Type.Union([Type.Literal('anchor'), Type.Literal('pass')], {
            default: 'anchor',
            description: 'bootstrap lines of the other network: relayed by our MF, or past it (R1)',
          }),
          offerOwnLine: Type.Boolean({
            default: true,
            description: 'add the line by which the other side reaches our repository (R1)',
          }),
        },
        nested,
      ),
      applications: Type.Object(
        {
          anchor: anchor('channels between two UEs: past the MF, through it decrypted, or as datagrams', 'none'),
          unknown: Type.Union([Type.Literal('reject'), Type.Literal('pass')], {
            default: 'reject',
            description: 'applications neither listed here nor published in the repository',
          }),
          unbound: Type.Union([Type.Literal('reject'), Type.Literal('pass')], {
            default: 'reject',
            description: 'streams without 3gpp-req-app and without an application label',
          }),
          rules: Type.Record(
            Type.String(),
            Type.Object({
              allow: Type.Boolean({ default: true, description: 'false refuses the application' }),
              anchor: Type.Optional(anchor('overrides the network, the package and the default')),
            }),
            { default: {}, description: 'by application id' },
          ),
        },
        nested,
      ),
      networks: Type.Record(
        Type.String(),
        Type.Object({
          allow: Type.Boolean({ default: true, description: 'false refuses application channels with its users' }),
          anchor: Type.Optional(anchor('overrides the package and the default')),
        }),
        { default: {}, description: "by domain of the peer's public identity" },
      ),
      dcAs: Type.Record(
        Type.String(),
        Type.Object({
          mdc2: Type.Enum(['WEBSOCKET', 'UDP_PROXY', 'UDP/DTLS/SCTP'], {
            default: 'WEBSOCKET',
            description:
              'how channels reach it (docs/mdc2.md): a WebSocket each; the datagrams of the UE, whose DTLS ends there; or DTLS from the MF',
          }),
          url: Type.Optional(
            Type.String({
              pattern: '^wss?://[^?#@]+$',
              description: 'WEBSOCKET: where the MF takes its channels; ws:// on loopback only',
            }),
          ),
          address: Type.Optional(
            Type.String({ maxLength: 45, description: 'IP address the MF connects to; default: the host of url' }),
          ),
          dc4Url: Type.Optional(
            Type.String({
              pattern: '^https?://[^?#@]+$',
              description: 'the other two: asked for an endpoint for each line; http:// on loopback only',
            }),
          ),
          port: Type.Optional(
            Type.Integer({ minimum: 1, maximum: 65_535, description: 'without dc4Url: its UDP port, for every line' }),
          ),
          fingerprint: Type.Optional(
            Type.String({
              maxLength: 256,
              description: "without dc4Url: of its certificate, as a=fingerprint has it: 'SHA-256 AA:BB:...'",
            }),
          ),
          setup: Type.Enum(['active', 'passive', 'actpass'], {
            default: 'passive',
            description: 'without dc4Url: its a=setup; passive: it waits for the ClientHello',
          }),
          sctpPort: Type.Integer({ default: 5_000, minimum: 1, maximum: 65_535, description: 'without dc4Url' }),
          maxMessageSizeBytes: Type.Integer({
            default: 65_536,
            minimum: 1,
            maximum: 262_144,
            description: 'without dc4Url: what it takes in one message',
          }),
          secret: Type.String({
            minLength: 16,
            maxLength: 256,
            description: 'shared with the DC AS: signs its tickets, and opens DC4 to it',
          }),
          tellIdentities: Type.Boolean({
            default: false,
            description: 'tickets name the users; else a DC AS knows sessions only',
          }),
          between: Type.Boolean({
            default: false,
            description: 'channels between two UEs end here too, on both legs (P2A2P)',
          }),
          endsLines: Type.Boolean({
            default: true,
            description:
              'a line whose last channel it closes (WEBSOCKET: with 1000) goes to port 0 (DELETE_MEDIA); not with UDP_PROXY',
          }),
          interworking: Type.Boolean({
            default: false,
            description: 'serves channels whose far UE has no data channels: P2P becomes P2A (23.228 AC.7.9)',
          }),
        }),
        { default: {}, description: 'DC ASs by application id' },
      ),
      maxMediaPerSession: Type.Integer({ default: 32, minimum: 1, maximum: 256, description: 'data channel lines' }),
    },
    nested,
  ),
  imsAs: Type.Object(
    {
      vocabulary: Type.Union([Type.Literal('rel19'), Type.Literal('rel18-alpha')], {
        default: 'rel19',
        description: 'proxy names the IMS AS understands (R3)',
      }),
      omitSubprotocol: Type.Boolean({ default: false, description: 'for peers that validate the alpha schema' }),
      vendorExtensions: Type.Boolean({ default: true, description: 'send members of ours that others ignore' }),
    },
    nested,
  ),
  subscribers: Type.Object(
    {
      file: Type.Optional(
        Type.String({ description: 'YAML or JSON: public identity -> profile; `inline` goes over it' }),
      ),
      inline: Type.Record(Type.String(), SubscriberOverride, { default: {}, description: 'by public identity' }),
      default: Type.Object(PROFILE_KEYS, { default: {}, description: 'users who are not listed' }),
    },
    nested,
  ),
  sessions: Type.Object(
    {
      max: Type.Integer({ default: 100_000, minimum: 1, description: 'sessions remembered; more are refused' }),
      maxAgeMs: Type.Integer({
        default: 86_400_000,
        minimum: 1000,
        description: 'without an event; then the session is forgotten and its tokens end',
      }),
    },
    nested,
  ),
});
export type DcsfConfig = Static<typeof DcsfConfig>;
/** As the room needs it: whoever starts it knows where the repository listens. */
export type PlacedDcsfConfig = DcsfConfig & { readonly mdc1: { readonly baseUrl: string } };
