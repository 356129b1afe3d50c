import type { Logger } from '../../base/log.ts';
import { ImsdcError } from '../../errors.ts';
import type { FlowEndpoints, LocalEndpoint, MediaEngine, StreamSpec } from '../engine/types.ts';
import type { PortPool } from '../ports.ts';
import type { DesiredFlow } from './desired.ts';
import { engineError, reasonOf } from './engine-error.ts';
import type { Held, HeldAssociation, HeldFlow, HeldSink } from './held.ts';
import type { Plan, PrepareStep, ShapeStep, StartStep } from './plan.ts';
import type { ApplicationPort, BootstrapPort } from './service-port.ts';

export interface ExecutorOptions {
  readonly engine: MediaEngine;
  readonly ports: PortPool;
  readonly bindAddress: string;
  /** Towards DC ASs. */
  readonly mdc2BindAddress: string;
  readonly bootstrap: BootstrapPort;
  readonly application: ApplicationPort;
  readonly log: Logger;
}

/** Somebody else may have bound ports of our range, another MF of the same machine above all; so many are tried. */
const MAX_PORT_ATTEMPTS = 32;

/**
 * Executes plans: all of a plan, or, when a step fails, none of it. Steps of one stage run at the same time; each
 * done step leaves its undoing behind. Rejects with MF_NO_PORTS, MF_NO_STREAMS, MF_NO_WORKER or MF_ENGINE_FAILED.
 */
export class Executor {
  readonly #options: ExecutorOptions;

  constructor(options: ExecutorOptions) {
    this.#options = options;
  }

