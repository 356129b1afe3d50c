import type { Logger } from '../../base/log.ts';
import { RateLimit } from './rate.ts';

/** Log lines about malformed messages and socket trouble per second. */
const MAX_LOG_LINES_PER_SECOND = 5;

/** Warnings that a peer can cause at will: a few per second, the next one says how many were held back. */
export class LimitedLog {
  readonly #log: Logger;
  readonly #nowMs: () => number;
  readonly #lines = new RateLimit(MAX_LOG_LINES_PER_SECOND);

  constructor(log: Logger, nowMs: () => number) {
    this.#log = log;
    this.#nowMs = nowMs;
  }

  warn(text: string, fields: Record<string, unknown>): void {
    if (!this.#lines.allows(this.#nowMs())) return;
    const suppressed = this.#lines.takeSuppressed();
    this.#log.warn(suppressed === 0 ? fields : { ...fields, suppressed }, text);
  }
}
