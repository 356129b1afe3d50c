import { createInterface } from 'node:readline';
import { TypedEmitter } from '../../base/emitter.ts';
import { ImsdcError } from '../../errors.ts';
import { LabChild } from './child.ts';

export interface UeRecord {
  readonly at: number;
  readonly [detail: string]: unknown;
}

export interface UeResult extends UeRecord {
  readonly result: string;
  readonly ok: boolean;
  readonly ms: number;
}

export interface UeEvent extends UeRecord {
  readonly event: string;
}

export interface UeProcessEvents {
  event: UeEvent;
}

/**
 * One UE in a process of its own (its media library can abort its process), driven over the same script language that
 * people use: a line in, a result line out, events between them.
 */
export class UeProcess extends TypedEmitter<UeProcessEvents> {
  readonly name: string;
  readonly child: LabChild;
  /** Everything it said, for reports. */
  readonly events: UeEvent[] = [];
  readonly #waiting: { line: string; resolve: (result: UeResult) => void; reject: (error: Error) => void }[] = [];

  constructor(options: {
    name: string;
    directory: string;
    args: readonly string[];
    program?: readonly [string, ...string[]];
  }) {
    super();
    this.name = options.name;
    this.child = new LabChild({
      name: options.name,
      directory: options.directory,
      ...(options.program ? { program: options.program } : {}),
      args: ['ue', '--json', '--keep-going', ...options.args],
      speaks: 'pipe',
    });
    const lines = createInterface({ input: this.child.process.stdout! });
    lines.on('line', (line) => this.#onLine(line));
    this.child.on('died', (error) => {
      for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
    });
  }

  /** Runs one script line. Rejects LAB_UE with what the UE says is wrong, LAB_PROCESS when it is gone. */
  run(line: string): Promise<UeResult> {
    if (this.child.death) return Promise.reject(this.child.death);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ line, resolve, reject });
      this.child.process.stdin!.write(`${line}\n`);
    });
  }

  /** The newest event of that name so far, or the next one. */
  async event(name: string, match: (event: UeEvent) => boolean = () => true): Promise<UeEvent> {
    const known = this.events.findLast((event) => event.event === name && match(event));
    return known ?? (await this.next('event', (event) => event.event === name && match(event)));
  }

  #onLine(line: string): void {
    const record = JSON.parse(line) as UeRecord;
    if ('event' in record) {
      this.events.push(record as UeEvent);
      this.emit('event', record as UeEvent);
      return;
    }
    const waiting = this.#waiting.shift();
    const result = record as UeResult;
    if (!waiting) return;
    if (result.ok) waiting.resolve(result);
    else waiting.reject(new ImsdcError('LAB_UE', { name: this.name, line: waiting.line, problem: result.problem }));
  }
}
