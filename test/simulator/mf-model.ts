import type { MrmOperation, MrmReply, Outcome } from '../../src/ims-as/call/types.ts';
import type { MediaContext, MediaInfo, PatchItem } from '../../src/services/nmf-mrm.ts';
import type { Random } from './random.ts';
import { Violation } from './violation.ts';

export interface MfBehaviour {
  readonly mode: 'works' | 'down' | 'slow' | 'late' | 'deaf' | 'failsPatch' | 'forgets';
  readonly delayMs: number;
}

export type MfLossKind = 'killed' | 'restarted' | 'cutOff';

/** The MF as Nmf_MRM shows it: contexts with terminations, ports, JSON Patch with its tests. */
export class MfModel {
  readonly contexts = new Map<string, MediaContext>();
  /** A patch that does not fit is answered with 409 as a real MF does; else it is a violation. */
  refusesPatches = false;
  readonly #behaviour: MfBehaviour;
  readonly #random: Random;
  #serial = 0;
  #port = 40_000;
  #patches = 0;
  readonly #seen = new Map<string, Outcome<MrmReply>>();

  /** Its Mb address, and its name. */
  readonly address: string;
  /** `killed`: refuses every connection; `cutOff`: nothing comes back, and what it held it holds. */
  state: 'up' | 'killed' | 'cutOff' = 'up';

  constructor(address: string, behaviour: MfBehaviour, random: Random) {
    this.address = address;
    this.#behaviour = behaviour;
    this.#random = random;
  }

  get works(): boolean {
    return this.#behaviour.mode === 'works';
  }

  /** A process that ends takes its contexts with it; one that is only cut off does not. */
  lose(kind: MfLossKind): void {
    this.state = kind === 'restarted' ? 'up' : kind;
    if (kind === 'cutOff') return;
    this.contexts.clear();
    this.#seen.clear();
  }

  /** Ms until the answer; undefined: it never comes (the client times out). */
  delay(operation: MrmOperation): number | undefined {
    const { mode, delayMs } = this.#behaviour;
    if (this.state === 'cutOff') return undefined;
    if (mode === 'deaf' && operation.method !== 'DELETE') return undefined;
    if (mode === 'late' && operation.method === 'POST') return delayMs + 20_000;
    return this.#random.between(1, delayMs);
  }

  run(operation: MrmOperation): Outcome<MrmReply> {
    const { mode } = this.#behaviour;
    if (this.state !== 'up') return { ok: false, status: 503, detail: 'no connection' };
    if (operation.method === 'DELETE') {
      this.contexts.delete(operation.contextId);
      return { ok: true, value: { mf: this.address } };
    }
    const known = this.#seen.get(operation.idempotencyKey);
    if (known !== undefined) return known;
    if (mode === 'down') return { ok: false, status: 503, detail: 'the MF is down' };
    const outcome =
      operation.method === 'POST' ? this.#create(operation.context) : this.#patch(operation.contextId, operation.patch);
    this.#seen.set(operation.idempotencyKey, outcome);
    return outcome;
  }

  #create(context: MediaContext): Outcome<MrmReply> {
    const contextId = `${this.address}-ctx${this.#serial++}`;
    const held = structuredClone(context);
    for (const termination of held.terminations) for (const media of termination.medias) this.#fill(held, media);
    this.contexts.set(contextId, held);
    return { ok: true, value: { mf: this.address, context: { ...structuredClone(held), contextId } } };
  }

  #patch(contextId: string, patch: readonly PatchItem[]): Outcome<MrmReply> {
    const held = this.contexts.get(contextId);
    this.#patches++;
    if (held === undefined) return { ok: false, status: 404, detail: 'no such context' };
    if (this.#behaviour.mode === 'forgets' && this.#patches > 1) {
      this.contexts.delete(contextId);
      return { ok: false, status: 404, detail: 'the MF forgot' };
    }
    if (this.#behaviour.mode === 'failsPatch') return { ok: false, status: 500, detail: 'the MF fails' };
    const next = structuredClone(held);
    try {
      for (const item of patch) applyItem(next, item);
    } catch (error) {
      // A call that was restored between two states: its tests are there to be refused.
      if (this.refusesPatches && error instanceof Violation) return { ok: false, status: 409, detail: error.message };
      throw error;
    }
    for (const termination of next.terminations) for (const media of termination.medias) this.#fill(next, media);
    if (next.terminations.some((termination) => termination.medias.length === 0))
      throw new Violation('mf', 'a termination without media');
    this.contexts.set(contextId, next);
    return { ok: true, value: { mf: this.address, context: { ...structuredClone(next), contextId } } };
  }

  /** What the MF adds to a media that is new to it, or whose far end begins a new association. */
  #fill(context: MediaContext, media: MediaInfo): void {
    const { dcMedia } = media;
    const flow = dcMedia?.mediaProxyConfig === 'UDP_PROXY';
    const far = dcMedia?.remoteDcEndpoint?.tlsId;
    const before = (media as { farTlsId?: string }).farTlsId;
    if (media.localMbEndpoint === undefined)
      media.localMbEndpoint = { ip: { ipv4Addr: this.address }, transport: 'UDP', portNumber: this.#port++ };
    (media as { farTlsId?: string }).farTlsId = far ?? before;
    if (flow || dcMedia === undefined) return;
    const renewed = before !== undefined && far !== undefined && before !== far;
    if (dcMedia.localDcEndpoint === undefined || renewed) {
      dcMedia.localDcEndpoint = {
        sctpPort: 5000,
        fingerprints: [`SHA-256 ${'AB:'.repeat(31)}AB`],
        tlsId: `mf${this.#random.hex(9)}`,
        securitySetup: 'ACTIVE',
      };
    }
    if (context.terminations.length > 16) throw new Violation('mf', 'too many terminations');
  }
}

function applyItem(context: MediaContext, item: PatchItem): void {
  const path = item.path.split('/').slice(1);
  const last = path.pop()!;
  let parent: unknown = context;
  for (const part of path) parent = (parent as Record<string, unknown>)[part];
  if (parent === undefined || parent === null) throw new Violation('patch', `no parent for ${item.op} ${item.path}`);
  if (Array.isArray(parent)) {
    if (item.op === 'add' && last === '-') parent.push(structuredClone(item.value));
    else if (item.op === 'remove') {
      if (parent.splice(Number(last), 1).length === 0) throw new Violation('patch', `nothing at ${item.path}`);
    } else throw new Violation('patch', `${item.op} ${item.path}`);
    return;
  }
  const object = parent as Record<string, unknown>;
  if (item.op === 'test') {
    if (JSON.stringify(object[last]) !== JSON.stringify(item.value))
      throw new Violation(
        'patch',
        `test failed: ${item.path} is ${JSON.stringify(object[last])}, not ${JSON.stringify(item.value)}`,
      );
  } else if (item.op === 'remove' || item.op === 'replace') {
    if (!(last in object)) throw new Violation('patch', `${item.op} of a missing ${item.path}`);
    if (item.op === 'remove') delete object[last];
    else object[last] = structuredClone(item.value);
  } else if (item.op === 'add') object[last] = structuredClone(item.value);
  else throw new Violation('patch', item.op);
}
