/** What a pure machine may know of the world. The edge fills it in anew for each event. */
export interface Environment {
  /** Epoch milliseconds; deadlines are stored on this scale so that a restart can honour them. */
  readonly nowMs: number;
  /** `bytes` random bytes as lower-case hex. */
  random(bytes: number): string;
}

/** Where a machine puts its effects. A parent wraps the sink of a child, so no arrays are joined. */
export interface Sink<E> {
  emit(effect: E): void;
}
