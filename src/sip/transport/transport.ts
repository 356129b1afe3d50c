import type { Destination, Flow, Transport } from '../types.ts';

/** Where a listener is bound. */
export interface LocalAddress {
  readonly address: string;
  readonly port: number;
}

/** What a transport tells its endpoint. */
export interface TransportSink {
  /** One message; `bytes` are valid during the call only. */
  received(bytes: Buffer, flow: Flow): void;
  /** A stream that cannot be followed: answer `status` if `bytes` can be read; the transport closes it afterwards. */
  broken(status: number, reason: string, bytes: Buffer, flow: Flow): void;
  /** Something worth counting and, rarely, logging. */
  trouble(what: TransportTrouble, detail: string): void;
  /** Whether that peer belongs to us, by its address or by names that it has proven; absent: everybody does. */
  trusts?(peer: Pick<Flow, 'remoteAddress' | 'peerNames'>): boolean;
}

export type TransportTrouble =
  | 'connectionRefused'
  | 'connectionFailed'
  | 'backlogFull'
  | 'nameTaken'
  | 'socketError'
  | ConnectionCut;

/** Why we end a connection that works: a stranger's, one that never said a word and makes room, half a message. */
export type ConnectionCut = (typeof CUTS)[number];
const CUTS = ['strangerCut', 'silentCut', 'halfMessage'] as const;

export function isCut(what: string): what is ConnectionCut {
  return (CUTS as readonly string[]).includes(what);
}

/** One listener with whatever it has connected: UDP, TCP, TLS, WebSocket. Messages are latin1 text. */
export interface SipTransport {
  readonly transport: Transport;
  /** Known after `start`. */
  readonly local: LocalAddress;
  /** Open connections; 0 for UDP. */
  readonly connections: number;
  start(): Promise<void>;
  /** Text is latin1. `onFailed` is called at most once, never before `send` has returned. */
  send(wire: string | Buffer, to: Destination, onFailed: (error: Error) => void): void;
  /** Requests to address:port may use this connection from now on (`alias`, RFC 5923). */
  alias?(connection: string, address: string, port: number): void;
  /** Requests to the `.invalid` name may use this connection from now on (RFC 7118 5.1). */
  claimName?(connection: string, name: string): void;
  holdsName?(name: string): boolean;
  /** All names that `holdsName` knows, lower case. */
  readonly names?: readonly string[];
  close(): Promise<void>;
}

/** The addresses that a destination may use: same family as the listener's own. */
export function isIPv6(address: string): boolean {
  return address.includes(':');
}

/** 0.0.0.0 and ::, which stand for every address of the host. */
export function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

/** 127/8, ::1 and their IPv4-mapped forms. */
export function isLoopback(address: string): boolean {
  if (!isIPv6(address)) return address.startsWith('127.');
  const bare = address.toLowerCase();
  return bare === '::1' || bare.startsWith('::ffff:127.');
}

/** Names under `.invalid` lead nowhere but back over the connection of whoever goes by them. */
export function isInvalidName(host: string): boolean {
  return /\.invalid$/i.test(host);
}

/** host:port with brackets where IPv6 needs them. */
export function hostPort(address: string, port: number): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}
