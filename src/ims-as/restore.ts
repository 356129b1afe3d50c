import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Timers } from '../base/timers.ts';
import { ImsdcError } from '../errors.ts';
import type { Journal, Touch } from '../store/journal.ts';
import { restoredCall, storedText } from './call/stored.ts';
import type { CallConfig } from './call/types.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { MfPool } from './mf-pool.ts';

/** Space of the journal. */
const CALLS = 'call';
/** Each may cost a PATCH: ten thousand calls take four seconds. */
const RESUME_BATCH = 50;
const RESUME_BATCH_MS = 20;

/** Calls are written through `journal` from now on. `dispatcher` is asked for no earlier than the first record is written. */
export function storeCalls(journal: Journal, config: CallConfig, dispatcher: () => Dispatcher): Touch {
  return journal.own(CALLS, {
    render: (id) => {
      const call = dispatcher().call(id);
      return call && storedText(call, config);
    },
    *ids() {
      for (const { id } of dispatcher().calls()) yield id;
    },
  });
}

export interface RestoreOptions {
  readonly journal: Pick<Journal, 'found' | 'rewrite'>;
  readonly config: CallConfig;
  readonly dispatcher: Dispatcher;
  readonly mfs: Pick<MfPool, 'adopt'>;
  readonly timers: Timers;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/**
 * Takes the calls of a former process over, in one turn, so that no request of theirs finds us without them. What needs
 * the MF or the DCSF follows in batches. A record that cannot be used costs that call only (STATE_RECORD).
 */
export function restoreCalls(options: RestoreOptions): void {
  const { journal, config, dispatcher, mfs, timers, log, metrics } = options;
  const restored = metrics.counter('imsdc_ims_as_restored_calls_total', 'calls taken over from a former process');
  const unusable = metrics.counter('imsdc_ims_as_unusable_calls_total', 'stored calls that could not be used');
  const waiting: string[] = [];
  const lost: string[] = [];
  const nowMs = timers.nowMs();
  for (const [id, text] of journal.found(CALLS)) {
    try {
      const call = restoredCall(id, text, nowMs, config);
      dispatcher.adopt(call);
      waiting.push(id);
      restored.value++;
      const { contextId = '', mf = '' } = call.media?.context ?? {};
      if (contextId !== '' && !mfs.adopt(mf, contextId)) lost.push(contextId);
    } catch (error) {
      if (!(error instanceof ImsdcError)) throw error;
      unusable.value++;
      log.error({ err: error, call: id }, 'a stored call is lost');
    }
  }
  if (waiting.length > 0) log.info({ calls: waiting.length }, 'calls restored');
  const next = () => {
    for (const id of waiting.splice(0, RESUME_BATCH)) dispatcher.resume(id);
    if (waiting.length > 0) timers.after(RESUME_BATCH_MS, next);
    else dispatcher.contextsLost(new Set(lost), 'its MF is not configured any more');
  };
  timers.after(0, next);
  // As they are now, behind their gaps: a second restart must not send the same numbers again.
  journal.rewrite();
}
