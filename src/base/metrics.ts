/** Plain integers on the hot path; the admin listener renders them as Prometheus text when asked. */
export interface Counter {
  value: number;
}

interface Entry {
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  read(): number;
}

/** The metrics of one process. Names are `imsdc_<room>_<what>[_total]`. */
export class Metrics {
  readonly entries = new Map<string, Entry>();

  /** Increment `.value`; the same name gives the same counter. */
  counter(name: string, help: string): Counter {
    const known = this.#counters.get(name);
    if (known) return known;
    const counter: Counter = { value: 0 };
    this.#counters.set(name, counter);
    this.entries.set(name, { help, type: 'counter', read: () => counter.value });
    return counter;
  }

  /** Read when scraped. */
  gauge(name: string, help: string, read: () => number): void {
    this.entries.set(name, { help, type: 'gauge', read });
  }

  readonly #counters = new Map<string, Counter>();
}
