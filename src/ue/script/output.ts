/** One line of what happened. `at` is epoch milliseconds with fractions, on the clock that all our processes share. */
export type OutputRecord = { readonly at: number } & (
  | { readonly event: string; readonly [detail: string]: unknown }
  | { readonly result: string; readonly ok: boolean; readonly ms: number; readonly [detail: string]: unknown }
);

export interface Output {
  write(record: OutputRecord): void;
}

export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** One JSON object per line: for programs. */
export class JsonOutput implements Output {
  readonly #stream: NodeJS.WritableStream;

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream;
  }

  write(record: OutputRecord): void {
    this.#stream.write(`${JSON.stringify(record)}\n`);
  }
}

/** Details that only programs want. */
const LONG_DETAILS = new Set(['local', 'remote', 'invite', 'body', 'at', 'farFingerprint', 'serviceRoute']);

/** One readable line per record. */
export class HumanOutput implements Output {
  readonly #stream: NodeJS.WritableStream;
  readonly #startedMs = nowMs();

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream;
  }

  write(record: OutputRecord): void {
    const time = `${((record.at - this.#startedMs) / 1000).toFixed(3)}`.padStart(8);
    const { at: _, ...rest } = record;
    if ('result' in rest) {
      const { result, ok, ms, ...details } = rest;
      this.#stream.write(
        `${time}  ${ok ? 'ok  ' : 'FAIL'} ${String(result)} (${Math.round(Number(ms))} ms)${text(details)}\n`,
      );
    } else {
      const { event, ...details } = rest;
      this.#stream.write(`${time}   *   ${String(event)}${text(details)}\n`);
    }
  }
}

function text(details: Readonly<Record<string, unknown>>): string {
  const shown = Object.entries(details).filter(([name, value]) => !LONG_DETAILS.has(name) && value !== undefined);
  const parts = shown.map(
    ([name, value]) => `${name}=${typeof value === 'string' && isPlain(value) ? value : JSON.stringify(value)}`,
  );
  return parts.length === 0 ? '' : `  ${parts.join('  ')}`;
}

/** Fits on the line as it is. */
function isPlain(value: string): boolean {
  return !/[\x00-\x1f\x7f]/.test(value);
}
