import { type Fingerprint, parseFingerprint, preferredFingerprints } from '../dtls/fingerprint.ts';
import { defaultSetup } from '../dtls/role.ts';
import { isTlsId } from '../dtls/tls-id.ts';
import { connectionAddress, isUnicast } from './connection.ts';
import { attribute, attributeName, attributes, attributeText } from './lines.ts';
import { parseQosHints } from './qos-hint.ts';
import { requestedApplications } from './requested-application.ts';
import { REMOTE_BOOTSTRAP_STREAM_IDS, readStreams } from './streams.ts';
import type {
  DataChannelMedia,
  DataChannelStream,
  MediaRejection,
  MediaSection,
  SdpLines,
  SessionDescription,
  SetupValue,
} from './types.ts';

export { BOOTSTRAP_STREAM_IDS, REMOTE_BOOTSTRAP_STREAM_IDS } from './streams.ts';

export const DATA_CHANNEL_PROTOCOL = 'UDP/DTLS/SCTP';
export const DATA_CHANNEL_FORMAT = 'webrtc-datachannel';
/** RFC 8841 6.1: what an absent a=max-message-size means, in bytes. */
export const DEFAULT_MAX_MESSAGE_SIZE = 65536;
export interface ReadOptions {
  /** Which default a missing a=setup has (RFC 4145 4). */
  readonly as: 'offer' | 'answer';
  /** Lab switch, default false. */
  readonly acceptSha1?: boolean;
}

/** Whether a section means to be a data channel, well formed or not. Other application media are not ours to judge. */
export function isDataChannelSection(section: MediaSection): boolean {
  if (section.media !== 'application') return false;
  return section.protocol.toUpperCase().includes('DTLS/SCTP') || section.formats.includes(DATA_CHANNEL_FORMAT);
}

export function isRejection(read: DataChannelMedia | MediaRejection): read is MediaRejection {
  return 'code' in read;
}

/**
 * Reads the data channel section in `slot` with its session-level fallbacks (TS 26.114 6.2.10, RFC 8841, 8842, 8864).
 * What makes the whole line unusable gives a rejection (answer port 0); what spoils only a part is dropped and noted.
 * Never throws; a slot that does not exist (an answer with fewer m-lines) reads as port 0. The same question gets the
 * same object: do not change it.
 */
export function readDataChannelMedia(
  sdp: SessionDescription,
  slot: number,
  options: ReadOptions,
): DataChannelMedia | MediaRejection {
  const section = sdp.media[slot];
  if (!section) return { code: 'PORT_ZERO', detail: `there is no m-line ${slot}` };
  const known = readings.get(section);
  if (known !== undefined && known.session === sdp.session && isSameQuestion(known.options, options)) return known.read;
  const read = readSection(sdp, section, options);
  readings.set(section, { session: sdp.session, options, read });
  return read;
}

/** Each step of a negotiation asks again for what an earlier step has read; a section never changes. */
const readings = new WeakMap<
  MediaSection,
  { session: SdpLines; options: ReadOptions; read: DataChannelMedia | MediaRejection }
>();

function isSameQuestion(a: ReadOptions, b: ReadOptions): boolean {
  return a.as === b.as && (a.acceptSha1 ?? false) === (b.acceptSha1 ?? false);
}

