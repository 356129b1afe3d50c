type Listener<T> = (event: T) => void;

/** Typed events. A listener that throws is reported to `onListenerError` and never hurts the emitter or other listeners. */
export class TypedEmitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<Listener<never>>>();
  /** Replaced by the process entry point with the logger. */
  static onListenerError: (error: unknown, event: PropertyKey) => void = (error) => {
    queueMicrotask(() => {
      throw error;
    });
  };

  /** Adds `listener`; the returned function removes it. */
  on<K extends keyof Events>(event: K, listener: Listener<Events[K]>): () => void {
    let set = this.#listeners.get(event);
    if (!set) this.#listeners.set(event, (set = new Set()));
    set.add(listener as Listener<never>);
    return () => set.delete(listener as Listener<never>);
  }

  emit<K extends keyof Events>(event: K, value: Events[K]): void {
    for (const listener of this.#listeners.get(event) ?? []) {
      try {
        (listener as Listener<Events[K]>)(value);
      } catch (error) {
        TypedEmitter.onListenerError(error, event);
      }
    }
  }

  /** The next `event` for which `match` holds. For tests and scripts; never rejects by itself. */
  next<K extends keyof Events>(event: K, match: (value: Events[K]) => boolean = () => true): Promise<Events[K]> {
    return new Promise((resolve) => {
      const off = this.on(event, (value) => {
        if (!match(value)) return;
        off();
        resolve(value);
      });
    });
  }
}
