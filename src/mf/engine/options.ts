import { fileURLToPath } from 'node:url';
import type { Logger } from '../../base/log.ts';
import type { Metrics } from '../../base/metrics.ts';
import { MAX_MESSAGE_BYTES } from '../worker/protocol.ts';
import type { DatagramPath } from './datagram-path.ts';

/** How a worker program is started: it inherits descriptors 3 and 4 (docs/media-worker.md). */
export interface WorkerCommand {
  readonly file: string;
  readonly args: readonly string[];
}

export interface EngineOptions {
  readonly command: WorkerCommand;
  /** Worker processes. Default 1. */
  readonly workers?: number;
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly log: Logger;
  readonly metrics?: Metrics;
  readonly limits?: Partial<EngineLimits>;
  /** Lines in the NSS key log format; given only when the operator asked for them. */
  readonly onKeyLog?: (line: string) => void;
  /** Forwards datagrams of flows past the workers, where it can; closed with the engine. */
  readonly datagrams?: DatagramPath;
}

/** What HELLO tells a worker, and how the client watches it. */
export interface EngineLimits {
  /** Per worker. */
  readonly memoryBudgetBytes: number;
  /** Per worker. */
  readonly maxAssociations: number;
  readonly maxMessageSizeBytes: number;
  /** R29: high mark of a relay or payload buffer. */
  readonly bufferedBytesPerStream: number;
  readonly slowReaderLimitMs: number;
  /** R28. */
  readonly heartbeatIntervalMs: number;
  /** R5, since the flight was first sent. */
  readonly dtlsRetransmissionMs: readonly number[];
  readonly dtlsRepeatMs: number;
  readonly associationTimeoutMs: number;
  readonly mtuBytes: number;
  readonly datagramPath: 'auto' | 'user' | 'kernel';
  readonly pingIntervalMs: number;
  /** Without PONG for so long the worker is killed. */
  readonly hungAfterMs: number;
  /** A worker must say WELCOME within. */
  readonly startTimeoutMs: number;
  /** First delay before a restart; doubles up to `maxRestartDelayMs` while workers end early. */
  readonly restartDelayMs: number;
  readonly maxRestartDelayMs: number;
  /** `reserve` and `flow` wait so long for a worker that runs. */
  readonly placementTimeoutMs: number;
}

export const DEFAULT_LIMITS: EngineLimits = {
  memoryBudgetBytes: 2 ** 31,
  maxAssociations: 5_000,
  maxMessageSizeBytes: MAX_MESSAGE_BYTES,
  bufferedBytesPerStream: 1 << 20,
  slowReaderLimitMs: 30_000,
  heartbeatIntervalMs: 25_000,
  dtlsRetransmissionMs: [250, 500, 1_000, 2_000],
  dtlsRepeatMs: 4_000,
  associationTimeoutMs: 60_000,
  mtuBytes: 1_200,
  datagramPath: 'auto',
  pingIntervalMs: 1_000,
  hungAfterMs: 4_000,
  startTimeoutMs: 10_000,
  restartDelayMs: 50,
  maxRestartDelayMs: 5_000,
  placementTimeoutMs: 2_000,
};

/** The worker that needs nothing compiled: a Node process on node-datachannel. */
export function embeddedCommand(): WorkerCommand {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const main = fileURLToPath(new URL(`../worker/embedded/main.${extension}`, import.meta.url));
  return { file: process.execPath, args: [main] };
}
