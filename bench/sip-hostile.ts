/**
 * What one hostile message of 64 KiB costs, from the datagram to the call: parser, overload control, transactions, and
 * the AS in virtual time. The shapes are those of which the tests count the work. CPU time of the dearest of them, median
 * of several runs each. There is no peer: the question is whether a few messages can stop the process.
 */
import { Pipeline } from '../test/sip/fuzz/pipeline.ts';
import { HOSTILE } from '../test/sip/hostile.ts';
import { type BenchOptions, type BenchRow, median } from './lib/rows.ts';

const GOAL_MS = 5;
/** What the message has around its hostile part fits into the rest. */
const BYTES = 64 * 1024 - 1000;

function cpuMsOf(wire: string): number {
  const pipeline = new Pipeline();
  const before = process.cpuUsage();
  pipeline.receive(wire);
  const { user, system } = process.cpuUsage(before);
  pipeline.dispatcher.close();
  return (user + system) / 1000;
}

export async function rows(options: BenchOptions): Promise<BenchRow[]> {
  const runs = options.quick ? 9 : 41;
  const costs = Object.entries(HOSTILE).map(([what, build]) => {
    const wire = build(BYTES);
    const ms = median(Array.from({ length: runs }, () => cpuMsOf(wire)));
    options.progress(`${what}: ${ms.toFixed(2)} ms`);
    return { what, ms };
  });
  const worst = costs.reduce((a, b) => (a.ms > b.ms ? a : b));
  return [
    {
      bench: 'sip-hostile',
      row: `dearest of ${costs.length} messages of 64 KiB: ${worst.what}`,
      ours: worst.ms,
      unit: 'ms CPU',
      goal: `<= ${GOAL_MS}`,
      met: worst.ms <= GOAL_MS,
    },
  ];
}
