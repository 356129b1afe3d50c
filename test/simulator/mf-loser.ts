import type { Timers } from '../../src/base/timers.ts';
import type { Call } from '../../src/ims-as/call/types.ts';
import type { AsNode } from './as-node.ts';
import type { MfModel } from './mf-model.ts';
import type { MfLoss } from './scenario.ts';
import { Violation } from './violation.ts';

/** So long after the last loss was noticed, with the limit of repairs, their pace and glare, all is decided. */
const DECIDED_MS = 40_000;

/** Takes MFs of one network away as the scenario says, tells the AS when its watch would, and brings them back. */
export class MfLoser {
  readonly #as: AsNode;
  readonly #mfs: readonly MfModel[];
  readonly #timers: Timers;
  readonly #loss: MfLoss | undefined;
  #open = 0;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(as: AsNode, mfs: readonly MfModel[], timers: Timers, loss: MfLoss | undefined) {
    this.#as = as;
    this.#mfs = mfs;
    this.#timers = timers;
    this.#loss = loss;
  }

  start(): void {
    const loss = this.#loss;
    if (loss === undefined) return;
    this.#lose(this.#mfs[0]!, loss.afterMs);
    if (loss.againMs !== undefined) this.#lose(this.#mfs[1]!, loss.afterMs + loss.noticedMs + loss.againMs);
  }

  /** Nothing has gone that the AS does not know of, and the last news is `quietMs` old. */
  isOver(quietMs: number): boolean {
    return this.#open === 0 && this.#timers.nowMs() - this.#lastMs >= quietMs;
  }

  #lose(mf: MfModel, afterMs: number): void {
    const { kind, noticedMs, backMs } = this.#loss!;
    this.#timers.after(afterMs, () => {
      const held = new Set(mf.contexts.keys());
      mf.lose(kind);
      this.#open++;
      this.#timers.after(noticedMs, () => {
        // What was created between the loss and its discovery is at an MF that cannot be reached, too.
        this.#as.mfLost(mf, mf.state === 'cutOff' ? new Set(mf.contexts.keys()) : held);
        this.#open--;
        this.#lastMs = this.#timers.nowMs();
      });
      if (backMs === undefined) return;
      this.#timers.after(noticedMs + backMs, () => {
        mf.state = 'up';
        this.#as.mfBack(mf, new Set(mf.contexts.keys()));
        this.#lastMs = this.#timers.nowMs();
      });
    });
  }

  /** A repair does not wait for ever. */
  checkRepaired(call: Call): void {
    if (
      Number.isFinite(this.#lastMs) &&
      call.media?.context.lost != null &&
      this.#timers.nowMs() - this.#lastMs > DECIDED_MS
    )
      throw new Violation('repairs end', `${call.id} still looks for an MF`);
  }

  /** Lines are given up only where no MF could take them. */
  check(): void {
    const loss = this.#loss;
    const { givenUp } = this.#as.dispatcher.counts;
    const hadSpare = loss?.spare === true && loss.againMs === undefined && this.#mfs[1]!.works;
    if (hadSpare && givenUp > 0) throw new Violation('another MF is used', `${givenUp} calls gave up their lines`);
  }
}
