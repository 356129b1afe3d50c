import type { MetricEntry, Metrics, Sample } from '../../base/metrics.ts';
import type { MetricSnapshot } from './types.ts';

/**
 * The status of several workers as that of one: numbers are added, flags hold when one holds, lists of named things are
 * joined by name. What else differs is the first one's.
 */
export function sumStatus(values: readonly unknown[]): unknown {
  const known = values.filter((value) => value !== undefined && value !== null);
  const [first] = known;
  if (typeof first === 'number') return known.reduce((sum: number, value) => sum + Number(value), 0);
  if (typeof first === 'boolean') return known.some((value) => value === true);
  if (Array.isArray(first)) return joined(known.flatMap((value) => (Array.isArray(value) ? value : [])));
  if (typeof first !== 'object' || first === null) return first;
  const keys = new Set(known.flatMap((value) => Object.keys(value as object)));
  return Object.fromEntries(
    [...keys].map((key) => [key, sumStatus(known.map((value) => (value as Record<string, unknown>)[key]))]),
  );
}

function joined(items: readonly unknown[]): unknown[] {
  const byName = new Map<unknown, unknown[]>();
  for (const item of items) {
    const name = typeof item === 'object' && item !== null && 'name' in item ? item.name : item;
    byName.set(name, [...(byName.get(name) ?? []), item]);
  }
  return [...byName.values()].map((same) => sumStatus(same));
}

/** Everything that this process counts, as it is now. */
export async function snapshotOf(metrics: Metrics): Promise<MetricSnapshot[]> {
  await metrics.refresh();
  return [...metrics.entries].map(([name, entry]) => ({
    name,
    help: entry.help,
    kind: entry.type === 'counter' || (entry.type === 'samples' && entry.kind === 'counter') ? 'counter' : 'gauge',
    samples: samplesOf(entry),
  }));
}

function samplesOf(entry: MetricEntry): readonly Sample[] {
  switch (entry.type) {
    case 'samples':
      return entry.read();
    case 'gaugeBy':
      return Object.entries(entry.read()).map(([value, number]) => ({
        labels: { [entry.label]: value },
        value: number,
      }));
    default:
      return [{ labels: {}, value: entry.read() }];
  }
}

/** Shows the metrics of all workers under their own names with the label `worker`; the sum is Prometheus' affair. */
export class WorkerMetrics {
  readonly #metrics: Metrics;
  #shown = new Map<string, Sample[]>();

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  /** What all workers said for this scrape, by worker. Names that the process itself uses are left out. */
  show(snapshots: ReadonlyMap<string, readonly MetricSnapshot[]>): void {
    const shown = new Map<string, Sample[]>();
    for (const [worker, metrics] of snapshots) {
      for (const { name, help, kind, samples } of metrics) {
        const labelled = samples.map(({ labels, value }) => ({ labels: { worker, ...labels }, value }));
        const known = shown.get(name);
        if (known === undefined) shown.set(name, labelled);
        else known.push(...labelled);
        if (this.#metrics.entries.has(name)) continue;
        const labels = ['worker', ...Object.keys(samples[0]?.labels ?? {})];
        this.#metrics.samples(name, help, { kind, labels }, () => this.#shown.get(name) ?? []);
      }
    }
    this.#shown = shown;
  }
}
