/** Plain integers on the hot path; the admin listener renders them as Prometheus text when asked. */
export interface Counter {
  value: number;
}

export type MetricEntry =
  | { readonly help: string; readonly type: 'counter' | 'gauge'; read(): number }
  | {
      readonly help: string;
      readonly type: 'gaugeBy';
      readonly label: string;
      /** By value of the label. */
      read(): Readonly<Record<string, number>>;
    }
  | {
      readonly help: string;
      readonly type: 'samples';
      readonly kind: 'counter' | 'gauge';
      readonly labels: readonly string[];
      read(): readonly Sample[];
    };

/** One value of a metric that has labels. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The metrics of one process. Names are `imsdc_<room>_<what>[_total]`. */
export class Metrics {
  readonly entries = new Map<string, MetricEntry>();
  readonly #counters = new Map<string, Counter>();
  readonly #refreshers: (() => Promise<void>)[] = [];

  /** Increment `.value`; the same name gives the same counter. */
  counter(name: string, help: string): Counter {
    const known = this.#counters.get(name);
    if (known) return known;
    const counter: Counter = { value: 0 };
    this.#counters.set(name, counter);
    this.entries.set(name, { help, type: 'counter', read: () => counter.value });
    return counter;
  }

  /** A counter that is kept elsewhere; read when scraped. */
  total(name: string, help: string, read: () => number): void {
    this.entries.set(name, { help, type: 'counter', read });
  }

  /** Read when scraped. */
  gauge(name: string, help: string, read: () => number): void {
    this.entries.set(name, { help, type: 'gauge', read });
  }

  /** One value for each value of a label; read when scraped. */
  gaugeBy(name: string, help: string, label: string, read: () => Readonly<Record<string, number>>): void {
    this.entries.set(name, { help, type: 'gaugeBy', label, read });
  }

  /** Figures of several sources under one name, told apart by labels; read when scraped. */
  samples(
    name: string,
    help: string,
    { kind, labels }: { readonly kind: 'counter' | 'gauge'; readonly labels: readonly string[] },
    read: () => readonly Sample[],
  ): void {
    this.entries.set(name, { help, type: 'samples', kind, labels, read });
  }

  /** For figures that somebody else keeps: `refresh` is awaited before each scrape. */
  beforeScrape(refresh: () => Promise<void>): void {
    this.#refreshers.push(refresh);
  }

  /** Never rejects: a source that cannot answer leaves its figures as they were. */
  async refresh(): Promise<void> {
    await Promise.allSettled(this.#refreshers.map((refresh) => refresh()));
  }
}
