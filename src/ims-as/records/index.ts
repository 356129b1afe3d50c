import { JsonLinesFile } from '../../base/json-lines-file.ts';
import type { Logger } from '../../base/log.ts';
import type { Metrics } from '../../base/metrics.ts';
import type { Timers } from '../../base/timers.ts';
import type { MediaEvent } from '../../services/nmf-mrm.ts';
import type { Call } from '../call/types.ts';
import type { ImsAsConfig } from '../config.ts';
import { ChannelLedger } from './ledger.ts';

/** The channel records of one AS (R31): the ledger and the file that it fills. */
export class ChannelRecords {
  readonly #ledger: ChannelLedger;
  readonly #file: JsonLinesFile;

  private constructor(ledger: ChannelLedger, file: JsonLinesFile) {
    this.#ledger = ledger;
    this.#file = file;
  }

  /** Undefined: none are wanted, and then nobody pays for them. */
  static open(
    config: ImsAsConfig['channelRecords'],
    { log, metrics, timers, worker }: { timers: Timers; log: Logger; metrics: Metrics; worker: number },
  ): ChannelRecords | undefined {
    const { figuresWaitMs, file: configured } = config;
    if (configured === undefined) return undefined;
    // Two processes that shift one file would lose lines of each other.
    const name = worker === 0 ? configured : `${configured}.w${worker}`;
    const file = new JsonLinesFile({ ...config, file: name, log, metrics, metric: 'ims_as_channel_records' });
    const ledger = new ChannelLedger({ timers, figuresWaitMs, write: (record) => file.write(record) });
    metrics.gauge(
      'imsdc_ims_as_channel_records_waiting',
      'ended channels that wait for the figures of the MF',
      () => ledger.waiting,
    );
    return new ChannelRecords(ledger, file);
  }

  look(call: Call): void {
    this.#ledger.look(call);
  }

  over(call: Call): void {
    this.#ledger.over(call);
  }

  mediaEvent(event: MediaEvent): void {
    this.#ledger.mediaEvent(event);
  }

  reopen(): void {
    this.#file.reopen();
  }

  async close(): Promise<void> {
    this.#ledger.close();
    await this.#file.close();
  }
}
