import type { Logger } from '../../base/log.ts';
import type { Metrics } from '../../base/metrics.ts';
import { ImsdcError } from '../../errors.ts';
import type { DatagramPath } from '../engine/datagram-path.ts';
import { DeviceForwarding } from './device-table.ts';
import { KernelFlows } from './kernel-flows.ts';
import { forwardsIPv6, kernelObstacle } from './possible.ts';

export interface DatagramPathOptions {
  /** mf.datagramPath */
  readonly path: 'auto' | 'user' | 'kernel';
  /** mf.kernelForwarding */
  readonly forwarding: 'routed' | 'device';
  readonly instance: string;
  /** Tells MFs of one host and instance apart: they cannot have it in common. */
  readonly firstPort: number;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/**
 * The way past the workers, or undefined: all datagrams go through them. The log says which, and why. Throws USAGE when
 * the kernel is demanded and cannot.
 */
export async function startDatagramPath(options: DatagramPathOptions): Promise<DatagramPath | undefined> {
  const { firstPort, forwarding, instance, log, metrics, path } = options;
  if (path === 'user') return undefined;
  const obstacle = await kernelObstacle(forwarding);
  if (obstacle && path === 'kernel' && !obstacle.mayWork) {
    throw new ImsdcError('USAGE', { problem: `mf.datagramPath is kernel, but ${obstacle.problem}` });
  }
  if (obstacle && path === 'auto') {
    log.info({ datagramPath: 'user', because: obstacle.problem }, 'datagrams of flows go through the workers');
    return undefined;
  }
  if (obstacle) log.warn({ problem: obstacle.problem }, 'datagrams that the kernel forwards may be dropped');
  const table = `imsdc_${instance.replace(/[^A-Za-z0-9]/g, '_')}_${firstPort}`;
  const flows = await KernelFlows.start({
    table,
    log,
    metrics,
    ...(forwarding === 'device' ? { forwarding: new DeviceForwarding({ log }) } : { ipv6: forwardsIPv6() }),
  });
  log.info({ datagramPath: 'kernel', forwarding, table }, 'datagrams of flows are forwarded by the kernel');
  return flows;
}
