import { isUtf8 } from 'node:buffer';
import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import { ImsdcError } from '../../errors.ts';
import { MAX_MESSAGE_BYTES } from '../message/index.ts';
import type { Destination, Flow } from '../types.ts';
import { type Connection, ConnectionTable } from './connections.ts';
import { Strangers } from './strangers.ts';
import type { StreamLimits } from './stream.ts';
import { clientOptions, provenNames, serverOptions, type TlsMaterial } from './tls.ts';
import { hostPort, isInvalidName, type LocalAddress, type SipTransport, type TransportSink } from './transport.ts';

/** RFC 7118 4.1. */
const SUBPROTOCOL = 'sip';
/** A client that has not answered a ping when the next is due is gone. */
const PING_INTERVAL_MS = 30_000;
const CLOSE_GRACE_MS = 500;
/** With more than that in its way, a keep-alive is not answered. */
const MAX_UNREAD_BYTES = 16_384;
const DOUBLE_CRLF = '\r\n\r\n';

export interface WebSocketOptions {
  readonly limits: StreamLimits;
  /** Present: wss. */
  readonly tls: TlsMaterial | undefined;
  /** `scheme://host[:port]` of pages that may connect; '*': any. A page of our own host always may. */
  readonly allowedOrigins: readonly string[];
}

interface SocketConnection extends Connection {
  readonly socket: WebSocket;
  flow: Flow;
  alive: boolean;
  /** What is to go out once it is open. */
  early: Early[];
  earlyBytes: number;
}

interface Early {
  readonly wire: string | Buffer;
  readonly onFailed: (error: Error) => void;
}

/** SIP over WebSocket (RFC 7118): one message per frame, and what the other end may be sent goes back over its own connection. */
export class WebSocketTransport implements SipTransport {
  readonly transport: 'ws' | 'wss';
  local: LocalAddress;
  readonly #sink: TransportSink;
  readonly #options: WebSocketOptions;
  readonly #http: Server;
  readonly #server: WebSocketServer;
  readonly #table = new ConnectionTable<SocketConnection>();
  readonly #strangers: Strangers;
  #pings: NodeJS.Timeout | undefined;

