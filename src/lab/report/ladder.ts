import type { TraceArrow, TraceEvent, TraceNote } from './trace.ts';

const LANE_WIDTH = 30;
const TIME_WIDTH = 9;

/** The call as text: one column per party, one row per message. */
export function renderLadder(lanes: readonly string[], events: readonly TraceEvent[]): string {
  const rows = [' '.repeat(TIME_WIDTH) + lanes.map((lane) => centre(lane, LANE_WIDTH)).join('')];
  for (const event of events) {
    const time = `${(event.atMs / 1000).toFixed(3)} `.padStart(TIME_WIDTH);
    switch (event.kind) {
      case 'step':
        rows.push(`${' '.repeat(TIME_WIDTH)}${poles(lanes.length)}`);
        rows.push(`${time}── ${event.text} `.padEnd(TIME_WIDTH + lanes.length * LANE_WIDTH, '─'));
        break;
      case 'arrow':
        if (!event.minor) rows.push(time + arrowRow(lanes, event));
        break;
      case 'note':
        rows.push(time + noteRow(lanes, event));
        break;
      default:
        event satisfies never;
    }
  }
  return rows.map((row) => row.trimEnd()).join('\n');
}

const pole = (lane: number): number => lane * LANE_WIDTH + LANE_WIDTH / 2;

function poles(count: number): string {
  const row = Array<string>(count * LANE_WIDTH).fill(' ');
  for (let lane = 0; lane < count; lane++) row[pole(lane)] = '│';
  return row.join('');
}

function arrowRow(lanes: readonly string[], arrow: TraceArrow): string {
  const from = pole(lanes.indexOf(arrow.from));
  const to = pole(lanes.indexOf(arrow.to));
  const left = Math.min(from, to) + 1;
  const width = Math.abs(to - from) - 1;
  if (width < 4) return poles(lanes.length);
  const label = clip(arrow.summary ? `${arrow.label} · ${arrow.summary}` : arrow.label, width - 4);
  const line = centre(` ${label} `, width - 1, '─');
  return splice(poles(lanes.length), left, to > from ? `${line}>` : `<${line}`);
}

function noteRow(lanes: readonly string[], note: TraceNote): string {
  const columns = note.lanes.map((lane) => pole(lanes.indexOf(lane)));
  const left = Math.min(...columns);
  const right = Math.max(...columns);
  if (left === right) {
    const text = ` ${note.text} `;
    // A note beside the last lane goes to its left, all others to the right.
    const last = left === pole(lanes.length - 1);
    return splice(poles(lanes.length), last ? Math.max(0, left - text.length) : left + 1, text);
  }
  return splice(poles(lanes.length), left + 1, centre(` ${clip(note.text, right - left - 5)} `, right - left - 1, '═'));
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
