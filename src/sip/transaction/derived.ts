import { own } from '../../base/owned.ts';
import { bareHost, MessageWriter, parseMessage } from '../message/index.ts';
import type { Destination, Flow, SipMessage } from '../types.ts';

/** The CANCEL of a sent INVITE (RFC 3261 9.1): same Request-URI, top Via, Route, From, To, Call-ID and CSeq number. */
export function cancelOf(invite: string, extraHeaders = ''): string {
  return hopByHop(invite, 'CANCEL', undefined, extraHeaders);
}

/** The ACK of a 3xx-6xx (RFC 3261 17.1.1.3): like the INVITE, with the To of the response. */
export function ackOf(invite: string, response: SipMessage): string {
  return hopByHop(invite, 'ACK', response, '');
}

function hopByHop(
  invite: string,
  method: 'ACK' | 'CANCEL',
  response: SipMessage | undefined,
  extraHeaders: string,
): string {
  const parsed = parseMessage(invite, true);
  if ('error' in parsed) throw new TypeError(`the INVITE we sent is malformed: ${parsed.error.reason}`);
  const { message } = parsed;
  return MessageWriter.request(method, message.requestUri)
    .header('Via', message.list('via')[0]!)
    .copy(message, 'route')
    .header('Max-Forwards', 70)
    .copy(message, 'from')
    .copy(response ?? message, 'to')
    .copy(message, 'call-id')
    .header('CSeq', `${message.cseq} ${method}`)
    .lines(extraHeaders)
    .finish();
}

/** Port of a Via or URI that names none (RFC 3261 18.1.1, 19.1.2; RFC 7118 for WebSocket). */
export function defaultPort(transport: Destination['transport']): number {
  if (transport === 'tls') return 5061;
  if (transport === 'ws') return 80;
  return transport === 'wss' ? 443 : 5060;
}

/**
 * Where the response to `request` goes: RFC 3261 18.2.2 and RFC 3581 4. Over a connection: that connection, and when it
 * is gone the received address at the sent-by port.
 */
export function responseDestination(request: SipMessage, flow: Flow): Destination {
  const { via } = request;
  const port = via.port === 0 ? defaultPort(flow.transport) : via.port;
  const { transport, localAddress, localPort } = flow;
  if (transport !== 'udp') {
    return { transport, address: flow.remoteAddress, port, connection: flow.connection, localAddress, localPort };
  }
  const maddr = via.params.get('maddr');
  // An address only: a response is never worth a DNS query.
  const group = maddr === undefined ? '' : bareHost(maddr);
  if (isAddress(group)) return { transport, address: own(group), port, localAddress, localPort };
  const symmetric = via.params.has('rport');
  return { transport, address: flow.remoteAddress, port: symmetric ? flow.remotePort : port, localAddress, localPort };
}

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;
/** As far as it matters here: no name, no longer than an address can be. */
const IPV6 = /^(?=.*:.*:)[\da-f:.]{2,45}$/i;

function isAddress(text: string): boolean {
  return IPV4.test(text) || IPV6.test(text);
}

/** A short text that is the same for the same request, so that each retransmission gets the same stateless answer. */
export function statelessTag(request: SipMessage, salt: string): string {
  let hash = 0x811c9dc5;
  for (const text of [salt, request.via.branch, request.callId]) {
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  return `s${(hash >>> 0).toString(36)}`;
}
