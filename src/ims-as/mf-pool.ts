import type { EventLoopTurns } from '../base/event-loop-turns.ts';
import { formatRouteToken, type RouteToken } from '../base/ids.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Timers } from '../base/timers.ts';
import { ImsdcError } from '../errors.ts';
import { statusOf } from '../sbi/problem.ts';
import type { NmfMrm } from '../services/nmf-mrm.ts';
import { NmfMrmClient } from '../services/nmf-mrm-client.ts';
import type { MrmOperation, MrmReply, Outcome } from './call/types.ts';
import type { ImsAsConfig } from './config.ts';
import { MfWatch } from './mf-watch.ts';
import { UnwantedContexts } from './unwanted-contexts.ts';

export type MfClient = NmfMrm & { close(): Promise<void> };

interface Mf {
  readonly name: string;
  readonly client: MfClient;
  readonly watch: MfWatch;
  readonly unwanted: UnwantedContexts;
  /** Contexts of ours that it holds. */
  contexts: number;
  /** Not asked for new contexts before. */
  restUntilMs: number;
}

/**
 * The MFs of this AS: the one with the fewest of our contexts takes the next; one that cannot be reached rests, and the
 * request goes to the next while its deadline lasts.
 */
export class MfPool {
  readonly #mfs: Mf[];
  readonly #timers: Timers;
  readonly #restMs: number;

