import Fastify, { type FastifyInstance } from 'fastify';
import { collectDefaultMetrics, Gauge, Counter as PromCounter, Registry } from 'prom-client';
import { ImsdcError } from '../errors.ts';
import type { MetricEntry, Metrics } from './metrics.ts';

export interface AdminOptions {
  /** Loopback unless the operator says otherwise: nothing here asks who is calling. */
  readonly address: string;
  /** 0 = any free port. */
  readonly port: number;
  readonly metrics: Metrics;
  /** What the process holds right now: calls, dialogs, contexts, sockets. Plain JSON. */
  status(): object | Promise<object>;
  /** More that this process can tell, by path. */
  readonly pages?: AdminPages;
}

/** GET. Plain JSON, or a stream of bytes. An ImsdcError becomes its HTTP status. */
export type AdminPages = Readonly<Record<string, (query: Readonly<Record<string, string>>) => Promise<object>>>;

export interface Admin {
  readonly address: string;
  readonly port: number;
  close(): Promise<void>;
}

/** The operator's window into one process: `GET /status` (JSON), `GET /metrics` (Prometheus), `GET /healthz`. */
export async function startAdmin(options: AdminOptions): Promise<Admin> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const server: FastifyInstance = Fastify({ bodyLimit: 1024 });
  server.get('/healthz', async () => ({ status: 'ok' }));
  server.get('/status', async () => options.status());
  for (const [path, page] of Object.entries(options.pages ?? {})) {
    server.get<{ Querystring: Record<string, string> }>(path, async ({ query }) => page(query));
  }
  server.setErrorHandler(async (error, _request, reply) => {
    if (!(error instanceof ImsdcError)) throw error;
    return reply.status(error.entry.http ?? 500).send({ code: error.code, message: error.message });
  });
  server.get('/metrics', async (_request, reply) => {
    await options.metrics.refresh();
    register(registry, options.metrics);
    return reply.type(registry.contentType).send(await registry.metrics());
  });
  await server.listen({ host: options.address, port: options.port });
  const bound = server.server.address();
  if (bound === null || typeof bound === 'string') throw new TypeError('the admin listener has no port');
  return { address: bound.address, port: bound.port, close: () => server.close() };
}

/** Metrics may be declared after the listener started; each is bridged once, at the first scrape that sees it. */
function register(registry: Registry, metrics: Metrics): void {
  for (const [name, entry] of metrics.entries) {
    if (registry.getSingleMetric(name)) continue;
    if (entry.type === 'gaugeBy') {
      const { help, label } = entry;
      new Gauge({ name, help, labelNames: [label], registers: [registry], collect: gaugeByReader(entry) });
    } else if (entry.type === 'samples') {
      const { help, kind, labels } = entry;
      const options = { name, help, labelNames: [...labels], registers: [registry] };
      if (kind === 'gauge') new Gauge({ ...options, collect: samplesReader(entry) });
      else new PromCounter({ ...options, collect: samplesReader(entry) });
    } else if (entry.type === 'gauge') {
      new Gauge({ name, help: entry.help, registers: [registry], collect: gaugeReader(entry.read) });
    } else {
      new PromCounter({ name, help: entry.help, registers: [registry], collect: counterReader(entry.read) });
    }
  }
}

function gaugeReader(read: () => number) {
  return function collect(this: Gauge): void {
    this.set(read());
  };
}

function gaugeByReader({ label, read }: Extract<MetricEntry, { type: 'gaugeBy' }>) {
  return function collect(this: Gauge): void {
    this.reset();
    for (const [value, number] of Object.entries(read())) this.set({ [label]: value }, number);
  };
}

function samplesReader({ read }: Extract<MetricEntry, { type: 'samples' }>) {
  return function collect(this: Gauge | PromCounter): void {
    this.reset();
    for (const { labels, value } of read()) this.inc(labels, value);
  };
}

function counterReader(read: () => number) {
  return function collect(this: PromCounter): void {
    this.reset();
    this.inc(read());
  };
}
