/**
 * Every error of the project: its code, what it says, and what it becomes on the wire. `docs/errors.md` lists them
 * and `test/errors.test.ts` holds the two together.
 */
interface ErrorEntry {
  /** `{name}` is replaced from the error's details. */
  readonly template: string;
  /** SIP status, where the error ends a SIP transaction. */
  readonly sip?: number;
  /** HTTP status and ProblemDetails cause (TS 29.500), where it ends an SBI request. */
  readonly http?: number;
  readonly cause?: string;
  /** Process exit code, where it ends a command. */
  readonly exit?: number;
}

export const ERRORS = {
  CHANNEL_HTTP_BAD_HEAD: { template: 'HTTP on a data channel: {problem}', http: 400 },
  CHANNEL_HTTP_BODY_TOO_LARGE: { template: 'HTTP body on a data channel exceeds {limit} bytes', http: 413 },
  CHANNEL_HTTP_HEAD_TOO_LARGE: { template: 'HTTP head on a data channel exceeds {limit} bytes', http: 431 },
  CHANNEL_HTTP_LENGTH_MISMATCH: { template: 'HTTP body of {got} bytes where {announced} were announced', http: 502 },
  CHANNEL_HTTP_TOO_MANY_REQUESTS: { template: 'more than {limit} HTTP requests in one message', http: 429 },
  CHANNEL_HTTP_UNSUPPORTED: { template: 'HTTP on a data channel: {what} is not supported', http: 501 },
  CONFIG_INVALID: { template: '{file}:{line}: {key}: {problem}', exit: 78 },
  CONFIG_NOT_FOUND: { template: 'no configuration file at {file}', exit: 66 },
  LAB_CHECK: { template: '{what}: {problem}', exit: 1 },
  LAB_PROCESS: { template: '{name} {how}; the end of {log}:\n{tail}', exit: 70 },
  LAB_UE: { template: "{name}: '{line}' failed: {problem}", exit: 1 },
  UE_BOOTSTRAP_RESPONSE: { template: 'bootstrap response: {problem}', exit: 76 },
  UE_CALL_ENDED: { template: 'the call has ended: {reason}', exit: 69 },
  UE_CALL_FAILED: { template: '{status} {reason}', exit: 69 },
  UE_CHANNEL_CLOSED: { template: 'data channel {streamId} is closed: {reason}', exit: 69 },
  UE_COMMAND: { template: '{problem}', exit: 70 },
  UE_FILE: { template: 'file transfer: {problem}', exit: 65 },
  UE_TIMEOUT: { template: 'nothing came of it in {seconds} s: {line}', exit: 75 },
  USAGE: { template: '{problem}', exit: 64 },
  DCAR_APPLICATION_ID: {
    template: 'application id "{applicationId}" {problem}',
    http: 400,
    cause: 'MANDATORY_IE_INCORRECT',
    exit: 65,
  },
  DCAR_GRANTS_UNAUTHORISED: { template: 'the internal interface of the repository needs its secret', http: 401 },
  DCAR_NOT_FOUND: { template: 'no application {applicationId} in {directory}', http: 404, exit: 66 },
  DCAR_PACKAGE_INVALID: { template: '{source}: {problem}', http: 400, cause: 'MANDATORY_IE_INCORRECT', exit: 65 },
  DCAR_PLAINTEXT: { template: '{host}: HTTP without TLS is for loopback only', exit: 78 },
  DCAR_REPOSITORY: { template: 'repository {directory}: {problem}', http: 500, cause: 'SYSTEM_FAILURE', exit: 74 },
  DCAR_SECRET_MISSING: { template: 'dcar.internal.secret needs at least {least} characters', exit: 78 },
  DCAR_VERSION_EXISTS: {
    template: '{applicationId} {version} exists with other content; versions never change, so raise the version',
    http: 409,
    exit: 65,
  },
  DCSF_A2P_REFUSED: { template: '{reason}', http: 403, cause: 'MODIFICATION_NOT_ALLOWED' },
  DCSF_CLOSED: { template: 'the DCSF is closing', http: 503, cause: 'NF_CONGESTION' },
  DCSF_DC_AS: { template: 'dcsf.policy.dcAs.{application}: {problem}', exit: 78 },
  DCSF_DC4_UNAUTHORISED: { template: 'DC4 needs the secret of the application', http: 401 },
  DCSF_DEADLINE: {
    template: 'session {sessionId}: the notification ran out of time',
    http: 504,
    cause: 'TIMED_OUT_REQUEST',
  },
  DCSF_INSTRUCTION_FAILED: { template: 'session {sessionId}: {problem}', http: 500, cause: 'UNSPECIFIED_NF_FAILURE' },
  DCSF_MDC1_ADDRESS: {
    template: 'dcsf.mdc1: "{host}" is a name, and DC1 carries addresses: set dcsf.mdc1.address',
    exit: 78,
  },
  DCSF_NOT_AUTHORISED: { template: '{reason}', sip: 403, http: 403, cause: 'USER_NOT_ALLOWED' },
  DCSF_NO_SESSION: { template: '{what}', http: 404, cause: 'CONTEXT_NOT_FOUND' },
  DCSF_PLAINTEXT: { template: '{host}: DC4 without TLS is for loopback only', exit: 78 },
  DCSF_SESSIONS_FULL: { template: 'all {max} sessions are taken', http: 503, cause: 'INSUFFICIENT_RESOURCES' },
  DCSF_SUBSCRIBERS: { template: 'subscriber file {file}: {problem}', exit: 78 },
  DCSF_WORKER_LOST: { template: 'worker {worker} cannot answer: {problem}', http: 503, cause: 'NF_CONGESTION' },
  MDC1_BAD_RESPONSE: { template: 'MDC1 {where}: {problem}', http: 502 },
  MDC1_REFUSED: {
    template: 'MDC1 to {address} without TLS: only on loopback, or with mf.mdc1.allowPlainHttp',
    http: 502,
  },
  MDC1_TIMEOUT: { template: 'MDC1 {where} does not answer in time', http: 504 },
  MDC1_UNREACHABLE: { template: 'MDC1 {where}: {problem}', http: 502 },
  MEDIA_BAD_REMOTE: { template: 'the far end cannot be used: {problem}', http: 400, cause: 'MANDATORY_IE_INCORRECT' },
  MEDIA_MESSAGE_TOO_LARGE: { template: 'a message of {bytes} bytes; stream {streamId} takes {limit}' },
  MEDIA_UNKNOWN_KEY: { template: 'no association or flow {key}', http: 404, cause: 'RESOURCE_NOT_FOUND' },
  MEDIA_WRONG_STATE: { template: '{operation} while the association is {state}' },
  MF_ADMIN: { template: 'admin listener {url}: {problem}', exit: 69 },
  MF_CONTEXT_BUSY: {
    template: 'context {contextId} has {waiting} requests waiting',
    http: 429,
    cause: 'NF_CONGESTION_RISK',
  },
  MF_CONTEXT_INVALID: { template: '{param} {problem}', http: 400, cause: 'MANDATORY_IE_INCORRECT' },
  MF_CONTEXT_LIMIT: { template: 'all {max} contexts are in use', http: 503, cause: 'NF_CONGESTION' },
  MF_CONTEXT_NOT_FOUND: { template: 'no media context {contextId}', http: 404, cause: 'CONTEXT_NOT_FOUND' },
  MF_DRAINING: { template: 'this MF takes no new contexts', http: 503, cause: 'NF_CONGESTION' },
  MF_ENGINE_FAILED: { template: 'the media engine failed: {problem}', http: 500, cause: 'SYSTEM_FAILURE' },
  MF_NFT: { template: 'nftables: {problem}', exit: 71 },
  MF_NO_PORTS: {
    template: 'no UDP port is free ({taken} taken, {resting} resting)',
    http: 500,
    cause: 'INSUFFICIENT_RESOURCES',
  },
  MF_NO_RESOURCES: { template: 'the media workers are full: {problem}', http: 500, cause: 'INSUFFICIENT_RESOURCES' },
  MF_NO_STREAMS: {
    template: '{param}: none of the streams can be opened ({reason})',
    http: 500,
    cause: 'INSUFFICIENT_RESOURCES',
  },
  MF_NO_WORKER: { template: 'no media worker: {problem}', http: 503, cause: 'NF_CONGESTION' },
  MF_PATCH_CONFLICT: { template: 'operation {index}: {path} {problem}', http: 409 },
  MF_PATCH_INVALID: { template: 'operation {index}: {member} {problem}', http: 400, cause: 'MANDATORY_IE_INCORRECT' },
  MRM_CONFLICT: { template: 'MF {peer} refuses the patch of {contextId}: {detail}', http: 409 },
  MRM_FAILED: {
    template: 'MF {peer} failed with {status} {cause}: {detail}',
    http: 500,
    cause: 'INSUFFICIENT_RESOURCES',
  },
  MRM_MALFORMED: { template: 'answer of MF {peer}: {detail}', http: 502, cause: 'UNSPECIFIED_NF_FAILURE' },
  MRM_NOT_FOUND: { template: 'MF {peer} has no context {contextId}', http: 404, cause: 'CONTEXT_NOT_FOUND' },
  MRM_REJECTED: {
    template: 'MF {peer} rejects the request with {status} {cause}: {detail}',
    http: 502,
    cause: 'UNSPECIFIED_NF_FAILURE',
  },
  MRM_TIMEOUT: { template: 'no answer of MF {peer} in time', http: 504, cause: 'TIMED_OUT_REQUEST' },
  MRM_UNAVAILABLE: { template: 'MF {peer} is not available: {detail}', http: 503, cause: 'NF_CONGESTION' },
  NIMSAS_MALFORMED: { template: 'answer of {peer}: {problem}', http: 502, cause: 'UNSPECIFIED_NF_FAILURE' },
  NIMSAS_REFUSED: { template: '{peer} refuses: {problem}', http: 502, cause: 'UNSPECIFIED_NF_FAILURE' },
  NIMSAS_TIMEOUT: { template: 'no answer of {peer} in time: {problem}', http: 504, cause: 'TIMED_OUT_REQUEST' },
  NIMSAS_UNAVAILABLE: { template: '{peer} is not available: {problem}', http: 503, cause: 'NF_CONGESTION' },
  PORT_UNAVAILABLE: {
    template: 'UDP {address}:{port} cannot be bound: {problem}',
    http: 503,
    cause: 'INSUFFICIENT_RESOURCES',
  },
  SBI_CONGESTED: { template: '{peer} has {inFlight} requests in flight', http: 503, cause: 'NF_CONGESTION' },
  SBI_INTERRUPTED: {
    template: '{peer} went away before it answered {request}: {problem}',
    http: 502,
    cause: 'UNSPECIFIED_NF_FAILURE',
  },
  SBI_MALFORMED: { template: 'answer of {peer} to {request}: {problem}', http: 502, cause: 'UNSPECIFIED_NF_FAILURE' },
  SBI_PLAINTEXT: {
    template: '{url}: HTTP/2 without TLS is for loopback only',
    http: 400,
    cause: 'OPTIONAL_IE_INCORRECT',
    exit: 78,
  },
  SBI_REDIRECT: {
    template: '{peer} redirects {request} to {location}: {problem}',
    http: 502,
    cause: 'UNSPECIFIED_NF_FAILURE',
  },
  SBI_TIMEOUT: { template: 'no answer of {peer} to {request} in time', http: 504, cause: 'TIMED_OUT_REQUEST' },
  SBI_UNAVAILABLE: { template: '{peer}: {problem}', http: 503, cause: 'TARGET_NF_NOT_REACHABLE' },
  SDP_MALFORMED: { template: 'SDP line {line} {problem}', sip: 400 },
  SDP_NO_OFFER: { template: 'an SDP answer without an open offer ({state})', sip: 488 },
  SDP_OFFER_PENDING: { template: 'an SDP offer while another is open ({state})', sip: 491 },
  SDP_SLOT_IN_USE: { template: 'm-line {slot} is in use by {mediaId}', sip: 488 },
  SDP_TOO_LARGE: { template: 'SDP {what} exceeds {limit}', sip: 413 },
  STATE_CORRUPT: { template: '{file}: {lines} lines are not as they were written, the first at byte {offset}' },
  STATE_DIRECTORY: { template: 'state.dir {directory}: {problem}', exit: 73 },
  STATE_LOCKED: { template: 'state.dir {directory} is in use by another process', exit: 75 },
  STATE_RECORD: { template: 'stored {what} {id} cannot be used: {problem}' },
  STATE_VERSION: { template: '{file}: version {version} where {expected} is read; set aside as {file}.unread' },
  STATE_WRITE: { template: 'state cannot be written: {problem}' },
  WORKER_LOST: { template: 'media worker {worker} is gone: {problem}', http: 503, cause: 'NF_FAILURE' },
  WORKER_PROTOCOL: { template: 'worker protocol: {problem}', http: 500, cause: 'SYSTEM_FAILURE' },
  WORKER_REFUSED: {
    template: 'media worker refused {operation}: {reason} {detail}',
    http: 500,
    cause: 'SYSTEM_FAILURE',
  },
  WORKER_UNAVAILABLE: { template: 'no media worker runs: {problem}', http: 503, cause: 'INSUFFICIENT_RESOURCES' },
  SIP_LISTEN: { template: 'SIP over {transport} cannot listen on {address}:{port}: {problem}', exit: 71 },
  SIP_TLS: { template: 'TLS of a SIP listener: {file}: {problem}', exit: 78 },
  SIP_TRUST: { template: 'trustedPeers: {entry}: {problem}', exit: 78 },
  SIP_UNROUTABLE: { template: 'no way to {uri}: {problem}', sip: 404 },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** An error with a code of the table above. `details` fill the template and are logged. */
export class ImsdcError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, details: Readonly<Record<string, unknown>> = {}, options?: ErrorOptions) {
    super(
      ERRORS[code].template.replace(/\{(\w+)\}/g, (_, name: string) => String(details[name] ?? '?')),
      options,
    );
    this.name = 'ImsdcError';
    this.code = code;
    this.details = details;
  }

  get entry(): ErrorEntry {
    return ERRORS[this.code];
  }
}