  constructor(
    config: ImsAsConfig['mf'],
    options: {
      log: Logger;
      metrics: Metrics;
      timers: Timers;
      /** Of the process: what it has to say to MFs leaves at their end. */
      turns?: EventLoopTurns;
      token: RouteToken;
      /** An MF does not hold these contexts of ours any more (R25). */
      lost(contextIds: ReadonlySet<string>, reason: string): void;
      /** Default: Nmf_MRM over HTTP/2. */
      connect?(apiRoot: string, onEndedByPeer: () => void): MfClient;
    },
  ) {
    const { metrics, timers, token, turns } = options;
    this.#timers = timers;
    this.#restMs = config.retryAfterMs;
    const orphans = metrics.counter(
      'imsdc_ims_as_orphaned_contexts_total',
      'MF contexts that could not be deleted; their lease ends them',
    );
    const lostContexts = metrics.counter('imsdc_ims_as_lost_contexts_total', 'contexts that an MF lost');
    const overHttp = (apiRoot: string, onEndedByPeer: () => void) =>
      new NmfMrmClient({
        apiRoot,
        // With the epoch: what a former process left behind is not kept alive by our requests (R25).
        userAgent: `IMS_AS-${formatRouteToken(token)}`,
        tls: config.tls,
        log: options.log,
        metrics,
        generation: config.generation,
        afterInput: turns && ((run) => turns.atEnd(run)),
        onEndedByPeer,
      });
    this.#mfs = config.urls.map((apiRoot): Mf => {
      const log = options.log.child({ mf: apiRoot });
      const client = (options.connect ?? overHttp)(apiRoot, () => watch.suspect());
      const watch = new MfWatch({
        client,
        timers,
        log,
        probeMs: config.probeMs,
        patienceMs: config.patienceMs,
        lost: (contextIds, reason) => {
          lostContexts.value += contextIds.size;
          options.lost(contextIds, `${apiRoot}: ${reason}`);
        },
        back: (contextIds) => void unwanted.cleanUp(contextIds),
      });
      const unwanted = new UnwantedContexts({ client, timers, log, orphans, isLost: () => watch.isLost });
      return { name: apiRoot, client, watch, unwanted, contexts: 0, restUntilMs: 0 };
    });
    metrics.gauge('imsdc_ims_as_contexts', 'MF contexts held', () => this.contexts);
  }

  get contexts(): number {
    return this.#mfs.reduce((sum, mf) => sum + mf.contexts, 0);
  }

  /** A context that a former process made. False: its MF is none of ours any more. */
  adopt(mfName: string, contextId: string): boolean {
    const mf = this.#mfs.find(({ name }) => name === mfName);
    if (mf === undefined) return false;
    mf.contexts++;
    mf.watch.adopt(contextId);
    return true;
  }

  async run(operation: MrmOperation, deadlineMs: number): Promise<Outcome<MrmReply>> {
    try {
      if (operation.method === 'POST') return { ok: true, value: await this.#create(operation, deadlineMs) };
      const mf = this.#mfs.find((one) => one.name === operation.mf);
      if (mf === undefined) return { ok: false, status: 503, detail: `${operation.mf} is no MF of ours any more` };
      if (operation.method === 'DELETE') {
        await this.#delete(mf, operation.contextId, deadlineMs);
        return { ok: true, value: { mf: mf.name } };
      }
      const { contextId, patch, idempotencyKey } = operation;
      const context = await mf.client.patchContext(contextId, patch, { deadlineMs, idempotencyKey });
      return { ok: true, value: { mf: mf.name, context } };
    } catch (error) {
      if (error instanceof ImsdcError) return { ok: false, status: statusOf(error.code), detail: error.message };
      throw error;
    }
  }

  async #create(operation: Extract<MrmOperation, { method: 'POST' }>, deadlineMs: number): Promise<MrmReply> {
    const { context, idempotencyKey } = operation;
    for (const tried = new Set<Mf>(); ; ) {
      const mf = this.#choose(tried);
      if (mf === undefined)
        throw new ImsdcError('MRM_UNAVAILABLE', {
          peer: this.#mfs.map((one) => one.name).join(', '),
          detail: 'no MF is left to ask',
        });
      tried.add(mf);
      mf.contexts++;
      try {
        const created = await mf.client.createContext(context, { deadlineMs, idempotencyKey });
        mf.watch.add(created.contextId);
        return { mf: mf.name, context: created };
      } catch (error) {
        mf.contexts--;
        if (!(error instanceof ImsdcError)) throw error;
        const isSilent = error.code === 'MRM_TIMEOUT';
        if (isSilent || error.code === 'MRM_UNAVAILABLE') mf.restUntilMs = this.#timers.nowMs() + this.#restMs;
        // Only what was certainly not executed may go to another MF.
        if (error.code !== 'MRM_UNAVAILABLE') throw error;
        if (this.#timers.nowMs() >= deadlineMs || tried.size === this.#mfs.length) throw error;
      }
    }
  }

  #choose(tried: ReadonlySet<Mf>): Mf | undefined {
    const nowMs = this.#timers.nowMs();
    // One that is lost is asked by its watch alone: nobody waits for it.
    let best: Mf | undefined;
    for (const mf of this.#mfs) {
      if (tried.has(mf) || mf.watch.isLost) continue;
      if (best === undefined || isBetter(mf, best, nowMs)) best = mf;
    }
    return best;
  }

  async #delete(mf: Mf, contextId: string, deadlineMs: number): Promise<void> {
    mf.contexts = Math.max(0, mf.contexts - 1);
    mf.watch.remove(contextId);
    await mf.unwanted.delete(contextId, deadlineMs);
  }

  async close(): Promise<void> {
    for (const { unwanted, watch } of this.#mfs) {
      unwanted.close();
      watch.close();
    }
    await Promise.all(this.#mfs.map((mf) => mf.client.close()));
  }

  status(): { name: string; contexts: number; resting: boolean; lost: boolean }[] {
    const nowMs = this.#timers.nowMs();
    return this.#mfs.map(({ name, contexts, restUntilMs, watch }) => ({
      name,
      contexts,
      resting: restUntilMs > nowMs,
      lost: watch.isLost,
    }));
  }
}

/** With all of them resting, the one that rests longest may be back. */
function isBetter(mf: Mf, than: Mf, nowMs: number): boolean {
  const rests = mf.restUntilMs > nowMs;
  if (rests !== than.restUntilMs > nowMs) return !rests;
  return rests ? mf.restUntilMs < than.restUntilMs : mf.contexts < than.contexts;
}
