import type { TraceArrow, TraceEvent, TraceNote } from './trace.ts';

const LEAST_LANE_WIDTH = 22;
const MOST_LANE_WIDTH = 40;
const TIME_WIDTH = 9;

/** The call as text: one column per party, one row per message. `columns` is the width of the terminal. */
export function renderLadder(lanes: readonly string[], events: readonly TraceEvent[], columns: number): string {
  const ladder = new Ladder(lanes, Math.floor((columns - TIME_WIDTH) / lanes.length));
  return events
    .flatMap((event) => ladder.rows(event))
    .reduce((text, row) => `${text}\n${row.trimEnd()}`, ladder.head());
}

class Ladder {
  readonly #lanes: readonly string[];
  readonly #width: number;

  constructor(lanes: readonly string[], width: number) {
    this.#lanes = lanes;
    this.#width = Math.min(MOST_LANE_WIDTH, Math.max(LEAST_LANE_WIDTH, width));
  }

  head(): string {
    return (' '.repeat(TIME_WIDTH) + this.#lanes.map((lane) => centre(lane, this.#width)).join('')).trimEnd();
  }

  rows(event: TraceEvent): string[] {
    const time = `${(event.atMs / 1000).toFixed(3)} `.padStart(TIME_WIDTH);
    switch (event.kind) {
      case 'step':
        return [
          `${' '.repeat(TIME_WIDTH)}${this.#poles()}`,
          `${time}── ${event.text} `.padEnd(TIME_WIDTH + this.#lanes.length * this.#width, '─'),
        ];
      case 'arrow':
        return event.minor ? [] : [time + this.#arrow(event)];
      case 'note':
        return [time + this.#note(event)];
      default:
        return event satisfies never;
    }
  }

  #pole(lane: string): number {
    return this.#lanes.indexOf(lane) * this.#width + (this.#width >> 1);
  }

  #poles(): string {
    const row = Array<string>(this.#lanes.length * this.#width).fill(' ');
    for (const lane of this.#lanes) row[this.#pole(lane)] = '│';
    return row.join('');
  }

  #arrow(arrow: TraceArrow): string {
    const from = this.#pole(arrow.from);
    const to = this.#pole(arrow.to);
    const left = Math.min(from, to) + 1;
    const width = Math.abs(to - from) - 1;
    const label = clip(arrow.summary ? `${arrow.label} · ${arrow.summary}` : arrow.label, width - 4);
    const line = centre(` ${label} `, width - 1, '─');
    return splice(this.#poles(), left, to > from ? `${line}>` : `<${line}`);
  }

  #note(note: TraceNote): string {
    const columns = note.lanes.map((lane) => this.#pole(lane));
    const left = Math.min(...columns);
    const right = Math.max(...columns);
    const text =
      left === right ? ` ${note.text} ` : centre(` ${clip(note.text, right - left - 5)} `, right - left - 1, '═');
    return splice(this.#poles(), left + 1, text);
  }
}

function splice(row: string, at: number, text: string): string {
  return row.slice(0, at) + text + row.slice(at + text.length);
}

function centre(text: string, width: number, fill = ' '): string {
  const space = Math.max(0, width - text.length);
  return fill.repeat(space >> 1) + text + fill.repeat(space - (space >> 1));
}

function clip(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}