  constructor(local: LocalAddress, sink: TransportSink, options: WebSocketOptions) {
    this.transport = options.tls === undefined ? 'ws' : 'wss';
    this.local = local;
    this.#sink = sink;
    this.#options = options;
    // Slow or silent openings of a connection, TLS and HTTP, end with the same guard as everywhere.
    const { connectTimeoutMs } = options.limits;
    const http = { headersTimeout: connectTimeoutMs, connectionsCheckingInterval: connectTimeoutMs };
    this.#http =
      options.tls === undefined
        ? createHttpServer(http)
        : createHttpsServer({ ...http, ...serverOptions(options.tls), handshakeTimeout: connectTimeoutMs });
    this.#strangers = new Strangers(this.#http, sink, options.limits);
    this.#http.on('drop', (dropped) => sink.trouble('connectionRefused', `${dropped?.remoteAddress}`));
    this.#http.on('tlsClientError', (error: Error) => sink.trouble('connectionFailed', `TLS: ${error.message}`));
    this.#http.on('request', (_, response) => response.writeHead(426, { Connection: 'close' }).end());
    this.#server = new WebSocketServer({
      server: this.#http,
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
      autoPong: false,
      handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
      verifyClient: ({ req }, decide) => this.#verify(req, decide),
    });
    this.#server.on('connection', (socket, request) => this.#accept(socket, request));
    this.#server.on('wsClientError', (error) => sink.trouble('connectionFailed', error.message));
  }

  get connections(): number {
    return this.#table.size;
  }

  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      const failed = (error: Error): void => {
        const { transport } = this;
        const { address, port } = this.local;
        reject(new ImsdcError('SIP_LISTEN', { transport, address, port, problem: error.message }, { cause: error }));
      };
      this.#server.once('error', failed);
      this.#http.listen({ port: this.local.port, host: this.local.address, ipv6Only: true }, () => {
        this.#server.off('error', failed);
        this.#server.on('error', (error) => this.#sink.trouble('socketError', error.message));
        const bound = this.#http.address();
        if (bound !== null && typeof bound === 'object') this.local = { address: this.local.address, port: bound.port };
        this.#pings = setInterval(() => this.#pingAll(), PING_INTERVAL_MS);
        resolve();
      });
    });
  }

  send(wire: string | Buffer, to: Destination, onFailed: (error: Error) => void): void {
    const connection = this.#table.find(to) ?? this.#connect(to);
    if (connection === undefined) {
      // RFC 7118 5.1: the name of a client that has gone; nobody can be called there.
      queueMicrotask(() => onFailed(new Error(`no connection to ${hostPort(to.address, to.port)}`)));
      return;
    }
    const { socket } = connection;
    if (socket.bufferedAmount + connection.earlyBytes + wire.length > this.#options.limits.maxBacklogBytes) {
      this.#sink.trouble('backlogFull', hostPort(to.address, to.port));
      queueMicrotask(() => onFailed(new Error('backlog full')));
    } else if (socket.readyState === WebSocket.CONNECTING) {
      connection.early.push({ wire, onFailed });
      connection.earlyBytes += wire.length;
    } else this.#write(socket, wire, onFailed);
  }

  #write(socket: WebSocket, wire: string | Buffer, onFailed: (error: Error) => void): void {
    const bytes = typeof wire === 'string' ? Buffer.from(wire, 'latin1') : wire;
    // A text frame that is not UTF-8 ends the connection (RFC 6455 8.1); RFC 7118 5 allows both kinds.
    socket.send(bytes, { binary: !isUtf8(bytes) }, (error) => {
      if (error !== undefined && error !== null) onFailed(error);
    });
  }

  claimName(connection: string, name: string): void {
    const known = this.#table.byId(connection);
    if (known !== undefined && !this.#table.claimName(known, name.toLowerCase()))
      this.#sink.trouble('nameTaken', `${name} from ${known.remoteAddress}`);
  }

  holdsName(name: string): boolean {
    return this.#table.byPeer(name.toLowerCase(), 0) !== undefined;
  }

  get names(): readonly string[] {
    return this.#table.names();
  }

  close(): Promise<void> {
    clearInterval(this.#pings);
    const sockets = this.#table.all().map(({ socket }) => socket);
    for (const socket of sockets) socket.close(1001);
    this.#strangers.close();
    const guard = setTimeout(() => {
      for (const socket of sockets) socket.terminate();
      this.#http.closeAllConnections();
    }, CLOSE_GRACE_MS);
    return new Promise((resolve) => {
      this.#server.close(() =>
        this.#http.close(() => {
          clearTimeout(guard);
          this.#table.clear();
          resolve();
        }),
      );
    });
  }

  #verify(request: IncomingMessage, decide: (allowed: boolean, status?: number, reason?: string) => void): void {
    const offered = `${request.headers['sec-websocket-protocol'] ?? ''}`.split(',').map((name) => name.trim());
    const remote = `${request.socket.remoteAddress}`;
    const refuse = (status: number, reason: string): void => {
      this.#sink.trouble('connectionRefused', `${remote}: ${reason}`);
      decide(false, status, reason);
    };
    if (!offered.includes(SUBPROTOCOL)) refuse(400, 'Subprotocol sip Required');
    else if (!originAllowed(request, this.#options.allowedOrigins)) refuse(403, 'Origin Not Allowed');
    else if (!this.#isStranger(request.socket) && !this.#makeRoom()) refuse(503, 'Too Many Connections');
    else decide(true);
  }

  #accept(socket: WebSocket, request: IncomingMessage): void {
    const { remoteAddress, remotePort } = request.socket;
    if (remoteAddress === undefined || remotePort === undefined) socket.terminate();
    else {
      const isStranger = this.#isStranger(request.socket);
      if (!isStranger) this.#strangers.vouch(remoteAddress, remotePort);
      this.#adopt(socket, remoteAddress, remotePort, { isStranger, peerNames: provenNames(request.socket) });
    }
  }

  #isStranger(socket: Socket): boolean {
    const { remoteAddress = '' } = socket;
    const peerNames = provenNames(socket);
    return this.#sink.trusts?.({ remoteAddress, ...(peerNames && { peerNames }) }) === false;
  }

  #makeRoom(): boolean {
    return this.#table.makeRoom(this.#options.limits.maxConnections, (silent) => {
      this.#sink.trouble('silentCut', hostPort(silent.remoteAddress, silent.flow.remotePort));
      silent.socket.terminate();
    });
  }

  #connect(to: Destination): SocketConnection | undefined {
    const { tls, limits } = this.#options;
    const url = `${this.transport}://${hostPort(to.address, to.port)}/`;
    // An IPv6 address with a zone (fe80::1%eth0) is one, and none that a URL can have.
    if (isInvalidName(to.address) || !URL.canParse(url) || !this.#makeRoom()) return undefined;
    const socket = new WebSocket(url, SUBPROTOCOL, {
      handshakeTimeout: limits.connectTimeoutMs,
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
      autoPong: false,
      ...(tls !== undefined && clientOptions(tls, to)),
      ...(to.serverName !== undefined && { headers: { Host: `${to.serverName}:${to.port}` } }),
    });
    const connection = this.#adopt(socket, to.address, to.port, { verifiedFor: to.serverName ?? to.address });
    let problem = 'closed before it was open';
    const take = (): Early[] => {
      const { early } = connection;
      connection.early = [];
      connection.earlyBytes = 0;
      return early;
    };
    socket.once('open', () => {
      for (const { wire, onFailed } of take()) this.#write(socket, wire, onFailed);
    });
    socket.once('error', (error) => {
      problem = error.message;
    });
    socket.once('close', () => {
      for (const { onFailed } of take()) onFailed(new Error(problem));
    });
    socket.once('upgrade', (response: IncomingMessage) => {
      const peerNames = provenNames(response.socket);
      if (peerNames !== undefined) connection.flow = { ...connection.flow, peerNames };
    });
    return connection;
  }

  #adopt(
    socket: WebSocket,
    remoteAddress: string,
    remotePort: number,
    who: { isStranger?: boolean; peerNames?: readonly string[] | undefined; verifiedFor?: string },
  ): SocketConnection {
    const { transport, local } = this;
    const id = this.#table.newId(transport);
    const connection: SocketConnection = {
      id,
      socket,
      remoteAddress,
      peers: new Set(),
      alive: true,
      early: [],
      earlyBytes: 0,
      isStranger: who.isStranger === true,
      isHeard: who.verifiedFor !== undefined,
      ...(who.verifiedFor !== undefined && { verifiedFor: who.verifiedFor }),
      flow: {
        ...{ transport, remoteAddress, remotePort, connection: id },
        ...{ localAddress: local.address, localPort: local.port },
        ...(who.peerNames && { peerNames: who.peerNames }),
      },
    };
    this.#table.add(connection);
    this.#table.index(connection, remoteAddress, remotePort);
    socket.on('message', (data) => this.#received(connection, data));
    socket.on('ping', (data) => this.#answer(connection, () => socket.pong(data)));
    socket.on('pong', () => {
      connection.alive = true;
    });
    socket.on('error', (error) =>
      this.#sink.trouble('connectionFailed', `${hostPort(remoteAddress, remotePort)}: ${error.message}`),
    );
    socket.once('close', () => this.#table.remove(connection));
    return connection;
  }

  #received(connection: SocketConnection, data: RawData): void {
    connection.alive = true;
    connection.isHeard = true;
    const bytes = Buffer.isBuffer(data) ? data : Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
    // RFC 5626 4.4.1 as sip.js and JsSIP use it over WebSocket.
    if (bytes.length === DOUBLE_CRLF.length && bytes.equals(Buffer.from(DOUBLE_CRLF)))
      this.#answer(connection, () => connection.socket.send('\r\n'));
    else this.#sink.received(bytes, connection.flow);
  }

  /** Answers a keep-alive, unless its peer does not read: RFC 6455 5.5.3 lets us answer the last of several pings only. */
  #answer({ remoteAddress, socket }: SocketConnection, send: () => void): void {
    if (socket.readyState !== WebSocket.OPEN) return;
    if (socket.bufferedAmount <= MAX_UNREAD_BYTES) send();
    else this.#sink.trouble('backlogFull', remoteAddress);
  }

  #pingAll(): void {
    for (const connection of this.#table.all()) {
      if (!connection.alive) connection.socket.terminate();
      else if (connection.socket.readyState === WebSocket.OPEN) {
        connection.alive = false;
        connection.socket.ping();
      }
    }
  }
}

/** RFC 6455 10.2. No Origin: not a browser. */
function originAllowed(request: IncomingMessage, allowed: readonly string[]): boolean {
  const { origin, host } = request.headers;
  if (origin === undefined || allowed.includes('*') || allowed.includes(origin)) return true;
  // A page that our own host has served; its port may be another.
  return URL.canParse(origin) && new URL(origin).hostname === URL.parse(`http://${host}`)?.hostname;
}