function readSection(
  sdp: SessionDescription,
  section: MediaSection,
  options: ReadOptions,
): DataChannelMedia | MediaRejection {
  if (section.protocol.toUpperCase() !== DATA_CHANNEL_PROTOCOL) {
    return { code: 'PROTOCOL', detail: `'${section.protocol}' is not ${DATA_CHANNEL_PROTOCOL}` };
  }
  if (section.formats.length !== 1 || section.formats[0] !== DATA_CHANNEL_FORMAT) {
    return { code: 'FORMAT', detail: `'${section.formats.join(' ')}' is not ${DATA_CHANNEL_FORMAT}` };
  }
  if (section.port === 0) return { code: 'PORT_ZERO', detail: 'the port is 0' };

  const notes: string[] = [];
  const own = collect(section);
  const address = connectionAddress(sdp, section);
  const ice = readIce(sdp, own);
  if (address === undefined) return { code: 'ADDRESS', detail: 'no c= line with an IP address' };
  if (!ice && !isUnicast(address)) return { code: 'ADDRESS', detail: `${address} cannot be sent to` };

  const sctpPort = own.sctpPort === undefined ? undefined : readPort(own.sctpPort);
  if (sctpPort === undefined) return { code: 'SCTP_PORT', detail: sctpPortProblem(own.sctpPort) };
  const setup = readSetup(own.setup ?? attribute(sdp.session, 'setup'), options.as, notes);
  if (setup === undefined) return { code: 'SETUP', detail: `'${own.setup}' cannot be answered` };
  const fingerprints = readFingerprints(sdp, own.fingerprints, options, notes);
  if (fingerprints.length === 0) return { code: 'FINGERPRINT', detail: notes.at(-1) ?? 'no a=fingerprint' };
  const streams = readStreams(own.dcmaps, own.dcsas, notes);
  if (streams.length === 0) return { code: 'NO_STREAMS', detail: notes.at(-1) ?? 'no a=dcmap' };

  const tlsId = readTlsId(own.tlsId, notes);
  const bootstrapUsedBy = readUsedBy(own.usedBy, streams, notes);
  return {
    address,
    port: section.port,
    sctpPort,
    maxMessageSizeBytes: readMaxMessageSize(own.maxMessageSize, notes),
    setup,
    fingerprints,
    tlsId,
    streams,
    bootstrapUsedBy,
    applications: requestedApplications(own.applicationLines, streams, notes),
    applicationLines: own.applicationLines,
    qosHint: own.qosHint === undefined ? undefined : { text: own.qosHint, hints: parseQosHints(own.qosHint, notes) },
    bandwidthKbps: own.bandwidthKbps,
    mid: own.mid,
    ice,
    notes,
  };
}

/** The attribute texts of one section; of an attribute that may occur once, the first. */
interface Collected {
  sctpPort: string | undefined;
  maxMessageSize: string | undefined;
  setup: string | undefined;
  tlsId: string | undefined;
  usedBy: string | undefined;
  qosHint: string | undefined;
  mid: string | undefined;
  iceUfrag: string | undefined;
  icePwd: string | undefined;
  bandwidthKbps: number | undefined;
  readonly fingerprints: string[];
  readonly dcmaps: string[];
  readonly dcsas: string[];
  readonly applicationLines: string[];
}

function collect(section: MediaSection): Collected {
  // Every member from the start: objects that grow member by member are slow to build and slow to read.
  const own: Collected = {
    sctpPort: undefined,
    maxMessageSize: undefined,
    setup: undefined,
    tlsId: undefined,
    usedBy: undefined,
    qosHint: undefined,
    mid: undefined,
    iceUfrag: undefined,
    icePwd: undefined,
    bandwidthKbps: undefined,
    fingerprints: [],
    dcmaps: [],
    dcsas: [],
    applicationLines: [],
  };
  for (const line of section.lines) {
    switch (attributeName(line)) {
      case 'dcmap':
        own.dcmaps.push(attributeText(line));
        break;
      case 'dcsa':
        own.dcsas.push(attributeText(line));
        break;
      case 'fingerprint':
        own.fingerprints.push(attributeText(line));
        break;
      case '3gpp-req-app':
        own.applicationLines.push(attributeText(line));
        break;
      case 'sctp-port':
        own.sctpPort ??= attributeText(line);
        break;
      case 'max-message-size':
        own.maxMessageSize ??= attributeText(line);
        break;
      case 'setup':
        own.setup ??= attributeText(line);
        break;
      case 'tls-id':
      case 'tlsId': // as TS 24.186 spells it; read, never written
        own.tlsId ??= attributeText(line);
        break;
      case '3gpp-bdc-used-by':
        own.usedBy ??= attributeText(line);
        break;
      case '3gpp-qos-hint':
        own.qosHint ??= attributeText(line);
        break;
      case 'mid':
        own.mid ??= attributeText(line);
        break;
      case 'ice-ufrag':
        own.iceUfrag ??= attributeText(line);
        break;
      case 'ice-pwd':
        own.icePwd ??= attributeText(line);
        break;
      case undefined: {
        const kbps = /^b=AS:(\d{1,9})\s*$/.exec(line)?.[1];
        if (kbps !== undefined) own.bandwidthKbps ??= Number(kbps);
      }
    }
  }
  return own;
}

