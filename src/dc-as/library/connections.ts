import { randomBytes } from 'node:crypto';
import type { Logger } from '../../base/log.ts';
import { formatFingerprint, parseFingerprint } from '../../dtls/fingerprint.ts';
import { mintTlsId } from '../../dtls/tls-id.ts';
import type { EngineEvents, LocalEndpoint, MediaEngine, RemoteEndpoint, StreamSpec } from '../../mf/engine/types.ts';
import type { PortPool } from '../../mf/ports.ts';
import type { DcEndpoint, DcStream, Mdc2End } from '../../services/common-data.ts';
import type { Mdc2Ticket } from '../../services/mdc2.ts';
import type { Mdc2Connection, Mdc2ConnectionEnds } from '../../services/mdc2-connection.ts';
import type { ChannelCarrier } from './carrier.ts';
import type { ChannelFacts } from './channel.ts';
import { CREDIT_BYTES, StreamCarrier } from './stream-carrier.ts';

export interface ConnectionsOptions {
  readonly engine: MediaEngine;
  readonly ports: PortPool;
  /** Where associations end, as MFs see it. */
  readonly address: string;
  readonly maxConnections: number;
  /** What a ticket says; undefined: it is worth nothing, or its application is not ours. */
  open(ticket: string): Mdc2Ticket | undefined;
  /** A channel is open. */
  serve(carrier: ChannelCarrier, facts: ChannelFacts, ticket: Mdc2Ticket): void;
  readonly log: Logger;
}

/** The DCSF asked for something that we do not do. */
export class ConnectionRefused extends Error {
  readonly status: number;

  constructor(status: number, why: string) {
    super(why);
    this.status = status;
  }
}

type LegName = 'remote' | 'served';

/** One association: the channels of one user. */
interface Leg {
  readonly name: LegName;
  readonly key: string;
  readonly local: LocalEndpoint;
  readonly tlsId: string;
  readonly role: 'active' | 'passive';
  maxMessageSizeBytes: number;
  started: boolean;
}

interface Connection {
  readonly mediaId: string;
  readonly ticket: Mdc2Ticket;
  streams: Mdc2Connection['streams'];
  readonly legs: Map<LegName, Leg>;
  /** Ends it when nobody ever connects. */
  readonly unused: NodeJS.Timeout;
}

/** A line that is not told of the MF for so long never will be: its call did not come about. */
const UNUSED_MS = 60_000;
/** R13: SCTP streams are fixed at INIT. */
const LEAST_STREAMS = 1_024;
const DEFAULT_MAX_MESSAGE_SIZE_BYTES = 65_536;

/**
 * The associations of a DC AS (services/mdc2-connection.ts): each line has a port and a tls-id of its own, so nobody has to
 * guess whose ClientHello comes in, and whoever sends it must show the certificate that the DCSF has named.
 */
export class DcAsConnections {
  readonly #options: ConnectionsOptions;
  readonly #connections = new Map<string, Connection>();
  readonly #legs = new Map<string, { readonly connection: Connection; readonly name: string; readonly leg: Leg }>();
  readonly #carriers = new Map<string, Map<number, StreamCarrier>>();
  readonly #offs: (() => void)[];

