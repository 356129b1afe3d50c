import type { Server, Socket } from 'node:net';
import { ImsdcError } from '../../errors.ts';
import type { Destination, Flow } from '../types.ts';
import { type Connection, ConnectionTable } from './connections.ts';
import { StreamFramer } from './framer.ts';
import { MessageDeadline } from './message-deadline.ts';
import { Strangers } from './strangers.ts';
import { hostPort, isWildcard, type LocalAddress, type SipTransport, type TransportSink } from './transport.ts';

export interface StreamLimits {
  /** Connections in and out together; one more takes the place of one that never said a word, or is refused. */
  readonly maxConnections: number;
  /** A connection that carried nothing for so long is closed. */
  readonly idleTimeoutMs: number;
  /** Until a connection is usable, TLS handshake included; in both directions. */
  readonly connectTimeoutMs: number;
  /** Bytes that may wait for a slow reader on one connection; above it a message fails as if the network had. */
  readonly maxBacklogBytes: number;
  /** RFC 5626 4.4.1: a double CRLF so often on connections that we opened; 0: none. */
  readonly keepAliveMs: number;
  /** A connection from somebody who is not trusted ends after so long, whatever it does. */
  readonly strangerTimeoutMs: number;
  readonly maxStrangersPerAddress: number;
  /** From the first octet of a message to its last. */
  readonly messageTimeoutMs: number;
}

export const STREAM_LIMITS: StreamLimits = {
  maxConnections: 1000,
  idleTimeoutMs: 30 * 60_000,
  connectTimeoutMs: 4000,
  maxBacklogBytes: 1 << 20,
  keepAliveMs: 0,
  strangerTimeoutMs: 10_000,
  maxStrangersPerAddress: 16,
  messageTimeoutMs: 10_000,
};

/** How long the end of a connection waits for the last bytes. */
const CLOSE_GRACE_MS = 500;
/** RFC 5626 4.4.1: a flow whose pong has not come after so long is dead. */
const PONG_TIMEOUT_MS = 10_000;

/** What tells TCP and TLS apart. */
export interface StreamBinding {
  readonly transport: 'tcp' | 'tls';
  /** `onConnection` gets sockets that are ready for SIP; `onTrouble` what happened before that. */
  listen(onConnection: (socket: Socket) => void, onTrouble: (problem: string) => void, timeoutMs: number): Server;
  connect(to: Destination, localAddress: string | undefined): Socket;
  /** Emitted by a socket of `connect` once SIP may be written. */
  readonly readyEvent: 'connect' | 'secureConnect';
  /** Names that the peer has proven; undefined: none. */
  peerNames(socket: Socket): readonly string[] | undefined;
}

interface StreamConnection extends Connection {
  readonly socket: Socket;
  flow: Flow;
}

/** One listener for a byte stream and its connections, used in both directions (RFC 3261 18, RFC 5923). */
export class StreamTransport implements SipTransport {
  readonly transport: 'tcp' | 'tls';
  local: LocalAddress;
  readonly #sink: TransportSink;
  readonly #limits: StreamLimits;
  readonly #binding: StreamBinding;
  readonly #server: Server;
  readonly #table = new ConnectionTable<StreamConnection>();
  readonly #strangers: Strangers;

