import { buildResponse, type ParsedMessage, parseMessage } from '../message/index.ts';
import type { OverloadControl } from '../overload/index.ts';
import { defaultPort, responseDestination, statelessTag } from '../transaction/derived.ts';
import type { Destination, Flow, SipMessage } from '../types.ts';
import type { EndpointCounters } from './endpoint-counters.ts';
import type { LimitedLog } from './limited-log.ts';
import type { Listeners } from './listeners.ts';
import { RateLimit } from './rate.ts';
import { hostPort, isCut, isInvalidName, type SipTransport, type TransportSink } from './transport.ts';
import type { TrustedPeers } from './trust.ts';

/** Answers to malformed requests per second, all peers together. */
const MAX_ERROR_REPLIES_PER_SECOND = 100;

export interface IngressOptions {
  readonly nowMs: () => number;
  readonly listeners: Listeners;
  readonly trustedPeers: TrustedPeers | undefined;
  readonly overload: OverloadControl | undefined;
  readonly count: EndpointCounters;
  readonly log: LimitedLog;
  /** Salt of the To tags of what is answered here. */
  readonly tagSalt: string;
  readonly receive: (message: SipMessage, flow: Flow, nowMs: number) => void;
  /** Sends an answer without a transaction. */
  readonly transmit: (wire: string, to: Destination) => void;
}

/**
 * From bytes to messages for the transaction layer: parsed, from a peer that may send them, stamped with where they came
 * from. What does not get that far is answered or dropped here, at a bounded rate: noise must not amplify.
 */
export class Ingress {
  readonly #options: IngressOptions;
  readonly #errorReplies = new RateLimit(MAX_ERROR_REPLIES_PER_SECOND);

  constructor(options: IngressOptions) {
    this.#options = options;
  }

  sinkOf(transport: () => SipTransport): TransportSink {
    return {
      received: (bytes, flow) => this.#received(bytes, flow, transport()),
      broken: (status, reason, bytes, flow) => this.#broken(status, reason, bytes, flow),
      trouble: (what, detail) => this.#trouble(what, detail),
      trusts: (peer) => this.#options.trustedPeers?.trustsFlow(peer) ?? true,
    };
  }

  #received(bytes: Buffer, flow: Flow, transport: SipTransport): void {
    const { count, trustedPeers, overload, listeners, receive } = this.#options;
    count.received.value++;
    // RFC 5626 4.4.1: keep-alives are shorter than any SIP message.
    if (bytes.length <= 4) return;
    const result = parseMessage(bytes);
    const stranger = trustedPeers?.trustsFlow(flow) === false;
    if ('error' in result) {
      // Strangers learn nothing of us from noise.
      if (stranger) count.strangers.value++;
      else this.#malformed(result.error, flow);
      return;
    }
    const { message } = result;
    const nowMs = this.#options.nowMs();
    if (message.isRequest) {
      if (stranger) {
        count.strangers.value++;
        this.#refuse(message, 403, 'Not a Trusted Peer', flow);
        return;
      }
      message.stampReceived(flow.remoteAddress, flow.remotePort, overload?.feedback(message, nowMs));
      if (flow.connection !== undefined) rememberPeer(transport, flow.connection, message, flow);
    } else if (!listeners.owns(message.via)) {
      count.foreignResponses.value++; // RFC 3261 18.1.2: not the answer to a request of ours.
      return;
    }
    receive(message, flow, nowMs);
  }

  #broken(status: number, reason: string, bytes: Buffer, flow: Flow): void {
    if (this.#options.trustedPeers?.trustsFlow(flow) === false) {
      this.#options.count.strangers.value++;
      return;
    }
    const result = parseMessage(bytes.subarray(0, endOfHead(bytes)));
    const replyable =
      'error' in result ? result.error.replyable : result.message.isRequest ? result.message : undefined;
    this.#malformed({ status, reason, replyable }, flow);
  }

  /** 8.2: a precise answer where the request can be answered at all; never more than the limit, never to an ACK. */
  #malformed(error: { status: number; reason: string; replyable: ParsedMessage | undefined }, flow: Flow): void {
    this.#options.count.malformed.value++;
    this.#options.log.warn('sip: malformed message', {
      from: hostPort(flow.remoteAddress, flow.remotePort),
      problem: error.reason,
    });
    if (error.replyable !== undefined) this.#refuse(error.replyable, error.status, error.reason, flow);
  }

  #refuse(request: ParsedMessage, status: number, reason: string, flow: Flow): void {
    if (request.method === 'ACK' || !this.#errorReplies.allows(this.#options.nowMs())) return;
    request.stampReceived(flow.remoteAddress, flow.remotePort);
    const toTag = statelessTag(request, this.#options.tagSalt);
    this.#options.transmit(buildResponse(request, status, { reason, toTag }), responseDestination(request, flow));
  }

  #trouble(what: string, detail: string): void {
    this.#options.count.trouble.value++;
    if (isCut(what)) this.#options.count.connectionsCut.value++;
    this.#options.log.warn(`sip: ${what}`, { detail });
  }
}

/** Just past the blank line, so that a body that never came does not hide the headers. */
function endOfHead(bytes: Buffer): number {
  const at = bytes.indexOf('\r\n\r\n', 0, 'latin1');
  return at < 0 ? bytes.length : at + 4;
}

/** Connections are used both ways: RFC 5923 by `alias`, RFC 7118 5.1 by the client's `.invalid` name. */
function rememberPeer(transport: SipTransport, connection: string, request: ParsedMessage, flow: Flow): void {
  const { via } = request;
  if (via.params.has('alias'))
    transport.alias?.(connection, flow.remoteAddress, via.port || defaultPort(flow.transport));
  else if (isInvalidName(via.host)) transport.claimName?.(connection, via.host);
}
