import { isIP } from 'node:net';
import { parseFingerprint } from '../dtls/fingerprint.ts';
import { ImsdcError } from '../errors.ts';
import { isLoopback } from '../sbi/tls.ts';
import type { Mdc2Target } from '../services/common-data.ts';
import { sealTicket } from '../services/mdc2.ts';
import type { PlacedDcsfConfig } from './config.ts';
import type { ApplicationServer } from './decide/types.ts';
import { endpointOf } from './endpoint.ts';

type Entry = PlacedDcsfConfig['policy']['dcAs'][string];
type Transport = Pick<ApplicationServer, 'endpoint' | 'protocol' | 'proxy' | 'target'>;

/** Throws DCSF_DC_AS when the MF could not be told where to go, or would have to go there without TLS. */
export function applicationServer(application: string, entry: Entry): ApplicationServer {
  const { between, endsLines, interworking, secret, tellIdentities } = entry;
  const refuse = (problem: string) => new ImsdcError('DCSF_DC_AS', { application, problem });
  const transport = entry.mdc2 === 'WEBSOCKET' ? webSocket(entry, refuse) : dtls(entry, refuse);
  if (between && transport.proxy === 'UDP_PROXY' && !transport.endpoint) {
    throw refuse('with UDP_PROXY and dc4Url it cannot stand between two users: it would not know the second one');
  }
  return {
    ...transport,
    tellIdentities,
    between,
    endsLines,
    interworking,
    seal: (claims) => sealTicket(claims, secret),
  };
}

function webSocket({ address, url: text }: Entry, refuse: (problem: string) => ImsdcError): Transport {
  if (text === undefined) throw refuse('url is missing');
  if (!URL.canParse(text)) throw refuse(`${text} is not a URL`);
  const url = new URL(text);
  const endpoint = endpointOf(url, address);
  if (typeof endpoint === 'string') throw refuse(`"${endpoint}" is a name, and DC1 carries addresses: set address`);
  const plain = url.protocol === 'ws:';
  if (plain && !isLoopback(address ?? url.hostname)) throw refuse('ws:// is for loopback only');
  const protocol = plain ? 'TCP' : 'TCP/TLS';
  return { proxy: 'DC_APPLICATION_PROXY', protocol, endpoint, target: { url: url.href } };
}

/** DTLS ends there: the UE's own, or the MF's. */
function dtls(entry: Entry, refuse: (problem: string) => ImsdcError): Transport {
  const { address, dc4Url, fingerprint, maxMessageSizeBytes, mdc2, port, sctpPort, setup } = entry;
  const proxy = mdc2 === 'UDP_PROXY' ? 'UDP_PROXY' : 'DC_APPLICATION_PROXY';
  const protocol = 'UDP/DTLS/SCTP';
  if (dc4Url !== undefined) {
    if (!URL.canParse(dc4Url)) throw refuse(`${dc4Url} is not a URL`);
    const { hostname, protocol: scheme } = new URL(dc4Url);
    if (scheme === 'http:' && !isLoopback(hostname)) throw refuse('http:// is for loopback only');
    return { proxy, protocol, endpoint: undefined, target: {} };
  }
  if (address === undefined || port === undefined || fingerprint === undefined) {
    throw refuse(`${mdc2} needs dc4Url, or address, port and fingerprint`);
  }
  const version = isIP(address);
  if (version === 0) throw refuse(`"${address}" is no IP address, and DC1 carries nothing else`);
  const parsed = parseFingerprint(fingerprint);
  if (typeof parsed === 'string') throw refuse(`fingerprint ${parsed}`);
  const securitySetup = setup.toUpperCase() as 'ACTIVE' | 'ACTPASS' | 'PASSIVE';
  const target: Mdc2Target = {
    dcEndpoint: { sctpPort, fingerprint, fingerprints: [fingerprint], securitySetup },
    maxMessageSizeBytes,
  };
  const ip = version === 4 ? { ipv4Addr: address } : { ipv6Addr: address };
  return { proxy, protocol, endpoint: { ip, transport: 'UDP', portNumber: port }, target };
}
