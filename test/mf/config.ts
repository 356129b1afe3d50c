import { Ajv } from 'ajv';
import { MfConfig } from '../../src/mf/config.ts';

/** The configuration of an MF under test: any port for Nmf_MRM, one worker, 50 media ports somewhere. */
export function mfConfig(more: Readonly<Record<string, unknown>> & { readonly media?: object } = {}): MfConfig {
  // Ports of somebody else are skipped, so any range will do.
  const firstPort = 20_000 + Math.floor(Math.random() * 200) * 50;
  const media = { firstPort, lastPort: firstPort + 49, ...more.media };
  const value = { listen: { port: 0 }, workers: 1, ...more, media };
  new Ajv({ useDefaults: true, strict: false }).compile(MfConfig)(value);
  return value as MfConfig;
}
