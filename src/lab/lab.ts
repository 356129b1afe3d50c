import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderHtml } from './report/html.ts';
import { renderLadder } from './report/ladder.ts';
import { UNKNOWN_UE_ARGS } from './scenario/call-steps.ts';
import { SCENARIO } from './scenario/index.ts';
import { runSteps, type Step, type StepReport } from './scenario/step.ts';
import { LANES, startWorld, type World, type WorldOptions } from './world.ts';

export interface LabReport {
  readonly ok: boolean;
  readonly totalMs: number;
  /** Id of the step that failed. */
  readonly failed?: string;
  readonly problem?: string;
  readonly steps: readonly StepReport[];
  readonly sipMessages: number;
  /** The ladder diagram, a self-contained page. */
  readonly ladder: string;
}

export interface LabOptions extends Omit<WorldOptions, 'startedMs'> {
  readonly steps?: readonly Step[];
  readonly onStep?: (report: StepReport) => void;
}

export interface RunningLab {
  readonly world: World;
  readonly report: LabReport;
  /** The same diagram for a terminal of that many columns. */
  ladderText(columns: number): string;
}

/** Starts everything, makes the call, and leaves the lab running: the caller closes `world`. */
export async function runLab(options: LabOptions = {}): Promise<RunningLab> {
  const startedMs = performance.timeOrigin + performance.now();
  const onStep = options.onStep ?? (() => undefined);
  const extra = (own: readonly string[] = []) => [...UNKNOWN_UE_ARGS, ...own];
  const world = await startWorld({
    dcAs: true,
    ...options,
    startedMs,
    ueArgs: { alice: extra(options.ueArgs?.alice), bob: extra(options.ueArgs?.bob) },
  });
  const upMs = Math.round(performance.timeOrigin + performance.now() - startedMs);
  const up: StepReport = {
    id: 'start',
    title: 'Network functions and UEs are up',
    ok: true,
    atMs: 0,
    ms: upMs,
    note: `IMS AS ${world.applicationServer}, S-CSCF ${world.proxyUri}${world.dcAs === null ? '' : `, DC AS ${world.dcAs}`}`,
  };
  onStep(up);
  const steps = [up, ...(await runSteps(options.steps ?? SCENARIO, world, { startedMs, onStep }))];
  const failed = steps.find((step) => !step.ok);
  const ladder = join(world.files.directory, 'call.html');
  writeFileSync(ladder, renderHtml('IMS data channel call', LANES, world.trace.sorted()));
  const report: LabReport = {
    ok: !failed,
    totalMs: Math.round(performance.timeOrigin + performance.now() - startedMs),
    ...(failed ? { failed: failed.id, problem: failed.note } : {}),
    steps,
    sipMessages: world.messages.length,
    ladder,
  };
  return { world, report, ladderText: (columns) => renderLadder(LANES, world.trace.sorted(), columns) };
}
