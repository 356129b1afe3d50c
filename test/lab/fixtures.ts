import { SCSCF_DEFAULTS, type ScscfConfig } from '../../src/lab/scscf/index.ts';

/** An S-CSCF on a free port without application server. */
export function scscfConfig(change: Partial<ScscfConfig> = {}): ScscfConfig {
  return { ...SCSCF_DEFAULTS, port: 0, ...change };
}
