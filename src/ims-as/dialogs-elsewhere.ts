import { type RouteToken, workerAt } from '../base/ids.ts';
import type { Logger } from '../base/log.ts';
import type { Counter, Metrics } from '../base/metrics.ts';
import { RateLimit } from '../sip/transport/rate.ts';
import type { SipMessage } from '../sip/types.ts';
import type { DialogName } from './b2bua/counterpart.ts';
import { readTag } from './b2bua/identity.ts';
import { namedDialogs } from './b2bua/translate.ts';

/** Messages that wait for an owner; what comes beyond passes untranslated. */
export const MAX_WAITING = 256;
const MAX_LOG_LINES_PER_SECOND = 5;

export interface DialogsElsewhereOptions {
  readonly token: Pick<RouteToken, 'instance' | 'worker'>;
  /** Asks the worker that holds the dialog. Undefined: it knows of none. Rejects when it does not answer in time. */
  readonly ask: (worker: number, name: DialogName) => Promise<DialogName | undefined>;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Counterparts of dialogs, each by `keyOf` its name. */
export type Counterparts = ReadonlyMap<string, DialogName>;

/**
 * A message may name a dialog of ours that another worker holds (R21): a Refer-To with Replaces, when two calls of one
 * user are to become one. Its owner stands in the tag, and is asked before the message is served. Nobody waits longer than
 * `ask` takes: without an answer the name passes as it is, and the transfer fails as it would with any stranger's.
 */
export class DialogsElsewhere {
  readonly #asked: Counter;
  readonly #failed: Counter;
  readonly #logLines = new RateLimit(MAX_LOG_LINES_PER_SECOND);
  readonly #options: DialogsElsewhereOptions;
  readonly #prefix: string;
  #waiting = 0;

  constructor(options: DialogsElsewhereOptions) {
    this.#options = options;
    this.#prefix = `${options.token.instance}.`;
    const counter = (name: string, help: string) => options.metrics.counter(`imsdc_ims_as_dialogs_${name}_total`, help);
    this.#asked = counter('elsewhere', 'dialogs that other workers were asked for');
    this.#failed = counter('untranslated', 'dialogs of other workers that passed as they were named');
  }

  /** Undefined: `message` names no dialog of another worker, as nearly all do. Never rejects. */
  counterparts(message: SipMessage): Promise<Counterparts> | undefined {
    const names = namedDialogs(message).flatMap((name) => {
      const worker = this.#ownerOf(name);
      return worker < 0 || worker === this.#options.token.worker ? [] : [{ name, worker }];
    });
    if (names.length === 0) return undefined;
    if (this.#waiting >= MAX_WAITING) {
      for (const { worker } of names) this.#untranslated(worker, 'too many messages wait');
      return undefined;
    }
    return this.#ask(names);
  }

  async #ask(names: readonly { readonly name: DialogName; readonly worker: number }[]): Promise<Counterparts> {
    const found = new Map<string, DialogName>();
    this.#waiting++;
    await Promise.all(
      names.map(async ({ name, worker }) => {
        this.#asked.value++;
        try {
          const other = await this.#options.ask(worker, name);
          if (other === undefined) this.#untranslated(worker, 'it knows no such dialog');
          else found.set(keyOf(name), other);
        } catch (error) {
          this.#untranslated(worker, error instanceof Error ? error.message : String(error));
        }
      }),
    );
    this.#waiting--;
    return found;
  }

  /** As `counterpart` reads it: where both tags are ours, the one that is addressed counts. */
  #ownerOf({ toTag, fromTag }: DialogName): number {
    const ours = [toTag, fromTag].find((tag) => readTag(tag) !== undefined && workerAt(tag, 0, this.#prefix) >= 0);
    return ours === undefined ? -1 : workerAt(ours, 0, this.#prefix);
  }

  #untranslated(worker: number, problem: string): void {
    this.#failed.value++;
    if (!this.#logLines.allows(Date.now())) return;
    const suppressed = this.#logLines.takeSuppressed();
    this.#options.log.warn({ worker, problem, suppressed }, 'sip: a dialog of another worker passes as it is named');
  }
}

export function keyOf({ callId, toTag, fromTag }: DialogName): string {
  return `${callId};${toTag};${fromTag}`;
}
