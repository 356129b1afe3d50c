import { availableParallelism } from 'node:os';
import type { Readable } from 'node:stream';
import { formatRouteToken, IdMint, type RouteToken } from '../base/ids.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { pooledRandomHex } from '../base/random.ts';
import { createCertificate } from '../dtls/certificate.ts';
import { mintTlsId } from '../dtls/tls-id.ts';
import { ImsdcError } from '../errors.ts';
import { SbiServer } from '../sbi/server.ts';
import { nmfMrmRoutes } from '../services/nmf-mrm-server.ts';
import { ApplicationProxy } from './application/proxy.ts';
import { Mdc1Client } from './bootstrap/mdc1-client.ts';
import { BootstrapProxy } from './bootstrap/proxy.ts';
import type { MfConfig } from './config.ts';
import { startDatagramPath } from './datagrams/start.ts';
import { EngineClient } from './engine/client.ts';
import type { KeyStats, MediaEngine } from './engine/types.ts';
import { workerCommand } from './engine/worker-command.ts';
import { KeyLog } from './key-log.ts';
import { Contexts } from './mrm/contexts.ts';
import { EventPoster } from './mrm/event-poster.ts';
import { Executor } from './mrm/execute.ts';
import { PortPool } from './ports.ts';
import { traceStream } from './trace.ts';

export interface MfDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly token: RouteToken;
  /** Instead of worker processes, for tests. */
  readonly engine?: MediaEngine;
}

export interface MfStatus {
  readonly engine: 'embedded' | 'native';
  readonly contexts: number;
  readonly associations: number;
  readonly flows: number;
  /** Contexts whose media worker is gone and whose owner has not deleted them yet. */
  readonly lostContexts: number;
  readonly owners: number;
  readonly ports: { readonly taken: number; readonly resting: number; readonly total: number };
  readonly bootstrapStreams: number;
  readonly mdc1Sockets: number;
  readonly mdc2Channels: number;
  readonly mdc2Sockets: number;
  readonly mediaEventsPending: number;
  readonly draining: boolean;
}

export interface Mf {
  /** apiRoot of Nmf_MRM: `http://127.0.0.1:8092`. */
  readonly address: string;
  status(): MfStatus;
  /** The figures of every association and flow, or of those whose key begins so: `<contextId>#<serial>`. */
  associations(keyPrefix?: string): Promise<readonly KeyStats[]>;
  /** The datagrams of one key as a pcap file that grows until it is destroyed. Throws MEDIA_UNKNOWN_KEY. */
  trace(key: string): Promise<Readable>;
  /** No new contexts from now on; resolves when the last one is gone. */
  drain(): Promise<void>;
  close(): Promise<void>;
}

const TICK_MS = 1_000;

/**
 * Starts the media function: media workers, Nmf_MRM (TS 29.176), and what serves streams that end here: ./bootstrap
 * (HTTP to the repository, MDC1) and ./application (messages to DC ASs, MDC2).
 */
