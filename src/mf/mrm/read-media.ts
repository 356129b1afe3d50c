import { isIP } from 'node:net';
import { type Fingerprint, parseFingerprint, preferredFingerprints } from '../../dtls/fingerprint.ts';
import { isTlsId } from '../../dtls/tls-id.ts';
import { ImsdcError } from '../../errors.ts';
import type { DcEndpoint, DcStream, Endpoint } from '../../services/common-data.ts';
import type { DcMedia } from '../../services/nmf-mrm.ts';
import type { DesiredStream, Mdc2Rules, Sink } from './desired.ts';
import { isDtls, mdc2AssociationOf, readMdc2Sink } from './read-mdc2.ts';

/** 400 with the place. What the schema cannot say is checked here. */
export function contextInvalid(param: string, problem: string): ImsdcError {
  return new ImsdcError('MF_CONTEXT_INVALID', { param, problem, invalidParams: [{ param, reason: problem }] });
}

export function readEndpoint(endpoint: Endpoint, pointer: string): { address: string; port: number } {
  const { ipv4Addr, ipv6Addr } = endpoint.ip;
  const address = ipv4Addr ?? ipv6Addr;
  const family = ipv4Addr === undefined ? 6 : 4;
  if (address === undefined) throw contextInvalid(`${pointer}/ip`, 'has no address');
  if (isIP(address) !== family) throw contextInvalid(`${pointer}/ip/ipv${family}Addr`, 'is not an address');
  return { address, port: endpoint.portNumber };
}

export function readRemoteDc(dc: DcEndpoint, pointer: string) {
  const member = dc.fingerprints ? 'fingerprints' : 'fingerprint';
  const texts = dc.fingerprints ?? (dc.fingerprint === undefined ? [] : [dc.fingerprint]);
  const usable: Fingerprint[] = [];
  let problem = 'missing';
  for (const text of texts) {
    const fingerprint = parseFingerprint(text);
    if (typeof fingerprint === 'string') problem = fingerprint;
    else usable.push(fingerprint);
  }
  if (usable.length === 0) throw contextInvalid(`${pointer}/${member}`, problem);
  if (dc.sctpPort === 0) throw contextInvalid(`${pointer}/sctpPort`, '0 says that the association is closed');
  if (dc.tlsId !== undefined && !isTlsId(dc.tlsId)) throw contextInvalid(`${pointer}/tlsId`, 'is not a tls-id');
  return { sctpPort: dc.sctpPort, fingerprints: preferredFingerprints(usable), tlsId: dc.tlsId };
}

/** RFC 8864 5.1.7: when dcmap has no priority. */
const DEFAULT_PRIORITY = 256;
const MAX_STREAM_ID = 65_534;

export interface StreamsEntry {
  readonly terminationId: string;
  readonly media: { readonly mediaId: string };
  readonly dcMedia: DcMedia;
  readonly pointer: string;
}

export function readStreams(
  entry: StreamsEntry,
  mode: 'flow' | 'http' | 'mdc2' | 'mdc2Flow' | 'relay',
  far: string | undefined,
  mdc2: Mdc2Rules,
): DesiredStream[] {
  const { dcMedia, pointer } = entry;
  const streams = Object.entries(dcMedia.streams);
  if (streams.length === 0) throw contextInvalid(`${pointer}/dcMedia/streams`, 'is empty');
  return streams.map(([key, stream]) => {
    const at = `${pointer}/dcMedia/streams/${key}`;
    const streamId = Number(key);
    if (!/^[0-9]{1,5}$/.test(key) || streamId > MAX_STREAM_ID) throw contextInvalid(at, 'is not a stream id');
    const spec = mode === 'http' ? BOOTSTRAP : readReliability(stream, at);
    const { label = '', subprotocol = '' } = stream;
    const sink = () => {
      if (mode === 'http') return readHttpSink(dcMedia, key, pointer);
      if (mode === 'mdc2' && isDtls(dcMedia)) return relaySink(mdc2AssociationOf(entry));
      return mode === 'mdc2' ? readMdc2Sink(entry, { label, subprotocol }, mdc2) : relaySink(far);
    };
    return { streamId, ...spec, label, subprotocol, sink: sink() };
  });
}

/** TS 26.114 6.2.10.1: bootstrap channels are ordered, reliable, of normal priority, whatever the dcmap says. */
const BOOTSTRAP = { ordered: true, priority: DEFAULT_PRIORITY } as const;

function readReliability(stream: DcStream, pointer: string) {
  const { maxRetry, maxTime, order = true, priority = DEFAULT_PRIORITY } = stream;
  // RFC 8864 5.1.6: they exclude each other. A library that fills in both zeros would make the channel lossy.
  if (maxRetry !== undefined && maxTime !== undefined) {
    throw contextInvalid(`${pointer}/maxTime`, 'excludes maxRetry');
  }
  return {
    ordered: order,
    priority,
    ...(maxRetry === undefined ? {} : { maxRetransmissions: maxRetry }),
    ...(maxTime === undefined ? {} : { maxTimeMs: maxTime }),
  };
}

const DISCARD: Sink = { kind: 'discard' };
/** Without a far end yet, what comes is dropped and counted. */
const relaySink = (far: string | undefined): Sink =>
  far === undefined ? DISCARD : { kind: 'relay', association: far };

/** R27: the base ends in `/` and has no query. A bootstrap stream without a URL is nobody's (R1: 10 and 110). */
function readHttpSink(dcMedia: DcMedia, key: string, pointer: string): Sink {
  const entry = dcMedia.replaceHttpUrl?.[key];
  if (!entry) return DISCARD;
  const at = `${pointer}/dcMedia/replaceHttpUrl/${key}/replaceHttpUrl`;
  const { replaceHttpUrl } = entry;
  const url = URL.canParse(replaceHttpUrl) ? new URL(replaceHttpUrl) : undefined;
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw contextInvalid(at, 'is not an http(s) URL');
  if (!url.pathname.endsWith('/') || url.search || url.hash || url.username || url.password) {
    throw contextInvalid(at, "must end in '/', without query, fragment or user");
  }
  const mdc1 = dcMedia.remoteMdc1Endpoint;
  if (!mdc1) throw contextInvalid(`${pointer}/dcMedia/remoteMdc1Endpoint`, 'missing');
  return { kind: 'http', replaceHttpUrl: url.href, ...readEndpoint(mdc1, `${pointer}/dcMedia/remoteMdc1Endpoint`) };
}

export const isUnspecified = (address: string) => address === '0.0.0.0' || address === '::';
