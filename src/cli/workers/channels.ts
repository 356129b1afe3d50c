import { workerOfSessionId } from '../../base/ids.ts';
import type { ChannelControl } from '../../dcsf/index.ts';
import type { HashRing } from '../../dispatch/ring.ts';
import { ImsdcError } from '../../errors.ts';
import type { Rpc } from './rpc.ts';

/** For who holds a call: a worker that is behind must not hold up the others. */
const SEARCH_TIMEOUT_MS = 2_000;
/** DC4 guards itself (R17); this only keeps a dead worker from holding a request for ever. */
const REQUEST_TIMEOUT_MS = 30_000;

type Line = Awaited<ReturnType<ChannelControl['add']>>;
type Newest = { readonly sessionId: string; readonly touchedMs: number } | null;

/** How to reach one worker now; another object after its restart. */
export type WorkerRpc = Pick<Rpc, 'call'>;

/**
 * DC4 over all workers: a session is one worker's. A worker that is being started again is no reason to refuse what
 * another one can do; where only it can know, the answer is DCSF_WORKER_LOST (503: come back), never DCSF_NO_SESSION.
 */
export class ChannelsOfWorkers implements ChannelControl {
  readonly #workers: () => readonly WorkerRpc[];
  readonly #ring: HashRing;

  constructor(workers: () => readonly WorkerRpc[], ring: HashRing) {
    this.#workers = workers;
    this.#ring = ring;
  }

  async add(request: Parameters<ChannelControl['add']>[0]): Promise<Line> {
    const { sessionId, servedUser = '' } = request;
    if (sessionId !== undefined) return (await this.#firstWith(sessionId, 'addLine', request)) as Line;
    return (await (await this.#holderOf(servedUser)).call('addLine', request, REQUEST_TIMEOUT_MS)) as Line;
  }

  async remove(line: Parameters<ChannelControl['remove']>[0]): Promise<void> {
    await this.#firstWith(line.sessionId, 'removeLine', line);
  }

  /** The worker with the user's newest call. Where nobody has one, any may say so, once all have been heard. */
  async #holderOf(servedUser: string): Promise<WorkerRpc> {
    const workers = this.#workers();
    const answers = await Promise.allSettled(
      workers.map((rpc) => rpc.call('newestSession', servedUser, SEARCH_TIMEOUT_MS) as Promise<Newest>),
    );
    let holder: WorkerRpc | undefined;
    let newestMs = -1;
    let failure: unknown;
    for (const [index, answer] of answers.entries()) {
      if (answer.status === 'rejected') failure ??= answer.reason;
      else if (answer.value !== null && answer.value.touchedMs > newestMs) {
        newestMs = answer.value.touchedMs;
        holder = workers[index];
      }
    }
    if (holder !== undefined) return holder;
    if (failure !== undefined) throw failure;
    return workers[0]!;
  }

  /** Of our own IMS AS or of one elsewhere: whoever knows the session. */
  async #firstWith(sessionId: string, method: string, params: unknown): Promise<unknown> {
    const workers = this.#workers();
    let missing: unknown;
    let lost: unknown;
    for (const index of new Set([workerOfSessionId(sessionId), this.#ring.home(sessionId)])) {
      try {
        // An id of others may name any worker, also one that there is not.
        if (index < workers.length) return await workers[index]!.call(method, params, REQUEST_TIMEOUT_MS);
      } catch (error) {
        if (isCoded(error, 'DCSF_NO_SESSION')) missing = error;
        else if (isCoded(error, 'DCSF_WORKER_LOST')) lost ??= error;
        else throw error;
      }
    }
    throw lost ?? missing;
  }
}

function isCoded(error: unknown, code: ImsdcError['code']): boolean {
  return error instanceof ImsdcError && error.code === code;
}
