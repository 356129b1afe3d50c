import { randomInt } from 'node:crypto';
import { IdMint } from '../../base/ids.ts';
import type { Logger } from '../../base/log.ts';
import { Metrics } from '../../base/metrics.ts';
import { RealTimers } from '../../base/timers.ts';
import { SipEndpoint, type TransportFactory } from '../../sip/transport/index.ts';
import { freePort } from '../ports.ts';
import type { ScscfConfig } from './config.ts';
import { Scscf } from './scscf.ts';

export { SCSCF_DEFAULTS, ScscfConfig } from './config.ts';

export interface RunningScscf {
  readonly address: string;
  readonly port: number;
  status(): ReturnType<Scscf['status']>;
  close(): Promise<void>;
}

/** Starts the lab's S-CSCF on UDP and TCP of one port. `transports` may watch what goes in and out. */
export async function startScscf(
  config: ScscfConfig,
  options: { readonly log: Logger; readonly transports?: TransportFactory },
): Promise<RunningScscf> {
  const mint = new IdMint({ instance: 'scscf', worker: process.pid, epoch: randomInt(36 ** 4) });
  const port = config.port === 0 ? await freePort(config.address) : config.port;
  const timers = new RealTimers();
  const endpoint = new SipEndpoint({
    listeners: [
      { transport: 'udp', address: config.address, port },
      { transport: 'tcp', address: config.address, port },
    ],
    timers,
    ids: mint,
    log: options.log,
    metrics: new Metrics(),
    ...(options.transports ? { transports: options.transports } : {}),
  });
  await endpoint.start();
  const scscf = new Scscf({ config, endpoint, mint, log: options.log });
  return {
    address: config.address,
    port,
    status: () => scscf.status(),
    close: async () => {
      scscf.close();
      await endpoint.close();
      timers.close();
    },
  };
}
