import { ImsdcError } from '../../errors.ts';
import type { WorkerPayloadPort } from './payload-port.ts';
import type { EntryTrace } from './trace.ts';
import type { AssociationStateName, FlowOptions } from './types.ts';
import type { HandleRef, WorkerProcess } from './worker-process.ts';

/** One key of the MF: an association or a flow in one worker. */
export interface Entry<Local = unknown> extends HandleRef {
  readonly key: string;
  readonly group: string;
  readonly worker: WorkerProcess;
  readonly kind: 'association' | 'flow';
  /** The answer to RESERVE or FLOW, the same for every caller. */
  local: Promise<Local>;
  state: AssociationStateName;
  readonly ports: Map<number, WorkerPayloadPort>;
  /** Of a flow: what FLOW was told last. */
  flow: FlowOptions | null;
  trace: EntryTrace | null;
  /** RELEASE is on its way: nothing of this handle is of interest any more. */
  releasing: boolean;
}

/** Keys, groups and handles of one engine. A group stays with its worker while it has entries. */
export class Entries {
  readonly #byKey = new Map<string, Entry>();
  readonly #byHandle = new Map<WorkerProcess, Map<number, Entry>>();
  readonly #groups = new Map<string, { readonly worker: WorkerProcess; size: number }>();

  get size(): number {
    return this.#byKey.size;
  }

  all(): Iterable<Entry> {
    return this.#byKey.values();
  }

  keys(): string[] {
    return [...this.#byKey.keys()];
  }

  find(key: string): Entry | undefined {
    return this.#byKey.get(key);
  }

  /** @throws MEDIA_UNKNOWN_KEY */
  get(key: string, kind: Entry['kind']): Entry {
    const entry = this.#byKey.get(key);
    if (entry?.kind !== kind) throw new ImsdcError('MEDIA_UNKNOWN_KEY', { key });
    return entry;
  }

  /** The live owner of a handle; none when the frame is late. */
  owner(worker: WorkerProcess, ref: HandleRef): Entry | undefined {
    const entry = this.#byHandle.get(worker)?.get(ref.handle);
    return entry?.generation === ref.generation ? entry : undefined;
  }

  workerOf(group: string): WorkerProcess | undefined {
    return this.#groups.get(group)?.worker;
  }

  add(entry: Entry): void {
    this.#byKey.set(entry.key, entry);
    let handles = this.#byHandle.get(entry.worker);
    if (!handles) this.#byHandle.set(entry.worker, (handles = new Map()));
    handles.set(entry.handle, entry);
    const group = this.#groups.get(entry.group);
    if (group) group.size++;
    else this.#groups.set(entry.group, { worker: entry.worker, size: 1 });
  }

  remove(entry: Entry): void {
    if (this.#byKey.get(entry.key) !== entry) return;
    this.#byKey.delete(entry.key);
    this.#byHandle.get(entry.worker)?.delete(entry.handle);
    const group = this.#groups.get(entry.group);
    if (group && --group.size === 0) this.#groups.delete(entry.group);
  }

  /** Removes and returns what lived in `worker`. */
  removeAll(worker: WorkerProcess): Entry[] {
    const entries = [...(this.#byHandle.get(worker)?.values() ?? [])];
    for (const entry of entries) this.remove(entry);
    this.#byHandle.delete(worker);
    return entries;
  }
}
