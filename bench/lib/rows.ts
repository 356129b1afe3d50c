/** One line of a benchmark: ours beside the peer's, measured in the same run. */
export interface BenchRow {
  readonly bench: string;
  readonly row: string;
  readonly ours: number;
  /** Absent where the goal is an absolute figure. */
  readonly peer?: number;
  readonly unit: string;
  /** ours / peer. */
  readonly ratio?: number;
  /** As the issue states it: '<= 2.0 x', '>= 1500'. */
  readonly goal: string;
  readonly met: boolean;
  /** What a reader must know to trust the row. */
  readonly note?: string;
}

export interface BenchOptions {
  /** Short: fewer runs and less time, to see that the rig works. */
  readonly quick: boolean;
  progress(line: string): void;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function percentile(values: readonly number[], fraction: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? Number.NaN;
}

/** Three significant digits, as measurements on a shared machine deserve. */
export function figure(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '-';
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString('en-US') : String(Number(value.toPrecision(3)));
}

export function table(rows: readonly BenchRow[]): string {
  const cells = rows.map((row) => [
    row.bench,
    row.row,
    figure(row.ours),
    figure(row.peer),
    row.unit,
    row.ratio === undefined ? '-' : `${figure(row.ratio)} x`,
    row.goal,
    row.met ? 'met' : 'NOT MET',
  ]);
  const head = ['bench', 'row', 'ours', 'peer', 'unit', 'ratio', 'goal', ''];
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column]!.length)));
  return [head, ...cells]
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
