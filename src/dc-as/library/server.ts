import { createServer, type IncomingMessage, STATUS_CODES } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { Logger } from '../../base/log.ts';
import { ImsdcError } from '../../errors.ts';
import { isLoopback, type SbiTls, serverTlsOptions } from '../../sbi/tls.ts';
import { MDC2_HEADER, MDC2_SUBPROTOCOL, type Mdc2Ticket, openTicket } from '../../services/mdc2.ts';
import type { ChannelCarrier } from './carrier.ts';
import { type ChannelFacts, DcAsChannel } from './channel.ts';
import { ConnectionsHttp } from './connections-http.ts';
import { startMedia } from './media.ts';
import { DcAsSession } from './session.ts';
import { WebSocketCarrier } from './web-socket-carrier.ts';

/** Runs for the life of one channel; when it returns or throws, the channel is closed. */
export type ChannelHandler = (channel: DcAsChannel) => Promise<void>;

export interface DcAsOptions {
  readonly address: string;
  /** 0: any free port. */
  readonly port: number;
  /** Mutual TLS; without it only loopback is served. */
  readonly tls?: SbiTls;
  /** Shared with the DCSF (`dcsf.policy.dcAs.<application>.secret`): its tickets are checked with it. */
  readonly secret: string;
  /** By application id. */
  readonly applications: Readonly<Record<string, ChannelHandler>>;
  /** Default 10,000. */
  readonly maxChannels?: number;
  /** Largest message taken from a UE. Default 262,144. */
  readonly maxMessageSizeBytes?: number;
  /** Lets associations end here, too (`UDP_PROXY`, `UDP/DTLS/SCTP`); absent: WebSockets only. */
  readonly dtls?: DtlsOptions;
  readonly log: Logger;
}

export interface DtlsOptions {
  /** Where MFs reach them. */
  readonly address: string;
  /** UDP ports: one per line and user. */
  readonly firstPort: number;
  readonly lastPort: number;
  /** Default auto: the native media worker where it is built. */
  readonly engine?: 'auto' | 'embedded' | 'native';
}

export interface DcAs {
  /** `ws://127.0.0.1:8100/channels`: `url` of `dcsf.policy.dcAs`. */
  readonly url: string;
  /** `http://127.0.0.1:8100`: `dc4Url` of `dcsf.policy.dcAs`. */
  readonly dc4Url: string;
  status(): { associations: number; channels: number; refused: number; sessions: number };
  close(): Promise<void>;
}

const PATH = '/channels';
const MAX_TERMINATION_LENGTH = 128;
const DEFAULT_MAX_CHANNELS = 10_000;

/** A channel that may be served. */
interface Asked {
  readonly facts: ChannelFacts;
  readonly ticket: Mdc2Ticket;
}

/**
 * The server side of MDC2 over WebSocket, for authors of DC ASs (docs/mdc2.md): checks tickets, sorts channels into
 * calls, and hands each to the handler of its application. Throws SBI_PLAINTEXT off loopback without TLS.
 */
