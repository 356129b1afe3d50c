import type { Sink } from '../base/environment.ts';
import type { Address } from './message/address.ts';
import type { ReadonlyParams } from './message/params.ts';

/** A lazy view of one SIP message. It dies with the turn: whatever must outlive it goes through `own()`. */
export interface SipMessage {
  /** The whole message, latin1: one character is one byte. */
  readonly raw: string;
  readonly isRequest: boolean;
  /** Request: its method. Response: the method of its CSeq. */
  readonly method: string;
  /** Request only, else ''. Verbatim. */
  readonly requestUri: string;
  /** Response only; 0 for a request. */
  readonly status: number;
  readonly reason: string;
  readonly callId: string;
  readonly cseq: number;
  readonly fromTag: string;
  readonly toTag: string;
  /** The topmost Via, parsed. */
  readonly via: ViaValue;
  readonly body: string;
  /** The first Contact, which is asked for again and again; undefined when there is none that can be read. */
  readonly contact: Address | undefined;
  /** First value of a header, unfolded and trimmed. Names are long, lower-case ('call-id'); compact forms are folded. */
  first(name: string): string | undefined;
  /** Every header line of that name, unsplit, in order. */
  each(name: string): Iterable<string>;
  /** Every value of that name, split at top-level commas (outside quotes and angle brackets), in order. */
  list(name: string): string[];
  /** The header lines as they arrived, in order: `name` lower-case long form, `line` verbatim without its CRLF. */
  headerLines(): Iterable<{ readonly name: string; readonly line: string }>;
  /** Every header line of that name verbatim, each with its CRLF; '' when there is none. What copies are made from. */
  span(name: string): string;
  /** Every header line whose name is not in `except`, verbatim with CRLF, in order: how unknown headers pass on. */
  spanExcept(except: ReadonlySet<string>): string;
}

export interface ViaValue {
  readonly transport: string;
  readonly host: string;
  /** 0 when absent. */
  readonly port: number;
  readonly branch: string;
  readonly params: ReadonlyParams;
}

export type Transport = 'udp' | 'tcp' | 'tls' | 'ws' | 'wss';

/** Where a message came from and where its response goes back to (RFC 3261 18.2.2, RFC 3581). */
export interface Flow {
  readonly transport: Transport;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Stream transports: the connection it came on. */
  readonly connection?: string;
  /** TLS: the names in the peer's verified certificate, lower case; absent when it showed none. */
  readonly peerNames?: readonly string[];
}

/** A resolved next hop (RFC 3263 done). */
export interface Destination {
  readonly transport: Transport;
  /** IP address; for a WebSocket client the `.invalid` name that it goes by (RFC 7118 5.1). */
  readonly address: string;
  readonly port: number;
  /** The name that was resolved: SNI, and what the certificate must say (RFC 5922 4). Absent: the address itself. */
  readonly serverName?: string;
  /** The URI names the transport, so that a large request does not change it (RFC 3261 18.1.1). */
  readonly transportFixed?: boolean;
  /** A new connection must stand within so long; absent: the transport's own limit. */
  readonly connectWithinMs?: number;
  /** Prefer this connection when it still lives. */
  readonly connection?: string;
  /** Send from this listener: a response leaves from where its request came in (RFC 3581 4). */
  readonly localAddress?: string;
  readonly localPort?: number;
}

/** branch + sent-by + method (ACK and CANCEL -> INVITE): RFC 3261 17.2.3. */
export type ServerKey = string & { readonly __server: unique symbol };
/** branch + method: RFC 3261 17.1.3. */
export type ClientKey = string & { readonly __client: unique symbol };

/** What the transaction layer tells its user. */
export type TransactionUserEvent =
  | { kind: 'request'; key: ServerKey; message: SipMessage; flow: Flow }
  /** A CANCEL that matched the INVITE `key`; the layer has answered it with 200 already. */
  | { kind: 'cancel'; key: ServerKey; message: SipMessage }
  /** An ACK that no transaction absorbed: it acknowledges a 2xx, or nothing. */
  | { kind: 'ack'; message: SipMessage; flow: Flow }
  /** Every 1xx, and each 2xx again as it is retransmitted or comes from another fork (RFC 6026). */
  | { kind: 'response'; key: ClientKey; message: SipMessage }
  /** A response that matches no transaction (RFC 6026 8.9: dropped by the B2BUA; counted). */
  | { kind: 'strayResponse'; message: SipMessage }
  /** `overload`: the bound on client transactions was reached and nothing was sent. */
  | { kind: 'clientFailed'; key: ClientKey; reason: 'timeout' | 'transport' | 'overload' }
  | { kind: 'serverFailed'; key: ServerKey; reason: 'timeout' | 'transport' };

/** A timer of a transaction, opaque to the edge: it comes back in `timerDue`, and nothing has to be looked up by then. */
export interface TransactionTimerHandle {
  /** The edge's own: what stops the timer while it is armed. */
  armed: { cancel(): void } | undefined;
}

/** What the transaction layer asks of its edge. */
export type TransactionLayerEffect =
  | { kind: 'transmit'; wire: string; to: Destination; owner: ServerKey | ClientKey | null }
  | { kind: 'arm'; timer: TransactionTimerHandle; atMs: number }
  | { kind: 'disarm'; timer: TransactionTimerHandle }
  | { kind: 'toUser'; event: TransactionUserEvent };

/**
 * The four machines of RFC 3261 17 / RFC 6026 behind one door. Pure: no sockets, no clock; the edge feeds it.
 *
 * It answers by itself: 100 to an INVITE (R15: at once; the user need not), 200 or 481 to CANCEL, 482 to a merged request,
 * 503 above its bound. Everything else is the user's: 4xx checks (`checkRequest`), 487 after a `cancel` event, 2xx
 * retransmission, ACK for 2xx.
 */
export interface TransactionLayer {
  receive(message: SipMessage, flow: Flow, nowMs: number): void;
  /** Starts a client transaction. `wire` already carries the top Via with `branch`. */
  request(options: { wire: string; method: string; branch: string; to: Destination }, nowMs: number): ClientKey;
  /**
   * Sends CANCEL for a pending INVITE once a 1xx has come (RFC 3261 9.1), built from the INVITE's own headers.
   * `extraHeaders` are whole lines with CRLF (Reason). The CANCEL's own responses are absorbed; the INVITE still ends
   * with its final response, or with `clientFailed`/timeout 64 * T1 after the CANCEL.
   */
  cancel(key: ClientKey, nowMs: number, extraHeaders?: string): void;
  /** Sends a response in a server transaction. 2xx to INVITE: the layer keeps the transaction (RFC 6026), the user retransmits. */
  respond(key: ServerKey, status: number, wire: string, nowMs: number): void;
  timerDue(timer: TransactionTimerHandle, nowMs: number): void;
  transportFailed(owner: ServerKey | ClientKey, nowMs: number): void;
  /** Forgets every transaction and disarms their timers. */
  close(): void;
  readonly size: { readonly clients: number; readonly servers: number };
}

export type TransactionLayerSink = Sink<TransactionLayerEffect>;
