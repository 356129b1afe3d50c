import { writeHeapSnapshot } from 'node:v8';
import { createLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { startFunctions } from '../../src/cli/functions.ts';
import { requireConfig } from '../../src/config/load.ts';
import { Config } from '../../src/config/schema.ts';

/**
 * The roles ims-as and dcsf as `imsdc dcsf` joins them, in a process that can be told to collect its garbage
 * (`node --expose-gc`) and asked what is left.
 */
export interface MemoryReport {
  /** Live objects of the heap, bytes. */
  readonly heap: number;
  /** Buffers outside of it. */
  readonly external: number;
  readonly resident: number;
  readonly calls: number;
  readonly transactions: number;
}

const [file = '', repository = ''] = process.argv.slice(2);
const config = requireConfig<Config>(file, Config);
const context = {
  config,
  configFile: file,
  log: createLogger({ name: 'held', level: 'error' }),
  metrics: new Metrics(),
  token: { instance: config.instance, worker: 0, epoch: Math.floor(Date.now() / 1000) },
};
const functions = await startFunctions(context, { secret: 'bench', address: repository, internalAddress: repository });

function report(): MemoryReport {
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed: heap, external, rss: resident } = process.memoryUsage();
  const status = functions.imsAs?.status();
  return {
    heap,
    external,
    resident,
    calls: status?.calls ?? 0,
    transactions: (status?.clientTransactions ?? 0) + (status?.serverTransactions ?? 0),
  };
}

process.on('message', (message) => {
  if (message === 'report') process.send?.({ report: report() });
  else if (typeof message === 'string') process.send?.({ snapshot: writeHeapSnapshot(message) });
});
process.once('disconnect', () => process.exit());
process.send?.({ port: functions.imsAs?.addresses[0]?.port });
