import type { SipListenerConfig } from '../../sip/transport/config.ts';
import type { RepositoryAddress } from '../functions.ts';

/** What a worker of `imsdc dcsf` must know beside the configuration; in its environment as JSON. */
export interface WorkerSetup {
  /** 0 to `dcsf.workers` - 1: the worker of its route token (R21). The same after a restart. */
  readonly index: number;
  readonly workers: number;
  /** Listeners of the dispatcher, with the ports that they have got. */
  readonly listeners: readonly SipListenerConfig[];
  readonly repository: RepositoryAddress | undefined;
  /** Where MFs post this worker's events (R25); '' when nobody listens. */
  readonly mediaEventUri: string;
}

export const WORKER_SETUP = 'IMSDC_WORKER';

/** One metric of a worker at the moment of a scrape. */
export interface MetricSnapshot {
  readonly name: string;
  readonly help: string;
  readonly kind: 'counter' | 'gauge';
  readonly samples: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

/** What one worker has learnt of a handset, for the others (R23). */
export interface LearntCapability {
  readonly identity: string;
  /** Undefined: the registration has ended. */
  readonly supports: boolean | undefined;
  readonly untilMs: number;
}

/** A dialog by what one side calls it (R21). */
export interface NamedDialog {
  readonly callId: string;
  readonly toTag: string;
  readonly fromTag: string;
}

/** A message that names a dialog of another worker waits for its owner no longer than this. */
export const COUNTERPART_TIMEOUT_MS = 300;
