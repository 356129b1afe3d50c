/** SDP of the two handsets. Data channel lines say `setup:active`, so that our MF stays passive: SIPp speaks no DTLS. */

export type Party = 'alice' | 'bob';

const FINGERPRINT = Array.from({ length: 32 }, (_, i) => (0xab + i).toString(16).toUpperCase()).join(':');

/** A session description with these media sections; `version` counts the offers and answers of that party. */
export function sdp(party: Party, version: number, ...media: readonly string[]): string {
  return [
    'v=0',
    `o=${party} 3001 ${version} IN IP[media_ip_type] [media_ip]`,
    's=-',
    'c=IN IP[media_ip_type] [media_ip]',
    't=0 0',
    ...media,
  ].join('\n');
}

export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

const AMR = {
  alice: [
    'a=rtpmap:110 AMR-WB/16000/1',
    'a=fmtp:110 octet-align=1;mode-change-capability=2;max-red=0',
    'a=rtpmap:102 AMR/8000/1',
    'a=fmtp:102 mode-change-capability=2;max-red=0',
    'a=rtpmap:108 AMR/8000/1',
    'a=fmtp:108 octet-align=1;mode-change-capability=2;max-red=0',
  ],
  bob: [],
} as const;

/** The audio section of a VoLTE handset, with an attribute that nobody knows and everybody must pass. */
export function audio(party: Party, direction: Direction = 'sendrecv', ...more: readonly string[]): string {
  const alice = party === 'alice';
  return [
    alice ? 'm=audio 40000 RTP/AVP 104 110 102 108 105 100' : 'm=audio 42000 RTP/AVP 104 105',
    'b=AS:41',
    'b=RS:512',
    'b=RR:1537',
    'a=rtpmap:104 AMR-WB/16000/1',
    'a=fmtp:104 mode-change-capability=2;max-red=0',
    ...AMR[party],
    'a=rtpmap:105 telephone-event/16000',
    'a=fmtp:105 0-15',
    ...(alice ? ['a=rtpmap:100 telephone-event/8000', 'a=fmtp:100 0-15', 'a=maxptime:240'] : []),
    'a=ptime:20',
    `a=${direction}`,
    ...more,
    ...(alice ? ['a=x-imsdc-untouched:7 keep me'] : []),
  ].join('\n');
}

export interface ChannelLine {
  readonly port: number;
  /** 20 characters (ue-side 4.3). */
  readonly tlsId: string;
  readonly setup?: 'active' | 'passive' | 'actpass';
  /** `a=dcmap` values, and whatever else the section has. */
  readonly streams: readonly string[];
  readonly more?: readonly string[];
}

export function channelLine({ port, tlsId, setup = 'active', streams, more = [] }: ChannelLine): string {
  return [
    `m=application ${port} UDP/DTLS/SCTP webrtc-datachannel`,
    'b=AS:500',
    'a=sctp-port:5000',
    'a=max-message-size:65536',
    `a=setup:${setup}`,
    `a=fingerprint:SHA-256 ${FINGERPRINT}`,
    `a=tls-id:${tlsId}`,
    ...streams.map((stream) => `a=dcmap:${stream}`),
    ...more,
  ].join('\n');
}

/** A section at port 0: refused in an answer, removed in an offer. */
export function closed(media = 'application'): string {
  return media === 'audio' ? 'm=audio 0 RTP/AVP 104' : `m=${media} 0 UDP/DTLS/SCTP webrtc-datachannel`;
}

const http = (...ids: readonly number[]) => ids.map((id) => `${id} subprotocol="http"`);
const tlsId = (party: Party, name: string) => `${party}${name}`.padEnd(19, '0') + '1';
const ports = { alice: 40_000, bob: 42_000 } as const;

/** Bootstrap line of the party's own network (ids 0 and 10). */
export function ownLine(party: Party, change: Partial<ChannelLine> = {}): string {
  return channelLine({ port: ports[party] + 10, tlsId: tlsId(party, 'local'), streams: http(0, 10), ...change });
}

/** Bootstrap line of the far network, used by the sender of this SDP's offer (ids 100 and 110). */
export function senderLine(party: Party, change: Partial<ChannelLine> = {}): string {
  const more = ['a=3gpp-bdc-used-by:sender'];
  const streams = party === 'alice' ? http(100, 110) : http(100);
  return channelLine({ port: ports[party] + 12, tlsId: tlsId(party, 'sender'), streams, more, ...change });
}

/** The line that the other network added: its user is the receiver of the offer. */
export function receiverLine(party: Party, change: Partial<ChannelLine> = {}): string {
  const more = ['a=3gpp-bdc-used-by:receiver'];
  return channelLine({ port: ports[party] + 14, tlsId: tlsId(party, 'receiver'), streams: http(100), more, ...change });
}

/** The same section in an offer of the other side: `a=3gpp-bdc-used-by` is relative to who offers (R8). */
export function flipped(section: string): string {
  return section.replace(/(?<=bdc-used-by:)(sender|receiver)/, (who) => (who === 'sender' ? 'receiver' : 'sender'));
}

/** Applications by what the policy of the suite does with their channels. */
export const APP = {
  /** Past the MF. */
  past: '10000001',
  /** Through it, decrypted. */
  e2DCe: '10000005',
  /** Through it as datagrams. */
  e2e: '10000006',
  /** To a DC AS, where the binding says `Server`. */
  server: '10000020',
  /** Between two UEs, but over a DC AS. */
  between: '10000021',
  /** To a DC AS when the other UE has no data channels. */
  interworking: '10000022',
  /** To a DC AS where DTLS of the UE ends. */
  datagrams: '10000023',
  /** To a DC AS that the MF reaches over DTLS. */
  dtls: '10000024',
  unknown: '99999999',
} as const;

export interface ApplicationLine extends Partial<ChannelLine> {
  readonly app: string;
  /** Bind by label only, as deployed handsets do, without `a=3gpp-req-app`. */
  readonly byLabel?: boolean;
  /** Added to each dcmap, such as `;max-retr=3`. */
  readonly reliability?: string;
  /** Stream ids; default 1000. */
  readonly ids?: readonly number[];
  readonly qos?: string;
  /** What is bound to the other end: the other UE, or a DC AS. Default UE. */
  readonly endpoint?: 'UE' | 'Server';
}

/** An application line to the other UE, bound to its application. */
export function applicationLine(party: Party, options: ApplicationLine): string {
  const { app, byLabel, reliability = '', ids = [1000], qos, endpoint, ...change } = options;
  return channelLine({
    port: ports[party] + 20,
    tlsId: tlsId(party, 'app'),
    streams: ids.map((id) => `${id} label="local_${app}_1_draw${id}"${reliability}`),
    more: [
      ...(byLabel ? [] : [requestedApplication(app, ids, endpoint)]),
      ...(qos === undefined ? [] : [`a=3gpp-qos-hint:${qos}`]),
    ],
    ...change,
  });
}

export function requestedApplication(app: string, ids: readonly number[], endpoint: 'UE' | 'Server' = 'UE'): string {
  return `a=3gpp-req-app:${app};adc-stream-id-endpoint=${ids.map((id) => `${id}-${endpoint}`).join(',')}`;
}