export async function startMf(config: MfConfig, dependencies: MfDependencies): Promise<Mf> {
  const { metrics, token } = dependencies;
  const log = dependencies.log.child({ room: 'mf' });
  const keyLog = config.keyLogFile === undefined ? undefined : new KeyLog(config.keyLogFile, log, metrics);
  const engine = dependencies.engine ?? (await startEngine(config, dependencies, log, keyLog));
  if (keyLog && engine.capabilities.engine === 'embedded') log.warn('the embedded engine does not tell its keys');
  const nowMs = () => Math.floor(performance.now());
  const { bindAddress, publicAddress = bindAddress, firstPort: first, lastPort: last } = config.media;
  if (first > last)
    throw new ImsdcError('USAGE', { problem: `mf.media: firstPort ${first} is above lastPort ${last}` });
  const ports = new PortPool({ first, last, nowMs });
  const mdc1 = new Mdc1Client(config.mdc1);
  const bootstrap = new BootstrapProxy({ engine, mdc1, limits: config.mdc1, log, metrics });
  const application = new ApplicationProxy({
    engine,
    ...config.mdc2,
    slowReaderLimitMs: config.slowReaderLimitMs,
    log,
    metrics,
    closedByServer: (stream) => contexts.closedByServer(stream),
  });
  const userAgent = `MF-${formatRouteToken(token)}`;
  const mdc2BindAddress = config.mdc2.localAddress ?? bindAddress;
  const events = new EventPoster({ userAgent, tls: config.tls, log, metrics });
  const ids = new IdMint(token);
  const contexts: Contexts = new Contexts({
    engine,
    context: {
      executor: new Executor({ engine, ports, bindAddress, mdc2BindAddress, bootstrap, application, log }),
      mdc2: { protocols: new Set(config.mdc2.protocols), allowPlain: config.mdc2.allowPlain },
      plan: {
        mintTlsId: () => mintTlsId({ random }),
        streamHeadroom: config.streamHeadroom,
        maxStreamId: engine.capabilities.maxStreamId,
        path: { natLatch: config.media.natLatch, pinhole: config.media.pinhole },
        maxMessageSizeBytes: Math.min(config.maxMessageSizeBytes, engine.capabilities.maxMessageSizeBytes),
      },
      render: {
        publicAddress,
        mdc1Address: config.mdc1.localAddress ?? bindAddress,
        mdc2Address: mdc2BindAddress,
      },
    },
    notify: (eventUri, event) => events.post(eventUri, event),
    mintContextId: () => ids.next(),
    maxContexts: config.maxContexts,
    leaseMs: config.leaseMs,
    nowMs,
    log,
    metrics,
  });
  metrics.gauge('imsdc_mf_ports_taken', 'UDP ports in use', () => ports.taken);
  metrics.gauge('imsdc_mf_ports_free', 'UDP ports for the next calls', () => ports.available);
  metrics.gauge('imsdc_mf_ports_resting', 'UDP ports that rest (R6)', () => ports.resting);
  const server = new SbiServer({
    host: config.listen.address,
    port: config.listen.port,
    tls: config.tls,
    log,
    metrics,
  });
  server.on('alive', ({ peer }) => contexts.alive(peer));
  for (const route of nmfMrmRoutes(contexts)) server.route(route);
  await server.listen().catch(async (error: unknown) => {
    await engine.close();
    throw error;
  });
  const tick = setInterval(() => contexts.tick(), TICK_MS);
  let draining = false;
  const address = server.origin;
  log.info({ address, engine: engine.capabilities.engine, ports: ports.size }, 'MF serves Nmf_MRM');
  return {
    address,
    status: () => {
      const { associations, flows, lost } = contexts.count();
      return {
        engine: engine.capabilities.engine,
        contexts: contexts.size,
        associations,
        flows,
        lostContexts: lost,
        owners: contexts.owners,
        ports: { taken: ports.taken, resting: ports.resting, total: ports.size },
        bootstrapStreams: bootstrap.size,
        mdc1Sockets: mdc1.sockets,
        mdc2Channels: application.size,
        mdc2Sockets: application.sockets,
        mediaEventsPending: events.pending,
        draining,
      };
    },
    associations: async (keyPrefix = '') => {
      const { associations } = await engine.stats();
      return associations.filter(({ key }) => key.startsWith(keyPrefix));
    },
    trace: (key) => traceStream(engine, key),
    drain: () => {
      draining = true;
      return contexts.drain();
    },
    close: async () => {
      clearInterval(tick);
      await server.close();
      await contexts.close();
      await events.close();
      mdc1.close();
      application.close();
      await engine.close();
      await keyLog?.close();
    },
  };
}

const random = pooledRandomHex();

async function startEngine(
  config: MfConfig,
  { metrics, token }: MfDependencies,
  log: Logger,
  keyLog: KeyLog | undefined,
): Promise<MediaEngine> {
  const certificate = await createCertificate({ nowMs: Date.now(), random });
  const { slowReaderLimitMs, maxMessageSizeBytes } = config;
  return EngineClient.start({
    command: workerCommand(config.engine, log),
    // One is left to the MF itself; an embedded worker is busy with its own few threads.
    workers: config.workers || Math.max(1, availableParallelism() - 1),
    certificatePem: certificate.certificatePem,
    keyPem: certificate.privateKeyPem,
    log,
    metrics,
    onKeyLog: keyLog?.write,
    datagrams: await startDatagramPath({
      path: config.datagramPath,
      forwarding: config.kernelForwarding,
      instance: token.instance,
      firstPort: config.media.firstPort,
      log,
      metrics,
    }),
    limits: { slowReaderLimitMs, maxMessageSizeBytes, heartbeatIntervalMs: config.heartbeatMs },
  });
}