  async execute(group: string, held: Held, plan: Plan): Promise<Held> {
    const run = new Run(this.#options, group, held, plan);
    try {
      await run.stage(plan.prepare, (step) => run.prepare(step));
      await run.stage(plan.shape, (step) => run.shape(step));
      await run.stage(plan.start, (step) => run.start(step));
    } catch (error) {
      await run.rollBack();
      throw engineError(error);
    }
    await Promise.all(plan.release.map((key) => run.release(key)));
    return run.result();
  }

  /** Ends one key outside a plan: its association has failed. Never rejects. */
  async release(held: Held, key: string): Promise<Held> {
    await releaseInEngine(this.#options, key);
    return this.forget(held, new Set([key]));
  }

  /** Closes streams whose far end is gone. Never rejects: the association may be gone itself. */
  async resetStreams(key: string, streamIds: readonly number[], reason: string): Promise<void> {
    const { engine, log } = this.#options;
    const resets = await Promise.allSettled(streamIds.map((streamId) => engine.resetStream({ key, streamId }, reason)));
    for (const reset of resets) {
      if (reset.status === 'rejected') log.debug({ key, reason: (reset.reason as Error).message }, 'no reset');
    }
  }

  /** What the engine has lost already: ports rest, and what served its streams ends. */
  forget(held: Held, keys: ReadonlySet<string>): Held {
    const locals = new Map(held.locals);
    const flowLocals = new Map(held.flowLocals);
    for (const key of keys) forgetKey(this.#options, { locals, flowLocals }, key);
    return { ...held, locals, flowLocals };
  }
}

async function releaseInEngine({ engine, log }: ExecutorOptions, key: string): Promise<void> {
  try {
    await engine.release(key);
  } catch (error) {
    log.warn({ key, reason: (error as Error).message }, 'media engine did not release');
  }
}

interface Locals {
  readonly locals: Map<string, LocalEndpoint>;
  readonly flowLocals: Map<string, FlowEndpoints>;
}

/** Gives the port back, unless another branch still uses it (R20). */
function forgetKey(
  { application, bootstrap, ports }: ExecutorOptions,
  { locals, flowLocals }: Locals,
  key: string,
): void {
  bootstrap.endAll(key);
  application.endAll(key);
  const local = locals.get(key);
  locals.delete(key);
  if (local && ![...locals.values()].some((other) => other.port === local.port)) ports.free(local.port);
  const flow = flowLocals.get(key);
  flowLocals.delete(key);
  if (flow) for (const side of [flow.a, flow.b]) ports.free(side.port);
}

class Run {
  readonly #options: ExecutorOptions;
  readonly #group: string;
  readonly #held: Held;
  readonly #plan: Plan;
  readonly #locals: Map<string, LocalEndpoint>;
  readonly #flowLocals: Map<string, FlowEndpoints>;
  readonly #undo: (() => Promise<unknown>)[] = [];
  /** Streams that the engine would not open, by key. */
  readonly #refused = new Map<string, ReadonlySet<number>>();

  constructor(options: ExecutorOptions, group: string, held: Held, plan: Plan) {
    this.#options = options;
    this.#group = group;
    this.#held = held;
    this.#plan = plan;
    this.#locals = new Map(held.locals);
    this.#flowLocals = new Map(held.flowLocals);
  }

  /** All steps settle before a failure is reported: nothing may still be running when the undoing begins. */
  async stage<S>(steps: readonly S[], run: (step: S) => Promise<void>): Promise<void> {
    if (steps.length === 0) return;
    const outcomes = await Promise.allSettled(steps.map(run));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed) throw failed.reason;
  }

  prepare(step: PrepareStep): Promise<void> {
    return step.do === 'flow' ? this.#flow(step.key, step.flow) : this.#reserve(step);
  }

  async #reserve(step: Extract<PrepareStep, { do: 'reserve' }>): Promise<void> {
    const { engine } = this.#options;
    const { key, ice, mdc2, sharesPortOf } = step;
    const bindAddress = this.#bindAddress(mdc2);
    const shared = sharesPortOf === undefined ? undefined : this.#locals.get(sharesPortOf);
    if (shared && sharesPortOf !== undefined) {
      // R20: an engine that cannot tell branches apart serves the newest one.
      if (!engine.capabilities.forking) await engine.release(sharesPortOf);
      const share = engine.capabilities.forking ? { sharesPortOf } : {};
      const local = await engine.reserve(key, this.#group, { bindAddress, port: shared.port, ice, ...share });
      this.#locals.set(key, local);
    } else {
      const local = await this.#withPorts(1, ([port]) =>
        engine.reserve(key, this.#group, { bindAddress, port: port!, ice }),
      );
      this.#locals.set(key, local);
    }
    this.#undo.push(() => this.release(key));
  }

  async #flow(key: string, { a, b, ice }: DesiredFlow): Promise<void> {
    const { engine, bindAddress } = this.#options;
    const bindB = this.#bindAddress(b.entries.length === 0);
    const local = await this.#withPorts(2, ([portA, portB]) =>
      engine.flow(key, this.#group, {
        a: { bindAddress, port: portA!, remote: a.remote },
        b: { bindAddress: bindB, port: portB!, remote: b.remote },
        ice,
      }),
    );
    this.#flowLocals.set(key, local);
    this.#undo.push(() => this.release(key));
  }

  #bindAddress(mdc2: boolean): string {
    return mdc2 ? this.#options.mdc2BindAddress : this.#options.bindAddress;
  }

  /** `count` ports of our range for `bind`; other ones for each attempt, for any of them may be somebody else's. */
  async #withPorts<T>(count: number, bind: (ports: readonly number[]) => Promise<T>): Promise<T> {
    const { ports } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const taken: number[] = [];
      try {
        while (taken.length < count) taken.push(takePort(ports));
        return await bind(taken);
      } catch (error) {
        for (const port of taken) ports.free(port);
        if (reasonOf(error) !== 'PORT_UNAVAILABLE' || attempt === MAX_PORT_ATTEMPTS) throw error;
      }
    }
  }

  async shape(step: ShapeStep): Promise<void> {
    const { engine } = this.#options;
    switch (step.do) {
      case 'streams': {
        const outcomes = await engine.setStreams(step.key, step.streams);
        this.#undoIfHeld(step.key, () => engine.setStreams(step.key, step.before));
        const refused = outcomes.filter(({ result }) => result !== 'ok');
        if (refused.length > 0 && refused.length === step.streams.length) {
          throw new ImsdcError('MF_NO_STREAMS', { param: step.pointer, reason: refused[0]!.result });
        }
        this.#refused.set(step.key, new Set(refused.map(({ streamId }) => streamId)));
        return;
      }
      case 'route': {
        const { key, streamId, sink, before } = step;
        await this.#route(key, streamId, sink);
        this.#undoIfHeld(key, () => this.#route(key, streamId, before));
        return;
      }
      case 'update':
        await engine.update(step.key, step.change);
        this.#undo.push(() => engine.update(step.key, step.before));
        return;
      case 'updateFlow': {
        const change = (flow: DesiredFlow | HeldFlow) => this.#updateFlow(step.key, flow);
        await change(step.flow);
        this.#undo.push(() => change(step.before));
      }
    }
  }

  async start({ key, remote }: StartStep): Promise<void> {
    await this.#options.engine.start(key, remote);
    const before = [...this.#held.associations.values()].find((association) => association.key === key);
    // A start cannot be taken back. What was reserved before this plan is reserved anew on the same port.
    if (before) this.#undo.push(() => this.#reserveAgain(before));
  }

  async release(key: string): Promise<void> {
    await releaseInEngine(this.#options, key);
    forgetKey(this.#options, { locals: this.#locals, flowLocals: this.#flowLocals }, key);
  }

  /** Undoes what was done, last first. A step that cannot be undone is logged: the context then loses that stream. */
  async rollBack(): Promise<void> {
    for (const undo of this.#undo.reverse()) {
      try {
        await undo();
      } catch (error) {
        this.#options.log.warn({ group: this.#group, reason: (error as Error).message }, 'media engine: undo failed');
      }
    }
  }

  result(): Held {
    const associations = new Map<string, HeldAssociation>();
    for (const [id, association] of this.#plan.associations) {
      const refused = this.#refused.get(association.key);
      const more = refused?.size ? { refused: new Set([...association.refused, ...refused]) } : {};
      associations.set(id, { ...association, ...more });
    }
    return { associations, flows: this.#plan.flows, locals: this.#locals, flowLocals: this.#flowLocals };
  }

  async #route(key: string, streamId: number, sink: HeldSink): Promise<void> {
    const { application, engine, bootstrap } = this.#options;
    const from = { key, streamId };
    if (sink.kind === 'http' || sink.kind === 'mdc2') {
      if (sink.kind === 'http') bootstrap.serve(from, sink);
      else application.serve(from, sink);
      await engine.route(from, { kind: 'payload' });
      return;
    }
    if (sink.kind === 'stream') await engine.route(from, { kind: 'stream', to: { key: sink.key, streamId } });
    else await engine.route(from, sink);
    bootstrap.end(from);
    application.end(from);
  }

  #updateFlow(key: string, { a, b, ice }: DesiredFlow | HeldFlow): Promise<void> {
    const { engine, bindAddress } = this.#options;
    const local = this.#flowLocals.get(key)!;
    return engine.updateFlow(key, {
      a: { bindAddress, port: local.a.port, remote: a.remote },
      b: { bindAddress: this.#bindAddress(b.entries.length === 0), port: local.b.port, remote: b.remote },
      ice,
    });
  }

  async #reserveAgain(before: HeldAssociation): Promise<void> {
    const { engine } = this.#options;
    const { key, ice, mdc2Of, streams, routes } = before;
    const bindAddress = this.#bindAddress(mdc2Of !== undefined);
    const { port } = this.#held.locals.get(key)!;
    await engine.release(key);
    await engine.reserve(key, this.#group, { bindAddress, port, ice });
    await engine.setStreams(key, streams as StreamSpec[]);
    for (const [streamId, sink] of routes) await this.#route(key, streamId, sink);
  }

  /** What this plan reserved is released as a whole, not restored bit by bit. */
  #undoIfHeld(key: string, undo: () => Promise<unknown>): void {
    if (this.#held.locals.has(key)) this.#undo.push(undo);
  }
}

function takePort(ports: PortPool): number {
  const port = ports.take();
  if (port === undefined) throw new ImsdcError('MF_NO_PORTS', { taken: ports.taken, resting: ports.resting });
  return port;
}
