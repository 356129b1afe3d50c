import type { Timer, Timers } from '../base/timers.ts';
import type { Call, DeadlineName } from './call/types.ts';

/** Deadlines further away are looked for by a sweep instead: millions of sleeping timers cost nothing then. */
const NEAR_MS = 20_000;
const SWEEP_MS = 5_000;

interface Armed {
  readonly call: Call;
  /** Of deadlines that are near. */
  timers: Map<DeadlineName, Timer> | undefined;
}

/** Wakes calls at the deadlines that they hold. What a call has let go of meanwhile is not delivered. */
export class CallDeadlines {
  readonly #armed = new Map<string, Armed>();
  readonly #timers: Timers;
  readonly #due: (callId: string, name: DeadlineName) => void;
  #sweep: Timer;

  constructor(timers: Timers, due: (callId: string, name: DeadlineName) => void) {
    this.#timers = timers;
    this.#due = due;
    this.#sweep = timers.after(SWEEP_MS, () => this.#lookForDeadlines());
  }

  arm(call: Call, name: DeadlineName, atMs: number): void {
    let armed = this.#armed.get(call.id);
    if (armed === undefined) this.#armed.set(call.id, (armed = { call, timers: undefined }));
    armed.timers?.get(name)?.cancel();
    dropTimer(armed, name);
    const delay = atMs - this.#timers.nowMs();
    if (delay <= NEAR_MS)
      (armed.timers ??= new Map()).set(
        name,
        this.#timers.after(delay, () => this.#wake(armed, name)),
      );
  }

  forget(call: Call): void {
    const armed = this.#armed.get(call.id);
    if (armed === undefined) return;
    for (const timer of armed.timers?.values() ?? []) timer.cancel();
    this.#armed.delete(call.id);
  }

  close(): void {
    this.#sweep.cancel();
    for (const { call } of [...this.#armed.values()]) this.forget(call);
  }

  #wake(armed: Armed, name: DeadlineName) {
    const { call } = armed;
    dropTimer(armed, name);
    const at = call.deadlines[name];
    if (at === undefined) return;
    if (at > this.#timers.nowMs()) this.arm(call, name, at);
    else this.#due(call.id, name);
  }

  /** Session timers, ringing, lingering: seconds do not matter there. */
  #lookForDeadlines() {
    const soon = this.#timers.nowMs() + SWEEP_MS;
    for (const { call, timers } of this.#armed.values()) {
      for (const name in call.deadlines) {
        const deadline = name as DeadlineName;
        const at = call.deadlines[deadline];
        if (at !== undefined && at <= soon && timers?.has(deadline) !== true) this.arm(call, deadline, at);
      }
    }
    this.#sweep = this.#timers.after(SWEEP_MS, () => this.#lookForDeadlines());
  }
}

/** A call at rest has no timer for hours: then it has no table either. */
function dropTimer(armed: Armed, name: DeadlineName): void {
  armed.timers?.delete(name);
  if (armed.timers?.size === 0) armed.timers = undefined;
}
