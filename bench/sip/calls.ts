import { runPair, sippAvailable } from '../../sipp/sipp.ts';
import type { BenchOptions, BenchRow } from '../lib/rows.ts';
import { startImsdc } from '../lib/servers.ts';

const GOAL_PER_SECOND = 500;
/** As long as the engine still compiles, a call costs up to twice as much. */
const WARM_UP = { rate: 200, seconds: 30 };

/**
 * Calls with bootstrap lines, SIPp at both ends (`setup:active`, so that the MF stays passive): each makes a context at
 * the MF, patches it and deletes it. One AS process, one MF with one worker, and both SIPp share all cores.
 */
export async function rows(options: BenchOptions): Promise<BenchRow[]> {
  if (!sippAvailable()) throw new Error('sipp is not installed (Debian: sip-tester)');
  const rates = options.quick ? [100, 200] : [300, 400, 500, 600, 700];
  const server = await startImsdc({ mf: true, pinned: false });
  const load = (rate: number, seconds: number) =>
    runPair({
      name: 'bootstrap-invite',
      target: { address: '127.0.0.1', port: server.port },
      calls: rate * seconds,
      rate,
      repeatsAllowed: true,
      timeoutSeconds: seconds + 45,
    });
  let best = { rate: 0, repeats: 0 };
  try {
    if (!options.quick) await load(WARM_UP.rate, WARM_UP.seconds);
    for (const rate of rates) {
      const { passed, uac, uas } = await load(rate, options.quick ? 4 : 10);
      const repeats = uac.retransmissions + uas.retransmissions;
      options.progress(`calls: ${rate}/s: ${uac.failed} failed, ${repeats} messages repeated`);
      if (!passed) break;
      best = { rate, repeats };
    }
  } finally {
    await server.stop();
  }
  return [
    {
      bench: 'calls',
      row: 'calls with bootstrap lines through AS and MF, none failed',
      ours: best.rate,
      unit: 'calls/s',
      goal: `>= ${GOAL_PER_SECOND}`,
      met: best.rate >= GOAL_PER_SECOND,
      note: `${best.repeats} messages repeated; AS, MF, its worker and both SIPp on the same cores`,
    },
  ];
}
