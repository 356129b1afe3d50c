interface Line {
  readonly atMs: number;
  readonly from: string;
  readonly to: string;
  readonly text: string;
  readonly wire: string;
}

/** What happened in one seed, to be drawn as a ladder when an invariant breaks. */
export class Trace {
  readonly lines: Line[] = [];
  readonly #startMs: number;

  constructor(startMs: number) {
    this.#startMs = startMs;
  }

  message(atMs: number, from: string, to: string, wire: string, copies: number): void {
    const fate = copies === 0 ? ' (lost)' : copies > 1 ? ' (twice)' : '';
    this.lines.push({ atMs, from, to, text: fate, wire });
  }

  event(atMs: number, from: string, to: string, text: string): void {
    this.lines.push({ atMs, from, to, text, wire: '' });
  }

  /** One line per message: time, who to whom, start line, CSeq, m-lines. */
  ladder(bodies = false): string {
    return this.lines
      .map(({ atMs, from, to, text, wire }) => {
        const what = wire === '' ? text : summary(wire) + text;
        const body = bodies && wire !== '' ? `\n${indent(wire.slice(wire.indexOf('\r\n\r\n') + 4))}` : '';
        return `${String(atMs - this.#startMs).padStart(7)}  ${from.padEnd(5)} -> ${to.padEnd(5)}  ${what}${body}`;
      })
      .join('\n');
  }
}

function summary(wire: string): string {
  const start = wire
    .slice(0, wire.indexOf('\r\n'))
    .replace(/ SIP\/2\.0$/, '')
    .replace(/^SIP\/2\.0 /, '');
  const cseq = /\r\nCSeq: (.*)\r\n/i.exec(wire)?.[1] ?? '';
  const tag = /\r\nTo:.*;tag=(\S+)/i.exec(wire)?.[1];
  const media = [...wire.matchAll(/^m=(\S+) (\d+).*$/gm)].map((m) => `${m[1]}:${m[2]}`).join(' ');
  return `${start}  [${cseq}]${tag === undefined ? '' : ` to-tag ${tag.slice(-6)}`}${media === '' ? '' : `  {${media}}`}`;
}

function indent(text: string): string {
  return text
    .trimEnd()
    .split('\r\n')
    .map((line) => `                              ${line}`)
    .join('\n');
}