/** RFC 8841 5.1: no default, no leading zeros; 0 says that the association is closed. */
function readPort(text: string): number | undefined {
  if (!/^[1-9]\d{0,4}$/.test(text)) return undefined;
  return Number(text) <= 65535 ? Number(text) : undefined;
}

function sctpPortProblem(text: string | undefined): string {
  if (text === undefined) return 'no a=sctp-port';
  return text === '0' ? 'a=sctp-port:0 closes the association' : `a=sctp-port:${text.slice(0, 20)} is not 1..65535`;
}

function readMaxMessageSize(text: string | undefined, notes: string[]): number {
  if (text === undefined) return DEFAULT_MAX_MESSAGE_SIZE;
  if (/^(?:0|[1-9]\d{0,14})$/.test(text)) return Number(text);
  notes.push(`max-message-size '${text.slice(0, 20)}' is not a number; taken as ${DEFAULT_MAX_MESSAGE_SIZE}`);
  return DEFAULT_MAX_MESSAGE_SIZE;
}

function readSetup(text: string | undefined, as: ReadOptions['as'], notes: string[]): SetupValue | undefined {
  const setup = text?.toLowerCase();
  if (setup === undefined) {
    notes.push(`no a=setup; taken as ${defaultSetup(as)}`);
    return defaultSetup(as);
  }
  if (setup === 'actpass' && as === 'answer') {
    notes.push('a=setup:actpass in an answer; taken as passive');
    return 'passive';
  }
  return setup === 'active' || setup === 'passive' || setup === 'actpass' ? setup : undefined;
}

function readFingerprints(
  sdp: SessionDescription,
  own: readonly string[],
  options: ReadOptions,
  notes: string[],
): readonly Fingerprint[] {
  const usable: Fingerprint[] = [];
  for (const text of own.length > 0 ? own : attributes(sdp.session, 'fingerprint')) {
    const fingerprint = parseFingerprint(text, options);
    if (typeof fingerprint === 'string') notes.push(`fingerprint: ${fingerprint}`);
    else usable.push(fingerprint);
  }
  return preferredFingerprints(usable);
}

function readTlsId(text: string | undefined, notes: string[]): string | undefined {
  if (text === undefined || isTlsId(text)) return text;
  notes.push(`tls-id '${text.slice(0, 24)}' is not 20 to 255 legal characters; ignored`);
  return undefined;
}

function readIce(sdp: SessionDescription, own: Collected): DataChannelMedia['ice'] {
  const ufrag = own.iceUfrag ?? attribute(sdp.session, 'ice-ufrag');
  const pwd = own.icePwd ?? attribute(sdp.session, 'ice-pwd');
  if (!ufrag || !pwd) return undefined;
  return { ufrag, pwd, lite: attribute(sdp.session, 'ice-lite') !== undefined };
}

function readUsedBy(
  text: string | undefined,
  streams: readonly DataChannelStream[],
  notes: string[],
): 'sender' | 'receiver' | undefined {
  if (text === undefined) return undefined;
  const value = text.toLowerCase();
  if (value !== 'sender' && value !== 'receiver') {
    notes.push(`3gpp-bdc-used-by '${text.slice(0, 24)}' is neither sender nor receiver; ignored`);
    return undefined;
  }
  if (!streams.some((s) => REMOTE_BOOTSTRAP_STREAM_IDS.has(s.streamId))) {
    notes.push('3gpp-bdc-used-by on a line without 100 or 110; ignored');
    return undefined;
  }
  return value;
}