export async function startDcAs(options: DcAsOptions): Promise<DcAs> {
  const { address, port, tls } = options;
  if (!tls && !isLoopback(address)) throw new ImsdcError('SBI_PLAINTEXT', { url: `http://${address}:${port}` });
  const room = new Room(options);
  const media = options.dtls && (await startMedia(options, options.dtls, room));
  const connections = new ConnectionsHttp(media?.connections, options.secret, options.log);
  const server = tls ? createSecureServer({ ...serverTlsOptions(tls), ALPNProtocols: ['http/1.1'] }) : createServer();
  server.on('request', (request, response) => {
    if (!connections.take(request, response)) response.writeHead(426, { upgrade: 'websocket' }).end();
  });
  server.on('upgrade', (request, socket, head) => room.upgrade(request, socket, head));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, resolve);
  });
  const bound = server.address() as AddressInfo;
  const host = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address;
  return {
    url: `${tls ? 'wss' : 'ws'}://${host}:${bound.port}${PATH}`,
    dc4Url: `${tls ? 'https' : 'http'}://${host}:${bound.port}`,
    status: () => ({ ...room.status(), associations: media?.connections.associations ?? 0 }),
    close: async () => {
      room.close();
      await media?.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** All channels of all applications, by call. */
export class Room {
  readonly #options: DcAsOptions;
  readonly #sockets: WebSocketServer;
  readonly #sessions = new Map<string, DcAsSession>();
  #channels = 0;
  #refused = 0;

  constructor(options: DcAsOptions) {
    this.#options = options;
    this.#sockets = new WebSocketServer({
      noServer: true,
      maxPayload: options.maxMessageSizeBytes ?? 262_144,
      perMessageDeflate: false,
      handleProtocols: (offered) => (offered.has(MDC2_SUBPROTOCOL) ? MDC2_SUBPROTOCOL : false),
    });
  }

  status(): Omit<ReturnType<DcAs['status']>, 'associations'> {
    return { channels: this.#channels, sessions: this.#sessions.size, refused: this.#refused };
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Until ws takes over, nobody else listens; a peer that goes away needs no answer.
    const ignore = () => undefined;
    socket.on('error', ignore);
    const asked = this.#check(request);
    if ('status' in asked) {
      const { status, why } = asked;
      this.#refused++;
      this.#options.log.info({ status, why }, 'channel refused');
      socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    socket.off('error', ignore);
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const { facts, ticket } = asked;
      this.serve(new WebSocketCarrier(webSocket), facts, ticket);
    });
  }

  #check(request: IncomingMessage): Asked | { readonly status: number; readonly why: string } {
    const { applications, maxChannels = DEFAULT_MAX_CHANNELS, secret } = this.#options;
    if (request.url?.split('?')[0] !== PATH) return { status: 404, why: 'path' };
    const bearer = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    const ticket = openTicket(bearer, secret, Date.now());
    if (!ticket) return { status: 401, why: 'ticket' };
    if (!Object.hasOwn(applications, ticket.app)) return { status: 404, why: `application ${ticket.app}` };
    const facts = readFacts(request, ticket);
    if (typeof facts === 'string') return { status: 400, why: facts };
    if (this.#channels >= maxChannels) return { status: 503, why: 'full' };
    return { facts, ticket };
  }

  close(): void {
    for (const session of this.#sessions.values()) for (const channel of session.channels) channel.leave();
    this.#sockets.close();
  }

  /** What a ticket says, if it is good for an application of ours. */
  open(text: string): Mdc2Ticket | undefined {
    const { applications, secret } = this.#options;
    const ticket = openTicket(text, secret, Date.now());
    return ticket && Object.hasOwn(applications, ticket.app) ? ticket : undefined;
  }

  serve(carrier: ChannelCarrier, facts: ChannelFacts, ticket: Mdc2Ticket): void {
    const { applications, log: parent, maxChannels = DEFAULT_MAX_CHANNELS } = this.#options;
    const key = `${ticket.app} ${ticket.session}`;
    let session = this.#sessions.get(key);
    if (!session) this.#sessions.set(key, (session = new DcAsSession(ticket.session, ticket.app)));
    const channel = new DcAsChannel(carrier, facts, session);
    const log = parent.child({ application: ticket.app, session: ticket.session, streamId: facts.streamId });
    session.add(channel);
    this.#channels++;
    log.info({ mode: facts.mode, termination: facts.termination }, 'channel opened');
    channel.closed.then((reason) => {
      session.remove(channel);
      this.#channels--;
      if (session.channels.size === 0) this.#sessions.delete(key);
      log.info({ reason }, 'channel closed');
    });
    if (this.#channels > maxChannels) channel.fail('full');
    else run(applications[ticket.app]!, channel, log);
  }
}

/** A handler that fails costs its channel, not the others. */
function run(handler: ChannelHandler, channel: DcAsChannel, log: Logger): void {
  handler(channel).then(
    () => channel.close(),
    (error: unknown) => {
      log.error({ err: error }, 'application failed');
      channel.fail('application failed');
    },
  );
}

/** A string says which field is missing or wrong. */
function readFacts(request: IncomingMessage, ticket: Mdc2Ticket): ChannelFacts | string {
  const field = (name: string) => {
    const value = request.headers[name];
    if (typeof value !== 'string') return undefined;
    try {
      return decodeURIComponent(value);
    } catch {
      return undefined; // not percent-encoded: as if it were absent
    }
  };
  const termination = field(MDC2_HEADER.termination);
  const mediaId = field(MDC2_HEADER.mediaId);
  const streamId = Number(field(MDC2_HEADER.streamId) || Number.NaN);
  const maxMessageSizeBytes = Number(field(MDC2_HEADER.maxMessageSize) || Number.NaN);
  if (!termination || termination.length > MAX_TERMINATION_LENGTH) return MDC2_HEADER.termination;
  if (!mediaId) return MDC2_HEADER.mediaId;
  if (!Number.isInteger(streamId)) return MDC2_HEADER.streamId;
  if (!Number.isInteger(maxMessageSizeBytes)) return MDC2_HEADER.maxMessageSize;
  return {
    applicationId: ticket.app,
    mode: ticket.mode,
    termination,
    user: termination.startsWith('remote') ? ticket.peer : ticket.served,
    mediaId,
    streamId,
    label: field(MDC2_HEADER.label) ?? '',
    subprotocol: field(MDC2_HEADER.subprotocol) ?? '',
    maxMessageSizeBytes,
  };
}