  constructor(binding: StreamBinding, local: LocalAddress, sink: TransportSink, limits: StreamLimits) {
    this.transport = binding.transport;
    this.local = local;
    this.#sink = sink;
    this.#limits = limits;
    this.#binding = binding;
    this.#server = binding.listen(
      (socket) => this.#accept(socket),
      (problem) => sink.trouble('connectionFailed', problem),
      limits.connectTimeoutMs,
    );
    this.#strangers = new Strangers(this.#server, sink, limits);
    this.#server.on('drop', (dropped) => sink.trouble('connectionRefused', `${dropped?.remoteAddress}`));
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
      // Else a listener on :: takes IPv4 too, under addresses (::ffff:192.0.2.1) that no Via may carry.
      this.#server.listen({ port: this.local.port, host: this.local.address, ipv6Only: true }, () => {
        this.#server.off('error', failed);
        this.#server.on('error', (error) => this.#sink.trouble('socketError', error.message));
        const bound = this.#server.address();
        if (bound !== null && typeof bound === 'object') this.local = { address: this.local.address, port: bound.port };
        resolve();
      });
    });
  }

  send(wire: string | Buffer, to: Destination, onFailed: (error: Error) => void): void {
    const connection = this.#table.find(to) ?? this.#connect(to);
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
    const written = (error: Error | null | undefined): void => {
      if (error !== null && error !== undefined) onFailed(error);
    };
    if (typeof wire === 'string') socket.write(wire, 'latin1', written);
    else socket.write(wire, written);
  }

  alias(connection: string, address: string, port: number): void {
    const known = this.#table.byId(connection);
    // RFC 5923 5: over TLS it counts only for a peer that has shown a certificate.
    if (known !== undefined && (this.transport === 'tcp' || known.flow.peerNames !== undefined))
      this.#table.index(known, address, port);
  }

  /** Lets what was written go out, then closes everything; a peer that does not read is not waited for. */
  close(): Promise<void> {
    const sockets = this.#table.all().map(({ socket }) => socket);
    for (const socket of sockets) socket.destroySoon();
    this.#strangers.close();
    const guard = setTimeout(() => {
      for (const socket of sockets) socket.destroy();
    }, CLOSE_GRACE_MS);
    return new Promise((resolve) => {
      this.#server.close(() => {
        clearTimeout(guard);
        this.#table.clear();
        resolve();
      });
    });
  }

  #accept(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy();
      return;
    }
    const isStranger = this.#sink.trusts?.({ remoteAddress, ...proven(this.#binding, socket) }) === false;
    if (!isStranger) this.#strangers.vouch(remoteAddress, remotePort);
    if (isStranger || this.#makeRoom()) this.#adopt(socket, remoteAddress, remotePort, { isStranger });
    else {
      this.#sink.trouble('connectionRefused', remoteAddress);
      socket.destroy();
    }
  }

  #makeRoom(): boolean {
    return this.#table.makeRoom(this.#limits.maxConnections, (silent) => {
      this.#sink.trouble('silentCut', hostPort(silent.remoteAddress, silent.flow.remotePort));
      silent.socket.destroy();
    });
  }

  #connect(to: Destination): StreamConnection | undefined {
    if (!this.#makeRoom()) {
      this.#sink.trouble('connectionRefused', hostPort(to.address, to.port));
      return undefined;
    }
    const socket = this.#binding.connect(to, isWildcard(this.local.address) ? undefined : this.local.address);
    const withinMs = to.connectWithinMs ?? this.#limits.connectTimeoutMs;
    const guard = setTimeout(() => socket.destroy(new Error('connect timeout')), withinMs);
    const connection = this.#adopt(socket, to.address, to.port, { verifiedFor: to.serverName ?? to.address });
    socket.once(this.#binding.readyEvent, () => {
      clearTimeout(guard);
      connection.flow = { ...connection.flow, ...proven(this.#binding, socket) };
      this.#keepAlive(socket);
    });
    socket.once('close', () => clearTimeout(guard));
    return connection;
  }

  /** RFC 5626 4.4.1: pings, and the end of a flow that does not answer them. */
  #keepAlive(socket: Socket): void {
    const { keepAliveMs } = this.#limits;
    if (keepAliveMs === 0) return;
    let dead: NodeJS.Timeout | undefined;
    const ping = setInterval(() => {
      socket.write('\r\n\r\n');
      dead ??= setTimeout(() => socket.destroy(new Error('no pong')), PONG_TIMEOUT_MS);
    }, keepAliveMs);
    // Any byte proves that the peer lives.
    socket.on('data', () => {
      clearTimeout(dead);
      dead = undefined;
    });
    socket.once('close', () => {
      clearInterval(ping);
      clearTimeout(dead);
    });
  }

  /** To a peer that does not read, no more is written: what waits for it says as well that the flow lives. */
  #pong(socket: Socket, remoteAddress: string, remotePort: number): void {
    if (!socket.writableNeedDrain) socket.write('\r\n');
    else this.#sink.trouble('backlogFull', hostPort(remoteAddress, remotePort));
  }

  /** `verifiedFor`: we opened it. */
  #adopt(
    socket: Socket,
    remoteAddress: string,
    remotePort: number,
    { isStranger = false, verifiedFor }: { isStranger?: boolean; verifiedFor?: string },
  ): StreamConnection {
    const { transport } = this;
    const id = this.#table.newId(transport);
    const connection: StreamConnection = {
      id,
      socket,
      remoteAddress,
      peers: new Set(),
      isStranger,
      isHeard: verifiedFor !== undefined,
      ...(verifiedFor !== undefined && { verifiedFor }),
      flow: {
        transport,
        remoteAddress,
        remotePort,
        localAddress: this.local.address,
        localPort: this.local.port,
        connection: id,
        ...proven(this.#binding, socket),
      },
    };
    this.#table.add(connection);
    this.#table.index(connection, remoteAddress, remotePort);
    const framer = new StreamFramer();
    const sink = {
      message: (bytes: Buffer): void => {
        connection.isHeard = true;
        this.#sink.received(bytes, connection.flow);
      },
      ping: (): void => {
        connection.isHeard = true;
        this.#pong(socket, remoteAddress, remotePort);
      },
      broken: (status: number, reason: string, bytes: Buffer): void => {
        this.#sink.broken(status, reason, bytes, connection.flow);
        endSoon(socket);
      },
    };
    const deadline = new MessageDeadline(framer, this.#limits.messageTimeoutMs, () => {
      this.#sink.trouble('halfMessage', hostPort(remoteAddress, remotePort));
      framer.giveUp(sink);
    });
    socket.on('data', (chunk) => {
      framer.push(chunk, sink);
      deadline.look();
    });
    socket.setTimeout(this.#limits.idleTimeoutMs, () => endSoon(socket));
    socket.on('error', (error) =>
      this.#sink.trouble('connectionFailed', `${hostPort(remoteAddress, remotePort)}: ${error.message}`),
    );
    socket.once('close', () => {
      deadline.close();
      this.#table.remove(connection);
    });
    return connection;
  }
}

/** What was written may still go out, but a peer that does not read is not waited for. */
function endSoon(socket: Socket): void {
  socket.destroySoon();
  const guard = setTimeout(() => socket.destroy(), CLOSE_GRACE_MS);
  socket.once('close', () => clearTimeout(guard));
}

function proven(binding: StreamBinding, socket: Socket): Pick<Flow, 'peerNames'> {
  const peerNames = binding.peerNames(socket);
  return peerNames === undefined ? {} : { peerNames };
}
