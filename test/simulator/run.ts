import { parseArgs } from 'node:util';
import { simulate } from './simulate.ts';

/**
 * `node test/simulator/run.ts [--crashes] [--seeds n] [--from n] [--seed n [--bodies]]`: runs seeds; of one seed, or of the first
 * that breaks an invariant, draws the ladder.
 */
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '5000' },
    from: { type: 'string', default: '0' },
    seed: { type: 'string' },
    bodies: { type: 'boolean', default: false },
    keepGoing: { type: 'boolean', default: false },
    crashes: { type: 'boolean', default: false },
  },
});

if (values.seed !== undefined) {
  const result = await simulate(Number(values.seed), {}, undefined, values);
  process.stdout.write(
    `${result.trace.ladder(values.bodies)}\n${JSON.stringify(result.scenario)}\n${result.outcome}\n${result.violation?.message ?? 'all invariants hold'}\n`,
  );
  process.exitCode = result.violation === undefined ? 0 : 1;
} else {
  const from = Number(values.from);
  const count = Number(values.seeds);
  const started = performance.now();
  const broken = new Map<string, number[]>();
  let established = 0;
  let checked = 0;
  let [reanchored, givenUp, afterLoss] = [0, 0, 0];
  for (let seed = from; seed < from + count; seed++) {
    const result = await simulate(seed, {}, undefined, values);
    if (result.outcome.startsWith('established')) established++;
    checked += result.checkedContexts;
    reanchored += result.reanchored;
    givenUp += result.givenUp;
    afterLoss += result.checkedAfterLoss;
    if (result.violation === undefined) continue;
    const kind = result.violation.message.slice(0, 90).replace(/\d+/g, '#');
    broken.set(kind, [...(broken.get(kind) ?? []), seed]);
    if (!values.keepGoing) {
      process.stdout.write(`${result.trace.ladder(values.bodies)}\nseed ${seed}: ${result.violation.message}\n`);
      break;
    }
  }
  for (const [kind, seeds] of broken)
    process.stdout.write(`${seeds.length} x ${kind} (seeds ${seeds.slice(0, 8).join(' ')})\n`);
  const seconds = (performance.now() - started) / 1000;
  process.stdout.write(
    `${count} seeds, ${established} established, ${checked} contexts compared, ${reanchored} re-anchored, ${givenUp} given up, ${afterLoss} looked at after a loss, ${[...broken.values()].flat().length} broken, ${seconds.toFixed(1)} s\n`,
  );
  process.exitCode = broken.size === 0 ? 0 : 1;
}
