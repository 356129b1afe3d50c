import { readFileSync } from 'node:fs';
import { isIP, type Socket } from 'node:net';
import { checkServerIdentity, connect, createServer, type PeerCertificate, TLSSocket } from 'node:tls';
import { ImsdcError } from '../../errors.ts';
import type { Destination } from '../types.ts';
import type { SipTlsConfig } from './config.ts';
import { type StreamBinding, type StreamLimits, StreamTransport } from './stream.ts';
import type { LocalAddress, TransportSink } from './transport.ts';

/** The PEM files of a listener, read once. */
export interface TlsMaterial {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Whom peers must be certified by; undefined: the authorities that Node knows. */
  readonly ca: Buffer | undefined;
  readonly requestCert: boolean;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
}

/** Throws SIP_TLS with the file that cannot be read. */
export function readTlsMaterial(config: SipTlsConfig): TlsMaterial {
  const read = (file: string): Buffer => {
    try {
      return readFileSync(file);
    } catch (error) {
      throw new ImsdcError('SIP_TLS', { file, problem: (error as Error).message }, { cause: error });
    }
  };
  return {
    cert: read(config.certFile),
    key: read(config.keyFile),
    ca: config.caFile === undefined ? undefined : read(config.caFile),
    requestCert: config.requestCert ?? false,
    minVersion: config.minVersion ?? 'TLSv1.2',
  };
}

/** What a TLS server of ours asks of its peers: with `requestCert`, nobody comes in without a certificate of ours. */
export function serverOptions(tls: TlsMaterial) {
  const { cert, key, ca, requestCert, minVersion } = tls;
  return { cert, key, ca, requestCert, rejectUnauthorized: requestCert, minVersion };
}

/** What a TLS client of ours asks of `to`: the name that was looked up must be in the certificate (RFC 5922 7.3). */
export function clientOptions(tls: TlsMaterial, to: Destination) {
  const name = to.serverName ?? to.address;
  const { cert, key, ca, minVersion } = tls;
  return {
    ...{ cert, key, ca, minVersion },
    // RFC 6066 3: SNI carries names, never addresses.
    ...(isIP(name) === 0 && { servername: name }),
    checkServerIdentity: (_: string, certificate: PeerCertificate) => checkSipIdentity(name, certificate),
  };
}

/**
 * RFC 5922 7.1: a `sip:` URI among the alternative names is the identity; only without one do DNS names and addresses
 * count. Undefined: the certificate is for `name`.
 */
export function checkSipIdentity(name: string, certificate: PeerCertificate): Error | undefined {
  const uris = alternativeNames(certificate.subjectaltname).filter((value) => /^uri:sips?:/i.test(value));
  if (uris.some((uri) => uri.replace(/^uri:sips?:/i, '').toLowerCase() === name.toLowerCase())) return undefined;
  return checkServerIdentity(name, certificate);
}

/** Names in the certificate that the peer has proven to hold, lower case; undefined when it has proven none. */
export function provenNames(socket: Socket): readonly string[] | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const names = alternativeNames(socket.getPeerCertificate().subjectaltname).map((value) =>
    value
      .slice(value.indexOf(':') + 1)
      .replace(/^sips?:/i, '')
      .toLowerCase(),
  );
  return names.length === 0 ? undefined : names;
}

/** "DNS:a, URI:sip:b, IP Address:192.0.2.1"; Node quotes values that could be mistaken for a separator. */
function alternativeNames(text: string | undefined): string[] {
  if (text === undefined || text.includes('"')) return [];
  return text.split(', ');
}

function binding(tls: TlsMaterial): StreamBinding {
  return {
    transport: 'tls',
    readyEvent: 'secureConnect',
    listen: (onConnection, onTrouble, handshakeTimeout) =>
      createServer({ ...serverOptions(tls), handshakeTimeout, noDelay: true }, onConnection).on(
        'tlsClientError',
        (error) => onTrouble(`TLS handshake: ${error.message}`),
      ),
    connect: (to, localAddress) => {
      const options = { host: to.address, port: to.port, ...clientOptions(tls, to) };
      return connect(localAddress === undefined ? options : { ...options, ...{ localAddress } });
    },
    peerNames: provenNames,
  };
}

/** SIP over TLS 1.2 or 1.3 (RFC 3261 26.2, RFC 5922). */
export class TlsTransport extends StreamTransport {
  constructor(local: LocalAddress, sink: TransportSink, limits: StreamLimits, tls: TlsMaterial) {
    super(binding(tls), local, sink, limits);
  }
}
