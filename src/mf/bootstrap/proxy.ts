import type { Logger } from '../../base/log.ts';
import type { Counter, Metrics } from '../../base/metrics.ts';
import type { MediaEngine, StreamRef } from '../engine/types.ts';
import type { BootstrapPort, BootstrapTarget } from '../mrm/service-port.ts';
import type { Mdc1Client } from './mdc1-client.ts';
import type { ResponseLimits } from './response.ts';
import { BootstrapStream, CREDIT_BYTES } from './stream.ts';

export interface BootstrapProxyOptions {
  readonly engine: MediaEngine;
  readonly mdc1: Mdc1Client;
  readonly limits: ResponseLimits;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** All bootstrap streams that end at this MF, one mapping per (association, stream) (R27). */
export class BootstrapProxy implements BootstrapPort {
  readonly #options: BootstrapProxyOptions;
  readonly #streams = new Map<string, Map<number, BootstrapStream>>();
  readonly #answers: readonly Counter[];
  readonly #resets: Counter;

  constructor(options: BootstrapProxyOptions) {
    this.#options = options;
    const { metrics } = options;
    this.#answers = [2, 3, 4, 5].map((digit) =>
      metrics.counter(`imsdc_mf_bootstrap_answers_${digit}xx_total`, `bootstrap requests answered with ${digit}xx`),
    );
    this.#resets = metrics.counter('imsdc_mf_bootstrap_resets_total', 'bootstrap streams reset because of what came');
    metrics.gauge('imsdc_mf_bootstrap_streams', 'bootstrap streams that end here', () => this.size);
  }

  get size(): number {
    let size = 0;
    for (const streams of this.#streams.values()) size += streams.size;
    return size;
  }

  serve(ref: StreamRef, target: BootstrapTarget): void {
    const { key, streamId } = ref;
    const known = this.#streams.get(key)?.get(streamId);
    if (known) {
      known.target = target;
      return;
    }
    const { engine, limits, mdc1 } = this.#options;
    const log = this.#options.log.child({ key, streamId });
    const stream = new BootstrapStream(target, {
      port: engine.payload(ref, CREDIT_BYTES),
      mdc1,
      limits,
      log,
      reset: (reason) => {
        this.#resets.value++;
        engine.resetStream(ref, reason).catch((error: Error) => log.debug({ reason: error.message }, 'no reset'));
      },
      answered: (status) => {
        const counter = this.#answers[Math.floor(status / 100) - 2];
        if (counter) counter.value++;
      },
      ended: () => this.#forget(key, streamId, stream),
    });
    let streams = this.#streams.get(key);
    if (!streams) this.#streams.set(key, (streams = new Map()));
    streams.set(streamId, stream);
  }

  end({ key, streamId }: StreamRef): void {
    this.#streams.get(key)?.get(streamId)?.close();
  }

  endAll(key: string): void {
    for (const stream of [...(this.#streams.get(key)?.values() ?? [])]) stream.close();
  }

  #forget(key: string, streamId: number, stream: BootstrapStream): void {
    const streams = this.#streams.get(key);
    if (streams?.get(streamId) !== stream) return;
    streams.delete(streamId);
    if (streams.size === 0) this.#streams.delete(key);
  }
}
