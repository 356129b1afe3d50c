/**
 * The worker protocol, version 1: how the MF's engine client talks to a media worker process. The worker inherits two
 * stream sockets: descriptor 3 carries control, descriptor 4 carries payload, so that bulk never delays control. The
 * end of either socket ends the worker. This table is the definition: `codec.ts` is driven by it,
 * `scripts/generate-worker-header.mjs` prints it as C++ and as the tables of `docs/media-worker.md`.
 *
 * ```text
 *  0               1               2               3
 * +---------------------------------------------------------------+
 * | length: bytes that follow this field (16 + body)              |
 * +---------------+---------------+-------------------------------+
 * | type          | 0             | 0                             |
 * +---------------+---------------+-------------------------------+
 * | request id: chosen by the engine; 0 = not a request           |
 * +---------------------------------------------------------------+
 * | handle: chosen by the engine; 0 = the worker itself           |
 * +---------------------------------------------------------------+
 * | generation of the handle                                      |
 * +---------------------------------------------------------------+
 * | body: the fields of the type, in order, little-endian         |
 * +---------------------------------------------------------------+
 * ```
 *
 * A handle is an association (RESERVE) or a datagram flow (FLOW). A handle number is used again with the next
 * generation, so a late frame never meets the new owner: a request for a handle that is not live answers
 * UNKNOWN_HANDLE, any other such frame is dropped and counted. Each request gets exactly one OK (body: `reply` of the
 * request), ERROR, or, for PING and STATS, PONG and STATS_DATA.
 */
import { bool, bytes, type Field, list, oneOf, string, u16, u32, u64 } from './fields.ts';

export const PROTOCOL_VERSION = 1;
/** Descriptors the worker inherits. */
export const CONTROL_DESCRIPTOR = 3;
export const PAYLOAD_DESCRIPTOR = 4;
export const FRAME_HEADER_BYTES = 20;
/** Largest SCTP message carried in one PAYLOAD frame. */
export const MAX_MESSAGE_BYTES = 262_144;
/** Larger lengths end the connection: nothing is allocated for what is merely claimed. */
export const MAX_CONTROL_FRAME_BYTES = 1 << 20;
export const MAX_PAYLOAD_FRAME_BYTES = MAX_MESSAGE_BYTES + 64;
/** What a message costs in credit besides its bytes, so that empty messages are bounded too. */
export const MESSAGE_CREDIT_OVERHEAD_BYTES = 16;
/** R5: datagrams kept between RESERVE and START. */
export const MAX_EARLY_DATAGRAMS = 4;

const address = <const N extends string>(name: N, doc: string) => string(name, 45, doc);
const fingerprints = list(
  'fingerprints',
  8,
  'Fingerprint',
  [string('value', 240, 'hash function in lower case, space, upper-case hex: `sha-256 AA:BB:..`')],
  'RFC 8122; the certificate must match one of the strongest supported hash; empty is refused in START',
);
const counters = [
  u64('bytesReceived', 'bytes of user messages from the peer'),
  u64('bytesSent', 'bytes of user messages handed to SCTP'),
  u64('messagesReceived', 'messages (a flow: datagrams) from the peer'),
  u64('messagesSent', 'messages (a flow: datagrams) handed on'),
  u64('dropped', 'messages (a flow: datagrams) not handed on: no route, closed stream, wrong source'),
] as const;
const states = ['reserved', 'connecting', 'connected', 'failed', 'closed'] as const;

export interface FrameDefinition {
  /** Value of the type octet; never reused. */
  readonly type: number;
  readonly from: 'engine' | 'worker';
  readonly socket: 'control' | 'payload';
  readonly doc: string;
  readonly fields: readonly Field[];
  /** Body of the OK that answers it. Absent: not a request, or answered by another type. */
  readonly reply?: readonly Field[];
}

