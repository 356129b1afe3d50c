import { connect, createServer, type Server, type Socket } from 'node:net';
import { ImsdcError } from '../../errors.ts';
import type { Destination, Flow } from '../types.ts';
import { StreamFramer } from './framer.ts';
import { hostPort, type LocalAddress, type SipTransport, type TransportSink } from './transport.ts';

export interface TcpLimits {
  /** Connections in and out together; more are refused. */
  readonly maxConnections: number;
  /** A connection that carried nothing for so long is closed. */
  readonly idleTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** Bytes that may wait for a slow reader on one connection; above it a message fails as if the network had. */
  readonly maxBacklogBytes: number;
}

export const TCP_LIMITS: TcpLimits = {
  maxConnections: 1000,
  idleTimeoutMs: 30 * 60_000,
  connectTimeoutMs: 4000,
  maxBacklogBytes: 1 << 20,
};

/** How long `close` waits for the last bytes. */
const CLOSE_GRACE_MS = 500;

interface Connection {
  readonly id: string;
  readonly socket: Socket;
  /** Keys of the peer index that lead here. */
  readonly peers: Set<string>;
}

/** One TCP listener and its connections, used in both directions (RFC 3261 18, RFC 5923). */
export class TcpTransport implements SipTransport {
  readonly transport = 'tcp';
  local: LocalAddress;
  readonly #sink: TransportSink;
  readonly #limits: TcpLimits;
  readonly #server: Server;
  readonly #byId = new Map<string, Connection>();
  readonly #byPeer = new Map<string, Connection>();
  #nextId = 1;

  constructor(local: LocalAddress, sink: TransportSink, limits: TcpLimits = TCP_LIMITS) {
    this.local = local;
    this.#sink = sink;
    this.#limits = limits;
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
  }

  get connections(): number {
    return this.#byId.size;
  }

  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      const failed = (error: Error): void => {
        const { address, port } = this.local;
        reject(
          new ImsdcError('SIP_LISTEN', { transport: 'tcp', address, port, problem: error.message }, { cause: error }),
        );
      };
      this.#server.once('error', failed);
      this.#server.listen(this.local.port, this.local.address, () => {
        this.#server.off('error', failed);
        this.#server.on('error', (error) => this.#sink.trouble('socketError', error.message));
        const bound = this.#server.address();
        if (bound !== null && typeof bound === 'object') this.local = { address: this.local.address, port: bound.port };
        resolve();
      });
    });
  }

  send(wire: string, to: Destination, onFailed: (error: Error) => void): void {
    const connection = this.#find(to) ?? this.#connect(to);
    if (connection === undefined) {
      queueMicrotask(() => onFailed(new Error(`no room for a connection to ${hostPort(to.address, to.port)}`)));
      return;
    }
    const { socket } = connection;
    if (socket.writableLength + wire.length > this.#limits.maxBacklogBytes) {
      this.#sink.trouble('backlogFull', hostPort(to.address, to.port));
      queueMicrotask(() => onFailed(new Error('backlog full')));
      return;
    }
    socket.write(wire, 'latin1', (error) => {
      if (error !== null && error !== undefined) onFailed(error);
    });
  }

  alias(connection: string, address: string, port: number): void {
    const known = this.#byId.get(connection);
    if (known !== undefined) this.#index(known, hostPort(address, port));
  }

  /** Lets what was written go out, then closes everything; a peer that does not read is not waited for. */
  close(): Promise<void> {
    const sockets = [...this.#byId.values()].map(({ socket }) => socket);
    for (const socket of sockets) socket.destroySoon();
    const guard = setTimeout(() => {
      for (const socket of sockets) socket.destroy();
    }, CLOSE_GRACE_MS);
    return new Promise((resolve) => {
      this.#server.close(() => {
        clearTimeout(guard);
        this.#byId.clear();
        this.#byPeer.clear();
        resolve();
      });
    });
  }

  #find(to: Destination): Connection | undefined {
    const named = to.connection === undefined ? undefined : this.#byId.get(to.connection);
    return named ?? this.#byPeer.get(hostPort(to.address, to.port));
  }

  #accept(socket: Socket): void {
    if (this.#byId.size >= this.#limits.maxConnections) {
      this.#sink.trouble('connectionRefused', `${socket.remoteAddress}`);
      socket.destroy();
      return;
    }
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined || remotePort === undefined) socket.destroy();
    else this.#adopt(socket, remoteAddress, remotePort);
  }

  #connect(to: Destination): Connection | undefined {
    if (this.#byId.size >= this.#limits.maxConnections) {
      this.#sink.trouble('connectionRefused', hostPort(to.address, to.port));
      return undefined;
    }
    const wildcard = this.local.address === '0.0.0.0' || this.local.address === '::';
    const socket = connect({
      host: to.address,
      port: to.port,
      localAddress: wildcard ? undefined : this.local.address,
      noDelay: true,
    });
    const guard = setTimeout(() => socket.destroy(new Error('connect timeout')), this.#limits.connectTimeoutMs);
    socket.once('connect', () => clearTimeout(guard)).once('close', () => clearTimeout(guard));
    return this.#adopt(socket, to.address, to.port);
  }

  #adopt(socket: Socket, remoteAddress: string, remotePort: number): Connection {
    const connection: Connection = { id: `tcp-${this.#nextId++}`, socket, peers: new Set() };
    this.#byId.set(connection.id, connection);
    this.#index(connection, hostPort(remoteAddress, remotePort));
    const flow: Flow = {
      transport: 'tcp',
      remoteAddress,
      remotePort,
      localAddress: this.local.address,
      localPort: this.local.port,
      connection: connection.id,
    };
    const framer = new StreamFramer();
    const sink = {
      message: (bytes: Buffer): void => this.#sink.received(bytes, flow),
      ping: (): void => void socket.write('\r\n'),
      broken: (status: number, reason: string, bytes: Buffer): void => {
        this.#sink.broken(status, reason, bytes, flow);
        socket.destroySoon();
      },
    };
    socket.on('data', (chunk) => framer.push(chunk, sink));
    socket.setTimeout(this.#limits.idleTimeoutMs, () => socket.destroySoon());
    socket.on('error', (error) =>
      this.#sink.trouble('connectionFailed', `${hostPort(remoteAddress, remotePort)}: ${error.message}`),
    );
    socket.once('close', () => this.#drop(connection));
    return connection;
  }

  /** The newest connection to a peer wins: an older one may be dead without either side knowing. */
  #index(connection: Connection, peer: string): void {
    this.#byPeer.set(peer, connection);
    connection.peers.add(peer);
  }

  #drop(connection: Connection): void {
    this.#byId.delete(connection.id);
    for (const peer of connection.peers) if (this.#byPeer.get(peer) === connection) this.#byPeer.delete(peer);
  }
}
