import type { Destination, Flow } from '../types.ts';
import { hostPort } from './transport.ts';

/** What the table knows of a connection. */
export interface Connection {
  readonly id: string;
  /** Remote address, for the rule about names. */
  readonly remoteAddress: string;
  /** Keys of the peer index that lead here. */
  readonly peers: Set<string>;
  /** TLS connections that we open: the name that the certificate is checked against. */
  readonly verifiedFor?: string;
  readonly flow: Flow;
  /** Not trusted: it counts among the `Strangers`. */
  readonly isStranger: boolean;
  /** We opened it, or its peer has sent something whole. */
  isHeard: boolean;
}

/** RFC 5922 7.3: a connection that was verified for one domain carries nothing for another at the same address. */
function serves(connection: Connection, to: Destination): boolean {
  const { serverName } = to;
  if (serverName === undefined || (to.transport !== 'tls' && to.transport !== 'wss')) return true;
  return (
    connection.verifiedFor === serverName || connection.flow.peerNames?.includes(serverName.toLowerCase()) === true
  );
}

/** Names that one WebSocket connection may go by: a client has one, a gateway a few. */
const MAX_NAMES_PER_CONNECTION = 8;

/** How `hostPort` writes a name that has no port. */
const NAMED = '.invalid:0';

/** The open connections of one listener: by id, and by the peer that requests may be sent to over them (RFC 5923). */
export class ConnectionTable<C extends Connection> {
  readonly #byId = new Map<string, C>();
  readonly #byPeer = new Map<string, C>();
  #nextId = 1;

  get size(): number {
    return this.#byId.size;
  }

  /**
   * Whether one more of those that we trust has room below `max`. If not, the oldest whose peer has not said a word yet
   * makes it, if there is one: it leaves the table, and `end` ends it.
   */
  makeRoom(max: number, end: (silent: C) => void): boolean {
    // Cheap where it matters: strangers only make it less.
    if (this.size < max) return true;
    let familiar = 0;
    let silent: C | undefined;
    for (const connection of this.#byId.values()) {
      if (connection.isStranger) continue;
      familiar++;
      if (!connection.isHeard) silent ??= connection;
    }
    if (familiar < max) return true;
    if (silent === undefined) return false;
    this.remove(silent);
    end(silent);
    return true;
  }

  newId(prefix: string): string {
    return `${prefix}-${this.#nextId++}`;
  }

  add(connection: C): void {
    this.#byId.set(connection.id, connection);
  }

  byId(id: string | undefined): C | undefined {
    return id === undefined ? undefined : this.#byId.get(id);
  }

  /** The open connection that a message to `to` may use: the one it names, else one to the same peer. */
  find(to: Destination): C | undefined {
    const named = this.byId(to.connection);
    if (named !== undefined) return named;
    const known = this.byPeer(to.address, to.port);
    return known !== undefined && serves(known, to) ? known : undefined;
  }

  byPeer(address: string, port: number): C | undefined {
    return this.#byPeer.get(hostPort(address, port));
  }

  /** The newest connection to a peer wins: an older one may be dead without either side knowing. */
  index(connection: C, address: string, port: number): void {
    const peer = hostPort(address, port);
    this.#byPeer.get(peer)?.peers.delete(peer);
    this.#byPeer.set(peer, connection);
    connection.peers.add(peer);
  }

  /**
   * Makes a connection reachable by a name that its peer chose for itself (`.invalid`, RFC 7118 5.1). A name that lives
   * moves only to a connection from the same address, which is what a reconnect looks like: else any client could take
   * over the calls of another by its name. False: refused.
   */
  claimName(connection: C, name: string): boolean {
    const holder = this.byPeer(name, 0);
    if (holder === connection) return true;
    if (holder !== undefined && holder.remoteAddress !== connection.remoteAddress) return false;
    if (connection.peers.size >= MAX_NAMES_PER_CONNECTION) return false;
    this.index(connection, name, 0);
    return true;
  }

  /** Every name of `claimName` that leads to a connection. */
  names(): string[] {
    return [...this.#byPeer.keys()].filter((peer) => peer.endsWith(NAMED)).map((peer) => peer.slice(0, -':0'.length));
  }

  remove(connection: C): void {
    this.#byId.delete(connection.id);
    for (const peer of connection.peers) if (this.#byPeer.get(peer) === connection) this.#byPeer.delete(peer);
  }

  all(): C[] {
    return [...this.#byId.values()];
  }

  clear(): void {
    this.#byId.clear();
    this.#byPeer.clear();
  }
}