export const FRAMES = {
  HELLO: {
    type: 1,
    from: 'engine',
    socket: 'control',
    doc: 'First frame on the control socket (another one ends the worker); answered by WELCOME with the same request id, or ERROR and exit.',
    fields: [
      u16('version', 'PROTOCOL_VERSION; another one is answered by VERSION_UNSUPPORTED'),
      u16('workerIndex', 'of this MF, for logs'),
      string('certificatePem', 16_384, 'the MF certificate (ECDSA P-256), same for all associations'),
      string('keyPem', 16_384, 'its private key, PKCS #8'),
      u64('memoryBudgetBytes', 'above it RESERVE and STREAMS answer BUDGET and OVERLOAD is sent'),
      u32('maxAssociations', 'associations and flows of this worker; above it BUDGET'),
      u32('maxMessageSizeBytes', 'largest message received: 1..MAX_MESSAGE_BYTES'),
      u32('bufferedBytesPerStream', 'high mark of a relay or payload buffer; the low mark is half (R29)'),
      u32('slowReaderLimitMs', 'a stream whose reader blocks its sender longer is reset (R29)'),
      u32('heartbeatIntervalMs', 'SCTP HEARTBEAT on every association (R28); 0 = off'),
      list(
        'dtlsRetransmissionMs',
        16,
        'Retransmission',
        [u32('afterMs', 'since the flight was first sent')],
        'R5: when an unanswered flight is sent again; after the last entry every `dtlsRepeatMs`',
      ),
      u32('dtlsRepeatMs', 'R5: interval after the schedule is used up'),
      u32('associationTimeoutMs', 'R5: not connected this long after START: failed, HANDSHAKE_TIMEOUT'),
      u16('mtuBytes', 'largest DTLS datagram (UDP payload); 1200 by default'),
      oneOf('datagramPath', ['auto', 'user', 'kernel'] as const, 'what FLOW may use'),
      bool('keyLog', 'send KEY_LOG for every handshake'),
    ],
  },
  RESERVE: {
    type: 2,
    from: 'engine',
    socket: 'control',
    doc: 'Binds the port of a new handle and keeps the first MAX_EARLY_DATAGRAMS datagrams. Builds nothing costly (R5).',
    fields: [
      address('bindAddress', 'IPv4 or IPv6 literal'),
      u16('port', 'chosen by the MF (R6); 0 = any, for tests'),
      bool('ice', 'make ICE-lite credentials'),
      u32('sharedHandle', 'R20: use the socket and credentials of this handle, demultiplex by remote address; 0 = own'),
      u32('sharedGeneration', 'of `sharedHandle`'),
    ],
    reply: [
      address('address', 'bound address'),
      u16('port', 'bound port'),
      u16('sctpPort', 'local SCTP port'),
      string('fingerprint', 240, 'of the MF certificate: `sha-256 AA:BB:..`'),
      string('iceUfrag', 256, 'empty without ICE'),
      string('icePwd', 256, 'empty without ICE'),
    ],
  },
  START: {
    type: 3,
    from: 'engine',
    socket: 'control',
    doc: 'Builds DTLS and SCTP, plays the kept datagrams, sends ClientHello at once when active. STATE follows.',
    fields: [
      address('remoteAddress', 'from c=; the only source accepted (R10), unless latched or proved by ICE'),
      u16('remotePort', 'from m='),
      u16('remoteSctpPort', 'from a=sctp-port'),
      oneOf('role', ['active', 'passive'] as const, 'our DTLS role'),
      u16('streams', 'R13: outgoing and accepted incoming streams at INIT, 1..65535'),
      u32('maxMessageSizeBytes', 'what the peer takes; larger messages are not sent to it'),
      bool('ice', 'the peer does ICE: answer its checks, send to the nominated address'),
      bool('natLatch', 'accept another source, once its certificate matched the fingerprints'),
      bool('pinhole', 'passive: send one datagram to open the peer-side gate'),
      fingerprints,
    ],
    reply: [],
  },
  UPDATE: {
    type: 4,
    from: 'engine',
    socket: 'control',
    doc: 'The far end moved or changed its size without a new association (R12). Whole values, not differences.',
    fields: [
      address('remoteAddress', 'as in START'),
      u16('remotePort', 'as in START'),
      u32('maxMessageSizeBytes', 'as in START'),
    ],
    reply: [],
  },
  STREAMS: {
    type: 5,
    from: 'engine',
    socket: 'control',
    doc: 'The whole set of streams in use. Ids left out are reset; new ones may be used at once (SDP-negotiated).',
    fields: [
      list(
        'streams',
        4096,
        'StreamSpec',
        [
          u16('streamId', '0..65534'),
          bool('ordered', 'from dcmap'),
          oneOf('reliability', ['reliable', 'maxRetransmissions', 'maxTimeMs'] as const, 'RFC 3758 policy'),
          u32('reliabilityValue', 'retransmissions or ms'),
          u16('priority', 'RFC 8831 6.4: 128, 256, 512, 1024'),
        ],
        'at most one entry per id',
      ),
    ],
    reply: [
      list(
        'outcomes',
        4096,
        'StreamOutcome',
        [u16('streamId', ''), u16('code', '0 = ok, else STREAM_ID_TOO_HIGH or BUDGET')],
        'one per stream of the request',
      ),
    ],
  },
  ROUTE: {
    type: 6,
    from: 'engine',
    socket: 'control',
    doc: 'One direction: what arrives on the stream of this handle goes to the sink. Default: discard.',
    fields: [
      u16('streamId', 'need not be open yet'),
      oneOf('sink', ['discard', 'payload', 'stream'] as const, 'the fields below count for `stream` only'),
      u32('toHandle', 'in the same worker'),
      u32('toGeneration', 'of `toHandle`; once it is gone the route discards'),
      u16('toStreamId', ''),
    ],
    reply: [],
  },
  FLOW: {
    type: 7,
    from: 'engine',
    socket: 'control',
    doc: 'e2e datagrams (R10): what side a receives leaves from side b and vice versa. Only first octets 20..63 of the allowed source pass; STUN is answered locally. For a live handle: replaces remotes and fingerprints.',
    fields: [
      oneOf('path', ['auto', 'user', 'kernel'] as const, 'kernel: KERNEL_PATH_UNAVAILABLE where it cannot'),
      bool('ice', 'make ICE-lite credentials for both sides'),
      bool('natLatch', 'accept another source, once its certificate matched the fingerprints of its side'),
      list(
        'sides',
        2,
        'FlowSide',
        [
          address('bindAddress', ''),
          u16('port', 'chosen by the MF (R6)'),
          address('remoteAddress', 'empty: unknown until the answer, nothing passes'),
          u16('remotePort', '0: unknown'),
          fingerprints,
        ],
        'exactly two: a, b',
      ),
    ],
    reply: [
      oneOf('path', ['user', 'kernel'] as const, 'what was set up'),
      list(
        'sides',
        2,
        'FlowEndpoint',
        [
          address('address', 'bound address'),
          u16('port', 'bound port'),
          string('iceUfrag', 256, 'empty without ICE'),
          string('icePwd', 256, 'empty without ICE'),
        ],
        'a, b',
      ),
    ],
  },
  RELEASE: {
    type: 8,
    from: 'engine',
    socket: 'control',
    doc: 'Ends the handle (SCTP ABORT or DTLS close_notify when connected), frees its socket, then answers. A handle that is not live gives zeros.',
    fields: [],
    reply: counters,
  },
  RESET_STREAM: {
    type: 9,
    from: 'engine',
    socket: 'control',
    doc: 'Closes one stream (RFC 6525 outgoing reset); what is still buffered for it is discarded.',
    fields: [u16('streamId', ''), string('reason', 256, 'for the log')],
    reply: [],
  },
  STATS: {
    type: 10,
    from: 'engine',
    socket: 'control',
    doc: 'Asks for figures; answered by STATS_DATA.',
    fields: [
      list('handles', 16, 'HandleRef', [u32('handle', ''), u32('generation', '')], 'those not live are left out'),
    ],
  },
  TRACE: {
    type: 11,
    from: 'engine',
    socket: 'control',
    doc: 'Copies every datagram of this handle as TRACE_DATA, or stops.',
    fields: [bool('on', '')],
    reply: [],
  },
  DRAIN: {
    type: 12,
    from: 'engine',
    socket: 'control',
    doc: 'From now on RESERVE and FLOW answer DRAINING. The engine ends the worker by closing the sockets.',
    fields: [],
    reply: [],
  },
  PING: {
    type: 13,
    from: 'engine',
    socket: 'control',
    doc: 'Health; answered by PONG from the event loop that serves the media.',
    fields: [],
  },
  PAYLOAD: {
    type: 14,
    from: 'engine',
    socket: 'payload',
    doc: 'One message for the peer. `end`: reset the stream once everything before it was sent.',
    fields: [
      u16('streamId', ''),
      oneOf('kind', ['binary', 'text', 'end'] as const, 'PPIDs 53/57 and 51/56; `end` has no data'),
      bytes('data', MAX_MESSAGE_BYTES, 'the message; may be empty'),
    ],
  },
  CREDIT: {
    type: 15,
    from: 'engine',
    socket: 'payload',
    doc: 'The engine takes so many more bytes of this stream. The first CREDIT of a stream is answered by a CREDIT with the size of the send window. A side sends while its credit is above zero; a message costs its bytes + MESSAGE_CREDIT_OVERHEAD_BYTES and may overdraw.',
    fields: [u16('streamId', ''), u32('bytes', '')],
  },

  WELCOME: {
    type: 65,
    from: 'worker',
    socket: 'control',
    doc: 'Answers HELLO.',
    fields: [
      u16('version', 'PROTOCOL_VERSION'),
      oneOf('engine', ['embedded', 'native'] as const, ''),
      u32('pid', ''),
      string('software', 128, 'name and versions, for logs'),
      u16('maxStreamId', 'higher ids answer STREAM_ID_TOO_HIGH (R13)'),
      u32('maxMessageSizeBytes', 'min(HELLO, what the worker can)'),
      bool('ice', 'answers ICE checks and follows the nominated address'),
      bool(
        'receiveBackPressure',
        'a slow reader closes the window of its sender; false: its datagrams are held back, then dropped',
      ),
      bool('forking', 'RESERVE with `sharedHandle`'),
      bool('kernelDatagrams', 'FLOW with path kernel'),
      bool('trace', 'TRACE'),
      bool('keyLog', 'KEY_LOG'),
    ],
  },
  OK: {
    type: 66,
    from: 'worker',
    socket: 'control',
    doc: 'Success; the body is the `reply` of the request.',
    fields: [],
  },
  ERROR: {
    type: 67,
    from: 'worker',
    socket: 'control',
    doc: 'Failure of the request; nothing was changed.',
    fields: [u16('code', 'WORKER_ERRORS'), string('detail', 512, 'for the log')],
  },
  STATE: {
    type: 68,
    from: 'worker',
    socket: 'control',
    doc: 'The association changed state. Before failed and closed the worker has sent PAYLOAD `end` for every stream routed to payload. The handle stays until RELEASE.',
    fields: [
      oneOf('state', states, ''),
      u16('code', '0, or why: WORKER_ERRORS'),
      string('detail', 512, 'for the log'),
      address('remoteAddress', 'where the peer is (latched or nominated)'),
      u16('remotePort', ''),
    ],
  },
  STREAM: {
    type: 69,
    from: 'worker',
    socket: 'control',
    doc: 'A stream became usable, or was closed by either side.',
    fields: [
      u16('streamId', ''),
      oneOf('state', ['open', 'closed'] as const, ''),
      u16('code', '0, or why: WORKER_ERRORS'),
      string('detail', 512, 'for the log'),
    ],
  },
  PAYLOAD_FROM_PEER: {
    type: 70,
    from: 'worker',
    socket: 'payload',
    doc: 'One message of a stream routed to payload. `end`: the stream is closed, no more will come.',
    fields: [
      u16('streamId', ''),
      oneOf('kind', ['binary', 'text', 'end'] as const, 'as in PAYLOAD'),
      bytes('data', MAX_MESSAGE_BYTES, 'the message; may be empty'),
    ],
  },
  CREDIT_FROM_WORKER: {
    type: 71,
    from: 'worker',
    socket: 'payload',
    doc: 'The worker takes so many more bytes for this stream.',
    fields: [u16('streamId', ''), u32('bytes', '')],
  },
  STATS_DATA: {
    type: 72,
    from: 'worker',
    socket: 'control',
    doc: 'Answers STATS.',
    fields: [
      u32('associations', 'live handles of this worker'),
      u64('memoryBytes', 'resident'),
      u64('lateFrames', 'frames for handles that were not live'),
      u64('datagramsIgnored', 'datagrams of all handles that nobody took'),
      list(
        'records',
        16,
        'AssociationStats',
        [
          u32('handle', ''),
          u32('generation', ''),
          oneOf('state', states, ''),
          u32('stateAgeMs', 'since the state was entered'),
          u32('handshakeUs', 'START to connected; 0 before'),
          u32('rttUs', 'smoothed, of SCTP; 0 = unknown'),
          u32('bufferedBytes', 'accepted and not yet acknowledged by the peer, all streams'),
          u64('retransmissions', 'SCTP chunks'),
          u64('datagramsReceived', ''),
          u64('datagramsSent', ''),
          u64('datagramsIgnored', 'wrong source, wrong first octet, not authentic'),
          ...counters,
          list(
            'streams',
            1024,
            'StreamStats',
            [u16('streamId', 'a flow: 0 = side a, 1 = side b'), u32('bufferedBytes', ''), ...counters],
            'streams in use, lowest ids first',
          ),
        ],
        'one per handle asked for and live',
      ),
    ],
  },
  TRACE_DATA: {
    type: 73,
    from: 'worker',
    socket: 'payload',
    doc: 'One datagram as it was on the wire; dropped, not queued, while the socket is full.',
    fields: [
      bool('sent', 'false: received'),
      u64('atUs', 'epoch microseconds'),
      address('remoteAddress', ''),
      u16('remotePort', ''),
      bytes('datagram', 2048, ''),
    ],
  },
  OVERLOAD: {
    type: 74,
    from: 'worker',
    socket: 'control',
    doc: 'The budget is used up (or free again): place nothing new here.',
    fields: [bool('overloaded', ''), u64('memoryBytes', 'resident'), u32('associations', 'live handles')],
  },
  PONG: {
    type: 75,
    from: 'worker',
    socket: 'control',
    doc: 'Answers PING.',
    fields: [
      u32('loopLagUs', 'longest turn of the event loop since the last PONG'),
      u32('associations', 'live handles'),
    ],
  },
  KEY_LOG: {
    type: 76,
    from: 'worker',
    socket: 'control',
    doc: 'One line in the NSS key log format, so that Wireshark decrypts. The MF writes the file.',
    fields: [string('line', 512, '')],
  },
} as const satisfies Record<string, FrameDefinition>;