  constructor(options: ConnectionsOptions) {
    this.#options = options;
    const { engine } = options;
    this.#offs = [
      engine.on('stream', (event) => this.#onStream(event)),
      engine.on('state', (event) => this.#onState(event)),
      engine.on('lost', ({ keys }) => {
        for (const key of keys) this.#forget(key);
      }),
    ];
  }

  get associations(): number {
    return this.#legs.size;
  }

  /** Makes the connection as it should be. Rejects with ConnectionRefused, or what the engine rejects with. */
  async put(name: string, mediaId: string, wanted: Mdc2Connection): Promise<Mdc2ConnectionEnds> {
    const connection = this.#connections.get(name) ?? (await this.#create(name, mediaId, wanted));
    if (Object.keys(connection.streams).join() !== Object.keys(wanted.streams).join()) {
      connection.streams = wanted.streams;
      for (const leg of connection.legs.values()) await this.#setStreams(connection, leg);
    }
    for (const [legName, far] of entriesOf(wanted.legs)) {
      const leg = connection.legs.get(legName);
      if (leg) await this.#start(connection, leg, far);
    }
    return { legs: Object.fromEntries([...connection.legs.values()].map((leg) => [leg.name, this.#endOf(leg)])) };
  }

  async delete(name: string): Promise<void> {
    const connection = this.#connections.get(name);
    if (!connection) return;
    await Promise.all([...connection.legs.values()].map(({ key }) => this.#release(key)));
    this.#drop(name, connection);
  }

  close(): void {
    for (const off of this.#offs) off();
    for (const { unused } of this.#connections.values()) clearTimeout(unused);
  }

  async #create(name: string, mediaId: string, wanted: Mdc2Connection): Promise<Connection> {
    const ticket = this.#options.open(wanted.ticket ?? '');
    if (!ticket) throw new ConnectionRefused(403, 'ticket');
    if (this.#connections.size >= this.#options.maxConnections) throw new ConnectionRefused(503, 'full');
    const unused = setTimeout(() => this.#expire(name), UNUSED_MS).unref();
    const connection: Connection = { mediaId, ticket, streams: wanted.streams, legs: new Map(), unused };
    this.#connections.set(name, connection);
    try {
      for (const [legName, far] of entriesOf(wanted.legs)) await this.#reserve(name, connection, legName, far);
    } catch (error) {
      await this.delete(name);
      throw error;
    }
    return connection;
  }

  async #reserve(name: string, connection: Connection, legName: LegName, far: Mdc2End): Promise<void> {
    const { address, engine, ports } = this.#options;
    const port = ports.take();
    if (port === undefined) throw new ConnectionRefused(503, 'no port is free');
    const key = `${name} ${legName}`;
    try {
      const local = await engine.reserve(key, name, { bindAddress: address, port, ice: false });
      const role = far.dcEndpoint?.securitySetup === 'PASSIVE' ? 'active' : 'passive';
      const tlsId = mintTlsId({ random: (bytes) => randomBytes(bytes).toString('hex') });
      const { maxMessageSizeBytes = DEFAULT_MAX_MESSAGE_SIZE_BYTES } = far;
      const leg: Leg = { name: legName, key, local, tlsId, role, maxMessageSizeBytes, started: false };
      connection.legs.set(legName, leg);
      this.#legs.set(key, { connection, name, leg });
    } catch (error) {
      ports.free(port);
      throw error;
    }
    await this.#setStreams(connection, connection.legs.get(legName)!);
  }

  async #setStreams({ streams }: Connection, { key }: Leg): Promise<void> {
    const { engine } = this.#options;
    const known = this.#carriers.get(key) ?? new Map<number, StreamCarrier>();
    this.#carriers.set(key, known);
    await engine.setStreams(
      key,
      Object.entries(streams).map(([id, stream]) => specOf(Number(id), stream)),
    );
    for (const id of Object.keys(streams).map(Number)) {
      if (known.has(id)) continue;
      const ref = { key, streamId: id };
      known.set(id, new StreamCarrier(engine.payload(ref, CREDIT_BYTES)));
      await engine.route(ref, { kind: 'payload' });
    }
  }

  /** Once it is known who connects, and from where. */
  async #start({ streams, unused }: Connection, leg: Leg, far: Mdc2End): Promise<void> {
    const { dcEndpoint, endpoint } = far;
    const fingerprints = fingerprintsOf(dcEndpoint);
    const address = endpoint?.ip.ipv4Addr ?? endpoint?.ip.ipv6Addr;
    if (leg.started || endpoint === undefined || address === undefined || fingerprints.length === 0) return;
    leg.started = true;
    clearTimeout(unused);
    const remote: RemoteEndpoint = {
      address,
      port: endpoint.portNumber,
      sctpPort: dcEndpoint?.sctpPort ?? 5_000,
      fingerprints,
      role: leg.role,
      maxMessageSizeBytes: leg.maxMessageSizeBytes,
      streams: Math.max(LEAST_STREAMS, ...Object.keys(streams).map((id) => Number(id) + 1)),
      ice: false,
    };
    await this.#options.engine.start(leg.key, remote);
  }

  #endOf({ local, role, tlsId }: Leg): Mdc2End {
    const { address } = this.#options;
    const fingerprints = [formatted(local.fingerprint)];
    return {
      endpoint: {
        ip: address.includes(':') ? { ipv6Addr: address } : { ipv4Addr: address },
        transport: 'UDP',
        portNumber: local.port,
      },
      dcEndpoint: {
        sctpPort: local.sctpPort,
        fingerprint: fingerprints[0],
        fingerprints,
        tlsId,
        securitySetup: role === 'active' ? 'ACTIVE' : 'PASSIVE',
      },
      maxMessageSizeBytes: this.#options.engine.capabilities.maxMessageSizeBytes,
    };
  }

  #onStream({ key, state, streamId }: EngineEvents['stream']): void {
    const held = this.#legs.get(key);
    const carrier = this.#carriers.get(key)?.get(streamId);
    if (!held || !carrier || state !== 'open') return;
    const { connection, leg } = held;
    const { label = '', subprotocol = '' } = connection.streams[String(streamId)] ?? {};
    const { app, mode, peer, served } = connection.ticket;
    const facts: ChannelFacts = {
      applicationId: app,
      mode,
      termination: leg.name,
      user: leg.name === 'remote' ? peer : served,
      mediaId: connection.mediaId,
      streamId,
      label,
      subprotocol,
      maxMessageSizeBytes: leg.maxMessageSizeBytes,
    };
    this.#options.serve(carrier, facts, connection.ticket);
  }

  #onState({ key, reason, state }: EngineEvents['state']): void {
    if (state !== 'failed' && state !== 'closed') return;
    this.#options.log.info({ key, state, reason }, 'association ended');
    this.#release(key).catch((error: Error) => this.#options.log.warn({ key, reason: error.message }, 'not released'));
  }

  async #release(key: string): Promise<void> {
    if (!this.#forget(key)) return;
    await this.#options.engine.release(key);
  }

  /** The port rests, and the connection ends with its last association. */
  #forget(key: string): boolean {
    const held = this.#legs.get(key);
    if (!held) return false;
    const { connection, leg, name } = held;
    this.#legs.delete(key);
    this.#carriers.delete(key);
    connection.legs.delete(leg.name);
    this.#options.ports.free(leg.local.port);
    if (connection.legs.size === 0) this.#drop(name, connection);
    return true;
  }

  #drop(name: string, connection: Connection): void {
    clearTimeout(connection.unused);
    if (this.#connections.get(name) === connection) this.#connections.delete(name);
  }

  #expire(name: string): void {
    this.delete(name).catch((error: Error) => this.#options.log.warn({ reason: error.message }, 'not released'));
  }
}

function entriesOf(legs: Mdc2Connection['legs']): [LegName, Mdc2End][] {
  return (['served', 'remote'] as const).flatMap((name): [LegName, Mdc2End][] =>
    legs[name] === undefined ? [] : [[name, legs[name]]],
  );
}

function specOf(streamId: number, stream: DcStream): StreamSpec {
  const { label = '', maxRetry, maxTime, order = true, priority = 256, subprotocol = '' } = stream;
  return {
    streamId,
    ordered: order,
    priority,
    label,
    subprotocol,
    ...(maxRetry === undefined ? {} : { maxRetransmissions: maxRetry }),
    ...(maxTime === undefined ? {} : { maxTimeMs: maxTime }),
  };
}

function fingerprintsOf(dc: DcEndpoint | undefined): string[] {
  const texts = dc?.fingerprints ?? (dc?.fingerprint === undefined ? [] : [dc.fingerprint]);
  return texts.filter((text) => typeof parseFingerprint(text) !== 'string');
}

/** TS 29.571 Fingerprint: the hash in upper case. */
function formatted(fingerprint: string): string {
  const [algorithm = '', value = ''] = fingerprint.split(' ');
  return formatFingerprint({ algorithm: algorithm.toUpperCase(), value: value.toUpperCase() });
}
