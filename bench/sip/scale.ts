import { runPair, sippAvailable } from '../../sipp/sipp.ts';
import { capCpu } from '../lib/cgroup.ts';
import { cpuMs } from '../lib/cpu.ts';
import type { BenchOptions, BenchRow } from '../lib/rows.ts';
import { LOAD_CPU, type OurServers, startImsdc } from '../lib/servers.ts';

/**
 * How calls per second grow with `dcsf.workers`, where cores are scarce: each worker is capped to a quarter of a core by
 * cgroup, all of them on core 0; the dispatcher shares core 1 with both SIPp, uncapped. The measure is one worker behind
 * the dispatcher; the function as it is by default, one process that reads its sockets itself, stands beside it.
 */
const SHARE_OF_CORE = 0.25;
const GOALS: Readonly<Record<number, number>> = { 2: 1.8, 4: 3.4 };
/** Failures plus repeated messages per call that still count as clean: a neighbour on the machine costs a few. */
const TOLERATED = 0.001;
/** Halvings of the range in which the answer is sought: to two percent of the estimate. */
const STEPS = 5;
const SETTLE_MS = 10_000;
/** The search ends with what it has by then: the whole rig must take less than five minutes. */
const SEARCH_MS = 60_000;

interface Measured {
  /** Calls per second without failure. */
  readonly rate: number;
  /** CPU of all workers together, and of the dispatcher, per call, before the cap. */
  readonly workerMs: number;
  readonly dispatcherMs: number;
  readonly capped: boolean;
}

export async function rows(options: BenchOptions): Promise<BenchRow[]> {
  if (!sippAvailable()) throw new Error('sipp is not installed (Debian: sip-tester)');
  const alone = await measure(1, false, options);
  const one = await measure(1, true, options);
  const rows = [
    row('one process without a dispatcher, a quarter of a core', alone, alone.rate, 'calls/s', 'reported', true),
    row('one worker behind the dispatcher, a quarter of a core', one, one.rate, 'calls/s', 'reported', true),
  ];
  for (const workers of [2, 4]) {
    const several = await measure(workers, true, options);
    const goal = GOALS[workers]!;
    const ratio = several.rate / one.rate;
    rows.push({
      ...row(
        `${workers} workers, a quarter of a core each`,
        several,
        several.rate,
        'calls/s',
        `>= ${goal} x`,
        ratio >= goal,
      ),
      peer: one.rate,
      ratio,
    });
    rows.push(
      row(`dispatcher in front of ${workers}, CPU`, several, several.dispatcherMs, 'ms/call', 'reported', true),
    );
  }
  return rows;
}

function row(name: string, { capped }: Measured, ours: number, unit: string, goal: string, met: boolean): BenchRow {
  const note = capped
    ? undefined
    : 'no cgroup CPU control here: the rate at which the busiest worker would need its share';
  return { bench: 'scale', row: name, ours, unit, goal, met, ...(note !== undefined && { note }) };
}

async function measure(workers: number, dispatched: boolean, options: BenchOptions): Promise<Measured> {
  const server = await startImsdc({ mf: false, workers, dispatched });
  const caps = [];
  try {
    const seconds = options.quick ? 3 : 5;
    // The optimising compiler has to see some thousand calls in each worker before any of this means something, and
    // until then a call costs several times as much.
    await load(server, 150, 4);
    await load(server, 400, (options.quick ? 2 : 10) * workers);
    const cost = await costPerCall(server, 400, seconds);
    const estimate = (SHARE_OF_CORE * 1000) / cost.busiestMs;
    for (const pid of server.workerPids) caps.push(capCpu(pid, SHARE_OF_CORE));
    const capped = caps.every((cap) => cap !== undefined);
    options.progress(
      `${workers} workers: ${cost.workerMs.toFixed(3)} ms a call in workers, ${cost.dispatcherMs.toFixed(3)} in the dispatcher; ${Math.round(estimate)} calls/s by that${capped ? '' : '; no cgroup'}`,
    );
    const rate = capped ? await highestRate(server, estimate, seconds, options) : estimate;
    return { rate, workerMs: cost.workerMs, dispatcherMs: cost.dispatcherMs, capped };
  } finally {
    for (const cap of caps) cap?.remove();
    await server.stop();
  }
}

/** CPU ms per call of all calls: of the workers together, of the one that has most of it, of the dispatcher. */
async function costPerCall(server: OurServers, rate: number, seconds: number) {
  const read = () => server.workerPids.map(cpuMs);
  const [before, ownBefore] = [read(), cpuMs(server.pid)];
  await load(server, rate, seconds);
  const used = read().map((ms, worker) => ms - before[worker]!);
  const calls = rate * seconds;
  if (used.some((ms) => ms === 0))
    throw new Error(`a worker had nothing to do at ${rate} calls/s: SIPp could not keep up`);
  const dispatcherMs = server.workerPids.includes(server.pid) ? 0 : (cpuMs(server.pid) - ownBefore) / calls;
  return {
    workerMs: used.reduce((sum, ms) => sum + ms, 0) / calls,
    busiestMs: Math.max(...used) / calls,
    dispatcherMs,
  };
}

/** By halving between rates around the estimate; what fails is tried once more, because the machine has other users. */
async function highestRate(server: OurServers, estimate: number, seconds: number, options: BenchOptions) {
  let [good, bad] = [0, estimate * 1.3];
  let rate = estimate * 0.7;
  const endMs = Date.now() + SEARCH_MS;
  for (let step = 0; step < (options.quick ? STEPS - 1 : STEPS) && Date.now() < endMs; step++) {
    const clean = (await isClean(server, rate, seconds, options)) || (await isClean(server, rate, seconds, options));
    if (clean) good = rate;
    else bad = rate;
    rate = good === 0 ? rate * 0.7 : (good + bad) / 2;
  }
  return good;
}

async function isClean(server: OurServers, rate: number, seconds: number, options: BenchOptions): Promise<boolean> {
  const whole = Math.round(rate);
  const { calls, failed, repeated } = await load(server, whole, seconds);
  const clean = failed + repeated <= calls * TOLERATED;
  options.progress(
    `${server.workerPids.length} at ${whole}/s: ${clean ? 'clean' : `${failed} failed, ${repeated} repeated`}`,
  );
  if (!clean) await settled(server);
  return clean;
}

async function load(server: OurServers, rate: number, seconds: number) {
  const calls = rate * seconds;
  const { uac, uas } = await runPair({
    name: 'audio',
    target: { address: '127.0.0.1', port: server.port },
    calls,
    rate,
    cpu: LOAD_CPU,
    repeatsAllowed: true,
    timeoutSeconds: seconds + 6,
  });
  const failed = Math.max(calls - uac.successful, uac.failed, uas.failed);
  return { calls, failed, repeated: uac.retransmissions + uas.retransmissions };
}

/** After too much: until its calls have ended, so that they do not count against the next step. */
async function settled(server: OurServers): Promise<void> {
  const giveUpMs = Date.now() + SETTLE_MS;
  while (Date.now() < giveUpMs) {
    if ((await server.status()).imsAs.calls === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}