/** Codes of ERROR, STATE, STREAM and outcomes. Value -> meaning; never reused. 0 is success. */
export const WORKER_ERRORS = {
  BAD_FRAME: { value: 1, doc: 'the body does not fit its definition' },
  VERSION_UNSUPPORTED: { value: 2, doc: 'HELLO carried another version' },
  UNSUPPORTED: { value: 3, doc: 'the worker lacks this capability' },
  UNKNOWN_HANDLE: { value: 4, doc: 'no such handle and generation is live' },
  HANDLE_IN_USE: { value: 5, doc: 'RESERVE or FLOW for a handle that is live' },
  WRONG_STATE: { value: 6, doc: 'for instance START twice' },
  PORT_UNAVAILABLE: { value: 7, doc: 'the port could not be bound' },
  BUDGET: { value: 8, doc: 'memory budget or association limit reached' },
  DRAINING: { value: 9, doc: 'the worker takes nothing new' },
  STREAM_ID_TOO_HIGH: { value: 10, doc: 'above maxStreamId, or not below the streams fixed at INIT (R13)' },
  STREAM_UNKNOWN: { value: 11, doc: 'the stream is not open' },
  BAD_CERTIFICATE: { value: 12, doc: 'certificate or key of HELLO cannot be used' },
  BAD_REMOTE: { value: 13, doc: 'address, fingerprint or another value of the far end cannot be used' },
  KERNEL_PATH_UNAVAILABLE: { value: 14, doc: 'the kernel path was demanded and is not possible' },
  INTERNAL: { value: 15, doc: 'a fault of the worker; `detail` says which' },
  HANDSHAKE_TIMEOUT: { value: 32, doc: 'not connected within associationTimeoutMs (R25)' },
  HANDSHAKE_FAILED: { value: 33, doc: 'DTLS alert or protocol error' },
  FINGERPRINT_MISMATCH: { value: 34, doc: 'the certificate of the peer matches no fingerprint' },
  PEER_CLOSED: { value: 35, doc: 'the peer ended the association' },
  PEER_GONE: { value: 36, doc: 'SCTP gave up retransmitting, or heartbeats went unanswered' },
  PEER_RESET_STREAM: { value: 37, doc: 'the peer reset the stream' },
  SLOW_READER: { value: 38, doc: 'reset after slowReaderLimitMs (R29)' },
  MESSAGE_TOO_LARGE: { value: 39, doc: 'the reader cannot take a message of this size: its stream is reset (R11)' },
  RESET_BY_ENGINE: { value: 40, doc: 'RESET_STREAM, PAYLOAD end, or left out of STREAMS' },
  RELEASED: { value: 41, doc: 'RELEASE of the association' },
  UNSUPPORTED_MESSAGE: {
    value: 42,
    doc: 'the peer sent what no data channel carries (RFC 8831 6.6): its stream is reset',
  },
} as const satisfies Record<string, { readonly value: number; readonly doc: string }>;
export type WorkerErrorName = keyof typeof WORKER_ERRORS;
