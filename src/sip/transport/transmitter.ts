import type { ClientKey, Destination, ServerKey } from '../types.ts';
import type { EndpointCounters } from './endpoint-counters.ts';
import type { LimitedLog } from './limited-log.ts';
import type { Listeners } from './listeners.ts';
import { hostPort } from './transport.ts';

export interface TransmitterOptions {
  readonly listeners: Listeners;
  readonly count: EndpointCounters;
  readonly log: LimitedLog;
  /** The transaction's message could not be sent. */
  readonly failed: (owner: ServerKey | ClientKey) => void;
}

/** Messages out, each from the listener that can reach its destination. */
export class Transmitter {
  readonly #options: TransmitterOptions;
  #closed = false;

  constructor(options: TransmitterOptions) {
    this.#options = options;
  }

  /** `otherwise` runs instead of all else when the message cannot be sent. Failures come later, never during the call. */
  transmit(wire: string, to: Destination, owner: ServerKey | ClientKey | null, otherwise?: () => void): void {
    if (this.#closed) return;
    const { listeners, count } = this.#options;
    const transport = listeners.find(to);
    count.sent.value++;
    const onFailed = (error: Error): void => {
      if (otherwise !== undefined) otherwise();
      else this.#onFailed(error, to, owner);
    };
    if (transport === undefined) queueMicrotask(() => onFailed(new Error(`no ${to.transport} listener`)));
    else transport.send(wire, to, onFailed);
  }

  /** What is sent afterwards goes nowhere. */
  close(): void {
    this.#closed = true;
  }

  #onFailed(error: Error, to: Destination, owner: ServerKey | ClientKey | null): void {
    const { count, log, failed } = this.#options;
    count.sendFailures.value++;
    log.warn('sip: cannot send', { to: hostPort(to.address, to.port), problem: error.message });
    if (owner !== null && !this.#closed) failed(owner);
  }
}
