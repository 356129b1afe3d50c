import { sparse } from '../base/dictionary.ts';
import { type Fingerprint, formatFingerprint, parseFingerprint } from '../dtls/fingerprint.ts';
import { isTlsId } from '../dtls/tls-id.ts';
import type { AppBindingInfo, DcEndpoint, DcStream, Endpoint, SecuritySetup } from '../services/common-data.ts';
import { BOOTSTRAP_STREAM_IDS } from './streams.ts';
import type { DataChannelMedia, DataChannelStream, RequestedApplication, SetupValue } from './types.ts';

/** SDP values as TS 29.571 writes them, and back. Used at DC1 and DC2. */

export function toDcStream(stream: DataChannelStream): DcStream {
  return {
    streamId: stream.streamId,
    subprotocol: stream.subprotocol === '' ? undefined : stream.subprotocol,
    label: stream.label === '' ? undefined : stream.label,
    order: stream.ordered,
    maxRetry: stream.maxRetransmissions,
    maxTime: stream.maxTimeMs,
    priority: stream.priority,
  };
}

/**
 * `key` is the map key and wins over `streamId`. A bootstrap id without subprotocol is HTTP: the alpha schemas have a
 * pattern that no real name fits, so peers leave it out (network-side.md 3.6). Undefined: maxRetry with maxTime,
 * which TS 29.571 forbids and nobody can honour.
 */
export function fromDcStream(stream: DcStream, key?: string): DataChannelStream | undefined {
  if (stream.maxRetry !== undefined && stream.maxTime !== undefined) return undefined;
  const streamId = key === undefined ? stream.streamId : Number(key);
  return {
    streamId,
    label: stream.label ?? '',
    subprotocol: stream.subprotocol ?? (BOOTSTRAP_STREAM_IDS.has(streamId) ? 'http' : ''),
    ordered: stream.order ?? true,
    maxRetransmissions: stream.maxRetry,
    maxTimeMs: stream.maxTime,
    priority: stream.priority ?? 256,
    dcsa: [],
  };
}

export function toDcStreams(streams: readonly DataChannelStream[]): Record<string, DcStream> {
  return sparse(streams.map((s) => [s.streamId, toDcStream(s)]));
}

/** Streams in the order of their ids; unusable ones are left out. */
export function fromDcStreams(streams: Readonly<Record<string, DcStream>>): DataChannelStream[] {
  const usable: DataChannelStream[] = [];
  for (const key of Object.keys(streams)) {
    const stream = fromDcStream(streams[key]!, key);
    if (stream !== undefined) usable.push(stream);
  }
  return usable.length > 1 ? usable.sort((a, b) => a.streamId - b.streamId) : usable;
}

/** `holdconn` has no counterpart and is never negotiated. */
export function toSecuritySetup(setup: Exclude<SetupValue, 'holdconn'>): SecuritySetup {
  return setup.toUpperCase() as SecuritySetup;
}

export function fromSecuritySetup(setup: SecuritySetup): Exclude<SetupValue, 'holdconn'> {
  return setup.toLowerCase() as Exclude<SetupValue, 'holdconn'>;
}

/** The DTLS/SCTP end that a section describes. */
export function toDcEndpoint(
  media: Pick<DataChannelMedia, 'sctpPort' | 'fingerprints' | 'tlsId' | 'setup'>,
): DcEndpoint {
  const fingerprints = media.fingerprints.map(formatFingerprint);
  return {
    sctpPort: media.sctpPort,
    fingerprint: fingerprints[0],
    fingerprints,
    tlsId: media.tlsId,
    securitySetup: media.setup === 'holdconn' ? undefined : toSecuritySetup(media.setup),
  };
}

/** What can be used of a peer's DcEndpoint: `fingerprints` before the deprecated `fingerprint`. */
export function fromDcEndpoint(endpoint: DcEndpoint): {
  sctpPort: number;
  fingerprints: Fingerprint[];
  tlsId?: string;
  setup?: SetupValue;
} {
  const texts = endpoint.fingerprints ?? (endpoint.fingerprint === undefined ? [] : [endpoint.fingerprint]);
  const fingerprints = texts.map((text) => parseFingerprint(text, { acceptSha1: true }));
  return {
    sctpPort: endpoint.sctpPort,
    fingerprints: fingerprints.filter((f) => typeof f !== 'string'),
    tlsId: endpoint.tlsId !== undefined && isTlsId(endpoint.tlsId) ? endpoint.tlsId : undefined,
    setup: endpoint.securitySetup === undefined ? undefined : fromSecuritySetup(endpoint.securitySetup),
  };
}

export function toEndpoint(address: string, port: number, transport = 'UDP'): Endpoint {
  return { ip: address.includes(':') ? { ipv6Addr: address } : { ipv4Addr: address }, transport, portNumber: port };
}

/** Undefined: an endpoint without an address. */
export function fromEndpoint(endpoint: Endpoint): { address: string; port: number } | undefined {
  const address = endpoint.ip.ipv4Addr ?? endpoint.ip.ipv6Addr;
  return address === undefined ? undefined : { address, port: endpoint.portNumber };
}

/** TS 29.571 MaxMessageSize, 1 to 64 KiB (R11). 0 bytes means unlimited (RFC 8841 6.1), so it gives the most. */
export function toMaxMessageSizeKiB(bytes: number): number {
  return bytes === 0 ? 64 : Math.max(1, Math.min(64, Math.ceil(bytes / 1024)));
}

export function toAppBindingInfo(application: RequestedApplication): AppBindingInfo {
  const plmn = /^(\d{3})[-.]?(\d{2,3})$/.exec(application.plmnId ?? '');
  return {
    applicationId: application.applicationId,
    ...(plmn ? { plmnId: { mcc: plmn[1], mnc: plmn[2] } } : {}),
    appDcInfoList: application.channels.map((c) => ({ streamId: c.streamId, adcEndpointType: c.endpoint })),
  };
}

/** The value of a=3gpp-req-app, in the form of the 3GPP examples (ue-side.md E6). */
export function toRequestedApplicationText({ applicationId, appDcInfoList = [] }: AppBindingInfo): string {
  const channels = appDcInfoList.map((c) => `${c.streamId}-${c.adcEndpointType === 'UE' ? 'UE' : 'Server'}`);
  return `${applicationId};adc-stream-id-endpoint=${channels.join(',')}`;
}
