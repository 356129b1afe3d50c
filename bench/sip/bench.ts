import { spawnSync } from 'node:child_process';
import { type PairResult, runPair, sippAvailable } from '../../sipp/sipp.ts';
import { cpuMs, treeCpuMs } from '../lib/cpu.ts';
import { type BenchOptions, type BenchRow, median } from '../lib/rows.ts';
import { LOAD_CPU, type Server, startImsdc, startKamailio } from '../lib/servers.ts';
import { procedureRows } from './procedures.ts';

/** SIPp UAC -> server -> SIPp UAS with a 3.5 KB IMS INVITE; the server has a core for itself, both SIPp share the other. */

const PLAIN_RATE = 500;
const BOOTSTRAP_RATE = 200;

interface Load {
  readonly scenario: string;
  readonly rate: number;
  readonly seconds: number;
}

async function load(server: Server, { scenario, rate, seconds }: Load): Promise<PairResult & { calls: number }> {
  const calls = rate * seconds;
  const result = await runPair({
    name: scenario,
    target: { address: '127.0.0.1', port: server.port },
    calls,
    rate,
    cpu: LOAD_CPU,
    repeatsAllowed: true,
    timeoutSeconds: seconds + 45,
  });
  return { ...result, calls };
}

/** CPU milliseconds per call; `only` counts just that process, not its children. */
async function cpuPerCall(server: Server, step: Load, only: boolean): Promise<number> {
  const read = only ? cpuMs : treeCpuMs;
  const before = read(server.pid);
  const result = await load(server, step);
  if (!result.passed)
    throw new Error(`${step.scenario} failed at ${step.rate}/s: ${result.uac.errors || result.uas.errors}`);
  return (read(server.pid) - before) / result.calls;
}

/** The highest of `rates` that passes without a failed call or a retransmission; stops at the first that does not. */
async function highestRate(
  start: () => Promise<Server>,
  scenario: string,
  rates: readonly number[],
  options: BenchOptions,
): Promise<number> {
  let best = 0;
  for (const rate of rates) {
    const server = await start();
    try {
      await load(server, { scenario, rate: Math.min(rate, 500), seconds: 4 });
      const result = await load(server, { scenario, rate, seconds: options.quick ? 4 : 8 });
      const clean = result.passed && result.uac.retransmissions + result.uas.retransmissions === 0;
      options.progress(
        `${scenario} at ${rate}/s: ${clean ? 'clean' : `${result.uac.failed} failed, ${result.uac.retransmissions + result.uas.retransmissions} retransmissions`}`,
      );
      if (!clean) return best;
      best = rate;
    } finally {
      await server.stop();
    }
  }
  return best;
}

export async function rows(options: BenchOptions): Promise<BenchRow[]> {
  if (!sippAvailable()) throw new Error('sipp is not installed (Debian: sip-tester)');
  if (spawnSync('kamailio', ['-v']).error) throw new Error('kamailio is not installed: it is the peer of this bench');
  const rounds = options.quick ? 1 : 5;
  const seconds = options.quick ? 4 : 8;
  const plain: { ours: number[]; peer: number[] } = { ours: [], peer: [] };
  // Any server's call costs more the fewer there are: the peer is measured at the rate of each.
  const bootstrap: { ours: number[]; peer: number[] } = { ours: [], peer: [] };
  const [ours, peer] = [await startImsdc({ mf: true }), await startKamailio()];
  try {
    // A warm-up each: JIT here, page faults there. What runs for months is measured, not its first seconds: a call still
    // gets cheaper after fifteen thousand.
    await load(ours, { scenario: 'audio', rate: PLAIN_RATE, seconds: 10 });
    await load(peer, { scenario: 'audio', rate: PLAIN_RATE, seconds: 2 });
    await load(ours, { scenario: 'bootstrap-invite', rate: 200, seconds: 10 });
    await load(ours, { scenario: 'bootstrap-invite', rate: 300, seconds: options.quick ? 20 : 50 });
    for (let round = 1; round <= rounds; round++) {
      const step = { scenario: 'audio', rate: PLAIN_RATE, seconds };
      plain.ours.push(await cpuPerCall(ours, step, true));
      plain.peer.push(await cpuPerCall(peer, step, false));
      const slower = { rate: BOOTSTRAP_RATE, seconds };
      bootstrap.ours.push(await cpuPerCall(ours, { scenario: 'bootstrap-invite', ...slower }, true));
      bootstrap.peer.push(await cpuPerCall(peer, { scenario: 'audio', ...slower }, false));
      const last = (values: readonly number[]) => values.at(-1)!.toFixed(3);
      options.progress(
        `round ${round} of ${rounds}: plain ${last(plain.ours)} ms, Kamailio ${last(plain.peer)} ms; with bootstrap ${last(bootstrap.ours)} ms, Kamailio ${last(bootstrap.peer)} ms`,
      );
    }
  } finally {
    await ours.stop();
    await peer.stop();
  }
  const [oursMs, peerMs] = [median(plain.ours), median(plain.peer)];
  const [bootstrapMs, slowPeerMs] = [median(bootstrap.ours), median(bootstrap.peer)];
  const rates = options.quick ? [500, 1500] : [1000, 1500, 2000, 2500];
  const highest = await highestRate(() => startImsdc({ mf: false }), 'audio', rates, options);
  const highestPeer = await highestRate(startKamailio, 'audio', rates, options);
  const procedures = await procedureRows(options);
  return [
    row(
      `plain audio call, ${PLAIN_RATE}/s, CPU of the server`,
      oursMs,
      peerMs,
      'ms/call',
      '<= 2.0 x',
      oursMs <= 2 * peerMs,
    ),
    row(
      `call with bootstrap lines, ${BOOTSTRAP_RATE}/s, CPU of the AS alone; the peer's: the same rate of plain calls`,
      bootstrapMs,
      slowPeerMs,
      'ms/call',
      '<= 4 x',
      bootstrapMs <= 4 * slowPeerMs,
    ),
    row('highest clean rate, plain audio, one process', highest, highestPeer, 'calls/s', '>= 1500', highest >= 1500),
    ...procedures,
  ];
}

function row(name: string, ours: number, peer: number, unit: string, goal: string, met: boolean): BenchRow {
  return { bench: 'sip', row: name, ours, peer, unit, ratio: ours / peer, goal, met };
}
