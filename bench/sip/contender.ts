import { runPair } from '../../sipp/sipp.ts';
import { type CpuCap, capCpu } from '../lib/cgroup.ts';
import { cpuMs, endedChildrenCpuMs } from '../lib/cpu.ts';
import { droppedDatagrams } from '../lib/datagrams.ts';
import { gcPauses } from '../lib/gc-pauses.ts';
import { type GrantingMf, type OurServers, startImsdc } from '../lib/servers.ts';

/** The SIPp pairs that a function is measured with. */
export type CallKind = 'bootstrap-invite' | 'audio';

/** Calls that are under way at a time, per worker: enough that none runs dry, few enough that no message waits for T1. */
const CALLS_PER_WORKER = 32;
/** SIPp begins a call whenever one has ended; this is only more than any of ours can do. */
const UNLIMITED = 10_000;
/** A run that takes so many times what it should has hung. */
const PATIENCE = 3;
const LEAST_PATIENCE_SECONDS = 20;

/** What one run has shown. */
export interface Run {
  /** Calls completed per second. */
  readonly rate: number;
  readonly calls: number;
  readonly failed: number;
  /** Messages sent again by SIPp. */
  readonly repeated: number;
  /** CPU per call, ms: of the workers together, of the dispatcher. */
  readonly workerMs: number;
  readonly dispatcherMs: number;
  /** How much of what its cap allows each worker has used, 0 to 1. */
  readonly used: readonly number[];
}

/** One function under measurement: `imsdc dcsf` with so many workers, a single one behind a dispatcher too. */
export class Contender {
  readonly name: string;
  readonly workers: number;
  readonly #server: OurServers;
  readonly #mf: GrantingMf;
  readonly #gcFolder: string;
  readonly #share: number;
  readonly #caps: (CpuCap | undefined)[] = [];
  readonly #rates = new Map<CallKind, number>();

  private constructor(options: ContenderOptions, server: OurServers) {
    this.name = options.name;
    this.workers = options.workers;
    this.#server = server;
    this.#mf = options.mf;
    this.#gcFolder = options.gcFolder;
    this.#share = options.share;
  }

  static async start(options: ContenderOptions): Promise<Contender> {
    const { workers, mf, gcFolder } = options;
    return new Contender(options, await startImsdc({ mf: mf.url, workers, dispatched: true, gcFolder, pinned: false }));
  }

  /** From now on each worker has its share of a core. False: this machine does not let us. */
  cap(): boolean {
    for (const pid of this.#server.workerPids) this.#caps.push(capCpu(pid, this.#share));
    return this.#caps.every((cap) => cap !== undefined);
  }

  /** As many calls as should end in `seconds`. */
  callsIn(kind: CallKind, seconds: number): number {
    return Math.round((this.#rates.get(kind) ?? FIRST_RATE[kind] * this.workers) * seconds);
  }

  /** So many calls, `CALLS_PER_WORKER` of them under way at any time. */
  async run(kind: CallKind, calls: number, progress: (line: string) => void): Promise<Run> {
    const pids = this.#server.workerPids;
    const [workersBefore, ownBefore, mfBefore] = [pids.map(cpuMs), cpuMs(this.#server.pid), cpuMs(this.#mf.pid)];
    const [sippBefore, droppedBefore] = [endedChildrenCpuMs(), droppedDatagrams()];
    const throttledBefore = this.#caps.map((cap) => cap?.throttledMs() ?? 0);
    const startedMs = Date.now();
    const { uac, uas } = await runPair({
      name: kind,
      target: { address: '127.0.0.1', port: this.#server.port },
      calls,
      rate: UNLIMITED,
      concurrent: CALLS_PER_WORKER * this.workers,
      repeatsAllowed: true,
      checked: false,
      timeoutSeconds: Math.max(LEAST_PATIENCE_SECONDS, (PATIENCE * calls) / this.callsIn(kind, 1)),
    });
    const tookMs = Date.now() - startedMs;
    const workerCpu = pids.map((pid, index) => cpuMs(pid) - workersBefore[index]!);
    const each = (ms: number) => ms / calls;
    const rate = (uac.successful * 1000) / tookMs;
    const run: Run = {
      rate,
      calls,
      failed: Math.max(calls - uac.successful, uac.failed, uas.failed),
      repeated: uac.retransmissions + uas.retransmissions,
      workerMs: each(workerCpu.reduce((sum, ms) => sum + ms, 0)),
      dispatcherMs: pids.includes(this.#server.pid) ? 0 : each(cpuMs(this.#server.pid) - ownBefore),
      used: workerCpu.map((ms) => ms / tookMs / this.#share),
    };
    this.#rates.set(kind, rate);
    const gc = pids.map((pid) => gcPauses(this.#gcFolder, pid, startedMs).longestMs);
    const throttled = this.#caps.map((cap, index) => (cap?.throttledMs() ?? 0) - throttledBefore[index]!);
    progress(
      [
        `${this.name}, ${kind}: ${Math.round(rate)} calls/s, ${calls} calls, ${run.failed} failed, ${run.repeated} repeated, ${droppedDatagrams() - droppedBefore} datagrams dropped`,
        `ms a call: workers ${run.workerMs.toFixed(2)}, dispatcher ${run.dispatcherMs.toFixed(2)}, MF ${each(cpuMs(this.#mf.pid) - mfBefore).toFixed(2)}, SIPp ${each(endedChildrenCpuMs() - sippBefore).toFixed(2)}`,
        `of its share each used ${list(run.used.map((part) => part * 100))} %, stood throttled ${list(throttled)} ms, longest collection ${list(gc)} ms`,
      ].join('; '),
    );
    return run;
  }

  async stop(): Promise<void> {
    for (const cap of this.#caps) cap?.remove();
    await this.#server.stop();
  }
}

export interface ContenderOptions {
  readonly name: string;
  readonly workers: number;
  readonly mf: GrantingMf;
  readonly gcFolder: string;
  /** Of one core, for each worker. */
  readonly share: number;
}

/** Calls per second and worker, before anything has been measured. */
const FIRST_RATE: Readonly<Record<CallKind, number>> = { 'bootstrap-invite': 150, audio: 400 };

const list = (values: readonly number[]) => values.map(Math.round).join(' ');
