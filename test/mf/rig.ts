import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { Contexts } from '../../src/mf/mrm/contexts.ts';
import { Executor } from '../../src/mf/mrm/execute.ts';
import type { ApplicationTarget, BootstrapTarget, ServicePort } from '../../src/mf/mrm/service-port.ts';
import { PortPool } from '../../src/mf/ports.ts';
import type { MediaContext, MediaEvent, MediaInfo, PatchItem } from '../../src/services/nmf-mrm.ts';
import type { MrmRequestInfo } from '../../src/services/nmf-mrm-server.ts';
import { FakeEngine } from './fake-engine.ts';

export const SHA_A = `SHA-256 ${Array.from({ length: 32 }, () => 'A1').join(':')}`;
export const SHA_B = `SHA-256 ${Array.from({ length: 32 }, () => 'B2').join(':')}`;
export const TLS_A = 'peer-A-tls-id-000001';
export const TLS_B = 'peer-B-tls-id-000001';

/** The contexts of an MF over the fake engine, with a clock that the test moves. */
export class Rig {
  nowMs = 1_000_000;
  readonly engine = new FakeEngine();
  readonly served = new Map<string, BootstrapTarget>();
  readonly applications = new Map<string, ApplicationTarget>();
  readonly events: (MediaEvent & { uri: string })[] = [];
  readonly ports: PortPool;
  readonly contexts: Contexts;
  #ids = 0;

  constructor(options: { maxContexts?: number; ports?: number; leaseMs?: number } = {}) {
    const { engine, served } = this;
    const nowMs = () => this.nowMs;
    this.ports = new PortPool({ first: 40_000, last: 40_000 + (options.ports ?? 100) - 1, nowMs });
    const port = <Target>(targets: Map<string, Target>): ServicePort<Target> => ({
      serve: ({ key, streamId }, target) => targets.set(`${key} ${streamId}`, target),
      end: ({ key, streamId }) => targets.delete(`${key} ${streamId}`),
      endAll: (key) => {
        for (const id of targets.keys()) if (id.startsWith(`${key} `)) targets.delete(id);
      },
    });
    const bootstrap = port(served);
    const application = port(this.applications);
    const log = silentLogger;
    let tlsIds = 0;
    this.contexts = new Contexts({
      engine,
      context: {
        executor: new Executor({
          engine,
          ports: this.ports,
          bindAddress: '127.0.0.1',
          mdc2BindAddress: '127.0.0.2',
          bootstrap,
          application,
          log,
        }),
        mdc2: { protocols: new Set(['TCP', 'TCP/TLS', 'UDP', 'UDP/DTLS/SCTP']), allowPlain: false },
        plan: {
          mintTlsId: () => `our-tls-id-${String(++tlsIds).padStart(9, '0')}`,
          streamHeadroom: { bootstrap: 112, application: 1_024 },
          maxStreamId: engine.capabilities.maxStreamId,
          maxMessageSizeBytes: 65_536,
          path: { natLatch: false, pinhole: true },
        },
        render: { publicAddress: '192.0.2.1', mdc1Address: '127.0.0.1', mdc2Address: '127.0.0.2' },
      },
      notify: (uri, event) => this.events.push({ uri, ...event }),
      mintContextId: () => `ctx${++this.#ids}`,
      maxContexts: options.maxContexts ?? 100,
      leaseMs: options.leaseMs ?? 60_000,
      nowMs,
      log,
      metrics: new Metrics(),
    });
  }

  info(more: Partial<MrmRequestInfo> = {}): MrmRequestInfo {
    return { peer: 'as1', priority: 24, deadlineMs: undefined, idempotencyKey: undefined, ...more };
  }

  create(context: MediaContext, more: Partial<MrmRequestInfo> = {}) {
    return this.contexts.create(context, this.info(more));
  }

  patch(contextId: string, items: PatchItem[], more: Partial<MrmRequestInfo> = {}) {
    return this.contexts.patch(contextId, items, this.info(more));
  }

  delete(contextId: string, more: Partial<MrmRequestInfo> = {}) {
    return this.contexts.delete(contextId, this.info(more));
  }

  /** The engine says something of an association; resolves when the MF has taken it in. */
  async state(key: string, state: 'connected' | 'failed' | 'closed', reason?: string): Promise<void> {
    this.engine.emit('state', { key, state, ...(reason ? { reason } : {}) });
    await this.settle();
  }

  /** Until everything that is under way in the mailboxes is done. */
  async settle(): Promise<void> {
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
  }

  /** Nothing may be left when everything was deleted. */
  residue(): Record<string, number> {
    const { engine, ports, served } = this;
    return {
      contexts: this.contexts.size,
      associations: engine.associations.size,
      flows: engine.flows.size,
      ports: ports.taken,
      bootstrap: served.size + this.applications.size,
      owners: this.contexts.owners,
    };
  }
}

export const NO_RESIDUE = { contexts: 0, associations: 0, flows: 0, ports: 0, bootstrap: 0, owners: 0 };

export const endpoint = (portNumber: number, ipv4Addr = '127.0.0.1') => ({ ip: { ipv4Addr }, portNumber });

export function remoteDc(fingerprint = SHA_A, tlsId: string | undefined = TLS_A) {
  return { sctpPort: 5_000, fingerprint, ...(tlsId === undefined ? {} : { tlsId }) };
}

/** A bootstrap line that ends here. */
export function httpMedia(mediaId: string, streamId: number, more: Partial<MediaInfo> = {}): MediaInfo {
  return {
    mediaId,
    mediaResourceType: 'DC',
    ...more,
    dcMedia: {
      mediaProxyConfig: 'HTTP_PROXY',
      remoteMdc1Endpoint: endpoint(8_080),
      replaceHttpUrl: { [streamId]: { streamId, replaceHttpUrl: 'http://127.0.0.1:8080/bdc/token/' } },
      streams: { [streamId]: { streamId, subprotocol: 'http' } },
      ...more.dcMedia,
    },
  };
}

/** One leg of a relayed channel. */
export function relayMedia(mediaId: string, streamId: number, more: Partial<MediaInfo> = {}): MediaInfo {
  return {
    mediaId,
    mediaResourceType: 'DC',
    ...more,
    dcMedia: {
      mediaProxyConfig: 'DC_APPLICATION_PROXY',
      streams: { [streamId]: { streamId, subprotocol: 'app' } },
      ...more.dcMedia,
    },
  };
}

export const context = (terminations: Record<string, MediaInfo[]>): MediaContext => ({
  terminations: Object.entries(terminations).map(([terminationId, medias]) => ({ terminationId, medias })),
});
