import Type, { type Static } from 'typebox';
import { SbiTls } from '../sbi/tls.ts';

const nested = { default: {} };
const milliseconds = (description: string, fallback: number, minimum = 0) =>
  Type.Integer({ default: fallback, minimum, maximum: 86_400_000, description: `${description}, ms` });

/** The `mf` part of the configuration: the media function. */
export const MfConfig = Type.Object({
  listen: Type.Object(
    {
      address: Type.String({
        default: '127.0.0.1',
        description: 'where Nmf_MRM is served (HTTP/2); off loopback only with mf.tls',
      }),
      port: Type.Integer({ default: 8092, minimum: 0, maximum: 65_535, description: '0 = any free port' }),
    },
    nested,
  ),
  tls: Type.Optional(SbiTls),
  media: Type.Object(
    {
      bindAddress: Type.String({ default: '127.0.0.1', description: 'local address of the Mb sockets' }),
      publicAddress: Type.Optional(
        Type.String({ description: 'address told to the UEs, where it differs from bindAddress (1:1 NAT)' }),
      ),
      firstPort: Type.Integer({ default: 40_000, minimum: 1_024, maximum: 65_535, description: 'first UDP port' }),
      lastPort: Type.Integer({ default: 49_999, minimum: 1_024, maximum: 65_535, description: 'last UDP port' }),
      natLatch: Type.Boolean({
        default: false,
        description:
          'serve UEs behind a NAT that SDP does not show: take their real source once its certificate matched',
      }),
      pinhole: Type.Boolean({
        default: false,
        description: 'where the MF waits for a UE: open the gates between them with one STUN request (RFC 5763 6.7.2)',
      }),
    },
    nested,
  ),
  engine: Type.Union([Type.Literal('auto'), Type.Literal('embedded'), Type.Literal('native')], {
    default: 'auto',
    description: 'media worker: native (C++; for production), embedded (nothing to compile), auto = native where built',
  }),
  datagramPath: Type.Union([Type.Literal('auto'), Type.Literal('user'), Type.Literal('kernel')], {
    default: 'auto',
    description:
      'who forwards the datagrams of anchored end-to-end channels: user = the workers, kernel = nftables (needs CAP_NET_ADMIN, nft and net.ipv4.ip_forward), auto = kernel where it can',
  }),
  kernelForwarding: Type.Union([Type.Literal('routed'), Type.Literal('device')], {
    default: 'routed',
    description:
      "how the kernel forwards these datagrams: routed = through the host's routes and forward chain, device = from the network device that they come in by to the next, a fifth cheaper, past both (needs ip; net.ipv4.ip_forward may be 0)",
  }),
  keyLogFile: Type.Optional(
    Type.String({
      description:
        'appends the keys of every DTLS association (NSS key log format), so that Wireshark decrypts; for labs: whoever reads the file reads all data channels',
    }),
  ),
  workers: Type.Integer({ default: 0, minimum: 0, maximum: 256, description: 'worker processes; 0 = one per core' }),
  maxContexts: Type.Integer({ default: 20_000, minimum: 1, maximum: 1_000_000, description: 'media contexts held' }),
  streamHeadroom: Type.Object(
    {
      bootstrap: Type.Integer({
        default: 112,
        minimum: 1,
        maximum: 65_535,
        description: 'SCTP streams of an association that carries bootstrap channels only (R13)',
      }),
      application: Type.Integer({
        default: 1_024,
        minimum: 1,
        maximum: 65_535,
        description: 'SCTP streams of an association with application channels (R13)',
      }),
    },
    nested,
  ),
  maxMessageSizeBytes: Type.Integer({
    default: 65_536,
    minimum: 1_024,
    maximum: 262_144,
    description: 'largest message we take from a UE (R11)',
  }),
  slowReaderLimitMs: milliseconds('a stream whose reader takes nothing for so long is reset (R29)', 30_000, 1_000),
  heartbeatMs: milliseconds('SCTP heartbeat interval, which also keeps pinholes open (R28); 0 = off', 25_000),
  leaseMs: milliseconds(
    'contexts of an owner that is silent for so long are freed (R25); 0 = never, for owners that close idle connections',
    60_000,
  ),
  mdc1: Type.Object(
    {
      allowPlainHttp: Type.Boolean({
        default: false,
        description: 'MDC1 without TLS off loopback: lab only, content and tokens travel in clear',
      }),
      localAddress: Type.Optional(
        Type.String({ description: 'source address towards the DCSF; told as localMdc1Endpoint' }),
      ),
      maxSockets: Type.Integer({ default: 64, minimum: 1, maximum: 4_096, description: 'connections per DCSF' }),
      timeoutMs: milliseconds('wait for the head of a response', 10_000, 100),
      idleMs: milliseconds('longest pause inside a response body while the UE could take more', 15_000, 100),
      maxResponseBytes: Type.Integer({
        default: 64 * 1024 * 1024,
        minimum: 1_024,
        description: 'largest response passed to a UE',
      }),
      tls: Type.Optional(SbiTls),
    },
    nested,
  ),
  mdc2: Type.Object(
    {
      protocols: Type.Array(Type.Enum(['TCP', 'TCP/TLS', 'UDP', 'UDP/DTLS/SCTP']), {
        default: ['TCP', 'TCP/TLS', 'UDP', 'UDP/DTLS/SCTP'],
        description:
          'how DC ASs are reached, by mdc2Protocol: WebSocket without and with TLS, datagrams of whatever kind, DTLS (docs/mdc2.md)',
      }),
      allowPlain: Type.Boolean({
        default: false,
        description: 'MDC2 without TLS off loopback: lab only, messages and tickets travel in clear',
      }),
      localAddress: Type.Optional(
        Type.String({ description: 'source address towards the DC ASs; told as localMdc2Endpoint' }),
      ),
      maxChannels: Type.Integer({
        default: 20_000,
        minimum: 1,
        description: 'channels that end at DC ASs; each has one socket',
      }),
      connectTimeoutMs: milliseconds('until a DC AS has taken a channel', 5_000, 100),
      tls: Type.Optional(SbiTls),
    },
    nested,
  ),
});
export type MfConfig = Static<typeof MfConfig>;
