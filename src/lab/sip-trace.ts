import { isDataChannelSection, isRejection, readDataChannelMedia } from '../sdp/data-channel.ts';
import { parseSessionDescription } from '../sdp/parse.ts';
import type { SessionDescription } from '../sdp/types.ts';
import { parseMessage } from '../sip/message/index.ts';
import { hostPort, standardTransports, type TransportFactory, type TransportSink } from '../sip/transport/index.ts';

/** One SIP message that went in or out. */
export interface SipObservation {
  readonly atMs: number;
  readonly direction: 'in' | 'out';
  /** `address:port` of the other side. */
  readonly peer: string;
  /** latin1 */
  readonly wire: string;
}

/** Transports that show everything they carry to `observe`, retransmissions included. */
export function observedTransports(observe: (observation: SipObservation) => void): TransportFactory {
  const show = (direction: 'in' | 'out', peer: string, wire: string) =>
    observe({ atMs: performance.timeOrigin + performance.now(), direction, peer, wire });
  const make = standardTransports({});
  return (kind, local, sink, config) => {
    const watched: TransportSink = {
      received: (bytes, flow) => {
        show('in', hostPort(flow.remoteAddress, flow.remotePort), bytes.toString('latin1'));
        sink.received(bytes, flow);
      },
      broken: (status, reason, bytes, flow) => sink.broken(status, reason, bytes, flow),
      trouble: (what, detail) => sink.trouble(what, detail),
    };
    const transport = make(kind, local, watched, config);
    const send = transport.send.bind(transport);
    transport.send = (wire, to, onFailed) => {
      show('out', hostPort(to.address, to.port), typeof wire === 'string' ? wire : wire.toString('latin1'));
      send(wire, to, onFailed);
    };
    return transport;
  };
}

/** What a ladder says of a message. */
export interface SipSummary {
  readonly label: string;
  /** What its SDP offers or answers; absent without SDP. */
  readonly summary?: string;
  readonly minor: boolean;
}

export function summarise(wire: string): SipSummary {
  const result = parseMessage(Buffer.from(wire, 'latin1'));
  if ('error' in result) return { label: wire.split('\r\n', 1)[0] ?? '', minor: true };
  const { message } = result;
  const label = message.isRequest
    ? `${message.method === 'INVITE' && message.toTag !== '' ? 're-' : ''}${message.method}`
    : `${message.status} ${message.reason} (${message.method})`;
  const summary = mediaSummary(message.body);
  return { label, minor: message.status === 100, ...(summary === undefined ? {} : { summary }) };
}

/** `audio, 0/10, 100/110 sender`; refused lines in brackets. */
export function mediaSummary(body: string): string | undefined {
  const start = body.indexOf('v=0');
  if (start < 0) return undefined;
  try {
    const sdp = parseSessionDescription(body.slice(start).split(/\r\n--/, 1)[0]!);
    return sdp.media.map((_, slot) => lineSummary(sdp, slot)).join(', ');
  } catch {
    // A drawing says what it can: the message itself is shown in full.
    return undefined;
  }
}

function lineSummary(sdp: SessionDescription, slot: number): string {
  const section = sdp.media[slot]!;
  if (!isDataChannelSection(section)) return section.port === 0 ? `(${section.media})` : section.media;
  const media = readDataChannelMedia(sdp, slot, { as: 'offer' });
  if (isRejection(media)) return '(refused)';
  const streams = media.streams.map(({ streamId }) => streamId).join('/');
  return media.bootstrapUsedBy ? `${streams} ${media.bootstrapUsedBy}` : streams;
}
