/**
 * `node test/compose/run.ts [--netns]`: what `docker/run-lab.sh test` runs on the host, with the containers up, or with
 * `--netns` in network namespaces that it makes and removes: every step, and a table at the end. Exit status 0 when all
 * of them passed.
 */
import { dockerHosts } from './docker.ts';
import { type Lab, openLab } from './lab.ts';
import { NamespaceHosts } from './namespaces.ts';
import { type Step, steps } from './steps.ts';

/** A step that takes longer than this hangs. */
const STEP_LIMIT_MS = 120_000;

interface Row {
  readonly title: string;
  readonly ok: boolean;
  readonly seconds: number;
  readonly note: string;
}

const namespaces = process.argv.includes('--netns') ? new NamespaceHosts() : undefined;
const hosts = namespaces ?? dockerHosts;
let lab: Lab | undefined;
const close = async () => {
  await lab?.close();
  await hosts.close();
};
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void close().finally(() => process.exit(1)));
}
await namespaces?.up();
const rows: Row[] = [];
try {
  lab = openLab(hosts);
  for (const step of steps) {
    const row = await attempt(step, lab);
    process.stdout.write(`${row.ok ? 'pass' : 'FAIL'}  ${row.seconds.toFixed(1).padStart(5)} s  ${row.title}\n`);
    rows.push(row);
    // What comes next builds on it.
    if (!row.ok) break;
  }
} finally {
  await close();
}
const failed = rows.filter(({ ok }) => !ok);
process.stdout.write(`\n${table(rows)}\n`);
for (const { title, note } of failed) process.stdout.write(`\n${title}\n${note}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;

async function attempt(step: Step, lab: Lab): Promise<Row> {
  const started = performance.now();
  const { promise, reject } = Promise.withResolvers<never>();
  const limit = setTimeout(() => reject(new Error(`nothing for ${STEP_LIMIT_MS / 1000} s`)), STEP_LIMIT_MS);
  const row = (ok: boolean, note: string) => ({
    title: step.title,
    ok,
    seconds: (performance.now() - started) / 1000,
    note,
  });
  try {
    return row(true, await Promise.race([step.run(lab), promise]));
  } catch (error) {
    return row(false, error instanceof Error ? error.message : String(error));
  } finally {
    clearTimeout(limit);
  }
}

function table(all: readonly Row[]): string {
  const total = all.reduce((sum, { seconds }) => sum + seconds, 0);
  const lines = all.map(
    ({ title, ok, seconds, note }) =>
      `| ${ok ? 'pass' : 'FAIL'} | ${seconds.toFixed(1)} | ${title} | ${ok ? note : 'see below'} |`,
  );
  const passed = all.filter(({ ok }) => ok).length;
  return [
    '| result | s | step | what was seen |',
    '|---|---|---|---|',
    ...lines,
    '',
    `${passed} of ${steps.length} steps passed in ${total.toFixed(1)} s`,
  ].join('\n');
}
