/** An MF with its media workers; says its address to its parent. */
import { Ajv } from 'ajv';
import { createLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { MfConfig } from '../../src/mf/config.ts';
import { startMf } from '../../src/mf/index.ts';

const config = { listen: { port: 0 }, workers: 1, media: { firstPort: 10_000, lastPort: 64_000 } };
new Ajv({ useDefaults: true, strict: false }).compile(MfConfig)(config);
const log = createLogger({ name: 'mf', level: 'warn' });
const token = { instance: 'bench', worker: 0, epoch: 1 };
const mf = await startMf(config as unknown as MfConfig, { log, metrics: new Metrics(), token });
process.send?.({ address: mf.address, engine: mf.status().engine });
process.on('disconnect', () => mf.close().then(() => process.exit(0)));
