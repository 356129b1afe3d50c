import { ImsdcError } from '../../errors.ts';
import type { World } from '../world.ts';

export interface StepOutcome {
  /** What a person wants to read beside the title. */
  readonly note: string;
  /** What a program wants to check. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** One thing the lab shows. It throws LAB_CHECK when what it saw is not what must be. */
export interface Step {
  readonly id: string;
  readonly title: string;
  run(world: World): Promise<StepOutcome>;
}

export interface StepReport {
  readonly id: string;
  readonly title: string;
  readonly ok: boolean;
  /** Since the lab was started. */
  readonly atMs: number;
  readonly ms: number;
  readonly note: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** A step that takes longer than this hangs. */
const STEP_LIMIT_MS = 60_000;

/** Runs steps one after the other until one fails or a process of the lab ends. Never rejects. */
export async function runSteps(
  steps: readonly Step[],
  world: World,
  options: { readonly startedMs: number; onStep(report: StepReport): void },
): Promise<StepReport[]> {
  const reports: StepReport[] = [];
  for (const step of steps) {
    const beginMs = nowMs();
    world.trace.add({ kind: 'step', atMs: world.trace.since(beginMs), text: step.title });
    const report = await outcome(step, world, beginMs, options.startedMs);
    reports.push(report);
    options.onStep(report);
    if (!report.ok) break;
  }
  return reports;
}

async function outcome(step: Step, world: World, beginMs: number, startedMs: number): Promise<StepReport> {
  const { promise, reject } = Promise.withResolvers<never>();
  const limit = setTimeout(
    () => reject(new ImsdcError('LAB_CHECK', { what: step.title, problem: `nothing for ${STEP_LIMIT_MS / 1000} s` })),
    STEP_LIMIT_MS,
  );
  const base = { id: step.id, title: step.title, atMs: Math.round(beginMs - startedMs) };
  const ms = () => Math.round(nowMs() - beginMs);
  try {
    const { note, details } = await Promise.race([step.run(world), world.failure, promise]);
    return { ...base, ok: true, ms: ms(), note, ...(details ? { details } : {}) };
  } catch (error) {
    return { ...base, ok: false, ms: ms(), note: error instanceof Error ? error.message : String(error) };
  } finally {
    clearTimeout(limit);
  }
}

function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
