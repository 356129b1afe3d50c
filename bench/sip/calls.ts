import { sippAvailable } from '../../sipp/sipp.ts';
import type { BenchOptions, BenchRow } from '../lib/rows.ts';
import { startImsdc } from '../lib/servers.ts';
import { highestRate } from './bench.ts';

const GOAL_PER_SECOND = 500;

/**
 * Calls with bootstrap lines, SIPp at both ends (`setup:active`, so that the MF stays passive): each makes a context at
 * the MF, patches it and deletes it. One AS process, one MF with one worker.
 */
export async function rows(options: BenchOptions): Promise<BenchRow[]> {
  if (!sippAvailable()) throw new Error('sipp is not installed (Debian: sip-tester)');
  const rates = options.quick ? [100, 200] : [100, 200, 300, 400, 500];
  const highest = await highestRate(() => startImsdc({ mf: true }), 'bootstrap-invite', rates, options);
  return [
    {
      bench: 'calls',
      row: 'calls with bootstrap lines through AS and MF, none failed',
      ours: highest,
      unit: 'calls/s',
      goal: `>= ${GOAL_PER_SECOND}`,
      met: highest >= GOAL_PER_SECOND,
      note: 'AS on core 0; MF, its worker and both SIPp on core 1',
    },
  ];
}
