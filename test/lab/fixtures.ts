import type { ScscfConfig } from '../../src/lab/scscf/index.ts';

/** An S-CSCF on a free port without application server. */
export function scscfConfig(change: Partial<ScscfConfig> = {}): ScscfConfig {
  return {
    address: '127.0.0.1',
    port: 0,
    homeDomain: 'ims.lab',
    applicationServer: '',
    subscriptions: [],
    minExpiresS: 1,
    defaultExpiresS: 3600,
    maxExpiresS: 7200,
    timerCMs: 200_000,
    applicationServerTimeoutMs: 5000,
    ...change,
  };
}
