import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { failures } from './failures.ts';
import { PAIRS } from './pairs/index.ts';
import { type PortBlock, takePorts } from './ports.ts';
import type { PairRun } from './script/steps.ts';

export const SCENARIOS = resolve(import.meta.dirname, 'scenarios');
const USERS = resolve(import.meta.dirname, 'users.csv');

export interface PairOptions {
  /** `<name>.uac.xml` and `<name>.uas.xml`. */
  readonly name: string;
  /** The system under test: where the UAC sends, host and port. */
  readonly target: { readonly address: string; readonly port: number };
  /** Command that speaks DC4 with the system under test; pairs that need it fail without. */
  readonly dc4?: string;
  readonly calls: number;
  /** Calls per second; may be a fraction. */
  readonly rate: number;
  /** No more calls under way at a time: with a high `rate`, a new one begins whenever one has ended. Default 15,000. */
  readonly concurrent?: number;
  /** Instead of what the pair says. */
  readonly transport?: 'udp' | 'tcp';
  readonly lossPercent?: number;
  /** The whole run; a pair that hangs is a failure, not a wait. Default 60. */
  readonly timeoutSeconds?: number;
  /** Under load: messages that had to be sent again are counted, but no failure. */
  readonly repeatsAllowed?: boolean;
  /** Keeps what SIPp writes, every message too, in a folder of the pair's name below this one. */
  readonly logs?: string;
  /** CPU to pin both ends to, where measurement wants that. */
  readonly cpu?: number;
  /**
   * false: SIPp does not search what comes for what it should hold, which takes a quarter of its CPU. For load, where
   * somebody else has looked. Default true.
   */
  readonly checked?: boolean;
}

export interface EndResult {
  readonly exitCode: number;
  readonly successful: number;
  readonly failed: number;
  readonly retransmissions: number;
  /** Each kind of failure: what was expected and what came, how often, when first. */
  readonly failures: readonly string[];
  /** What SIPp wrote about the first of them, with the message that came. */
  readonly errors: string;
}

export interface PairResult {
  readonly name: string;
  readonly passed: boolean;
  /** Every call did what it should, whether or not something had to be sent again for it. */
  readonly completed: boolean;
  /** Why it did not pass: one line each, then what SIPp wrote. Empty when it passed. */
  readonly problems: readonly string[];
  readonly calls: number;
  readonly seconds: number;
  readonly uac: EndResult;
  /** All zero for pairs in which nothing may reach the next hop. */
  readonly uas: EndResult;
}

/** True when the `sipp` program is on this machine. */
export function sippAvailable(): boolean {
  return spawnSync('sipp', ['-v'], { stdio: 'ignore' }).error === undefined;
}

/** Names of all pairs, sorted. */
export function pairNames(): string[] {
  return PAIRS.map(({ name }) => name).sort();
}

/** A UDP port of 127.0.0.1 that was free a moment ago: SIPp cannot be asked for "any". */
export function freePort(): Promise<number> {
  return new Promise((resolvePort, reject) => {
    const socket = createSocket('udp4');
    socket.once('error', reject);
    socket.bind(0, '127.0.0.1', () => {
      const { port } = socket.address();
      socket.close(() => resolvePort(port));
    });
  });
}

/**
 * Runs one pair of scripts through the target: the UAS first, then the UAC; both must complete all calls, and nothing
 * may be sent twice that need not be.
 */
export async function runPair(options: PairOptions): Promise<PairResult> {
  const pair = PAIRS.find(({ name }) => name === options.name);
  if (pair === undefined) throw new Error(`no pair ${options.name}; there are: ${pairNames().join(', ')}`);
  const run: PairRun = { ...pair.run, ...definedOf(options) };
  const folder = folderOf(options);
  const started = Date.now();
  const children: ChildProcess[] = [];
  try {
    const local = run.ipv6 ? '::1' : '127.0.0.1';
    const ports = { uac: await takePorts(), uas: await takePorts() };
    const host = (address: string) => (address.includes(':') ? `[${address}]` : address);
    const uasCalls = options.calls * (run.uasCalls ?? 1);
    const start = (end: 'uac' | 'uas', calls: number, extra: readonly string[]) => {
      const child = startEnd(options, run, end, { folder, local, ports: ports[end], calls, extra });
      children.push(child);
      return child;
    };
    const uas = pair.uas === undefined ? undefined : start('uas', uasCalls, []);
    const uac = start('uac', options.calls, [
      ...['-key', 'uas', `${host(local)}:${ports.uas.sip}`, ...rateOf(options.rate)],
      ...['-key', 'dc4', options.dc4 ?? 'false'],
      `${host(run.ipv6 ? local : options.target.address)}:${options.target.port}`,
    ]);
    const uacCode = await ended(uac);
    // A UAS ends by itself after its calls; when the UAC failed there is nothing left to wait for.
    if (uacCode !== 0 || run.uasMayMiss) uas?.kill('SIGTERM');
    const uasCode = uas === undefined ? 0 : await ended(uas);
    const result = { uac: readEnd(folder, 'uac', uacCode), uas: readEnd(folder, 'uas', uasCode) };
    const failures = [
      ...incomplete('UAC', result.uac, options.calls),
      ...(uas === undefined || run.uasMayMiss ? [] : incomplete('UAS', result.uas, uasCalls)),
    ];
    const problems = [...failures, ...repeated(run, result.uac.retransmissions + result.uas.retransmissions)];
    const { name, calls } = options;
    const seconds = (Date.now() - started) / 1000;
    return {
      name,
      passed: problems.length === 0,
      completed: failures.length === 0,
      problems,
      calls,
      seconds,
      ...result,
    };
  } finally {
    for (const child of children) if (child.exitCode === null) child.kill('SIGKILL');
    if (options.logs === undefined) rmSync(folder, { recursive: true, force: true });
  }
}

function folderOf({ logs, name }: PairOptions): string {
  if (logs === undefined) return mkdtempSync(join(tmpdir(), 'imsdc-sipp-'));
  const folder = resolve(logs, name);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Characters of SIPp's error file that go into the report: the first message that did not fit, mostly. */
const MAX_SPECIMEN = 4000;
/** Attempts of `runPairCleanly`. */
const ATTEMPTS = 3;

/**
 * The same, once more when all calls completed but something was sent twice: a machine that was busy for longer than
 * T1 (500 ms) does that sometimes, a bug does it every time.
 */
export async function runPairCleanly(options: PairOptions): Promise<PairResult> {
  for (let attempt = 1; ; attempt++) {
    const result = await runPair(options);
    if (result.passed || !result.completed || attempt === ATTEMPTS) return result;
  }
}

function definedOf({ transport, lossPercent, repeatsAllowed }: PairOptions): PairRun {
  return {
    ...(transport === undefined ? {} : { transport }),
    ...(lossPercent ? { lossPercent } : {}),
    ...(lossPercent || repeatsAllowed ? { retransmissions: 'any' as const } : {}),
  };
}

function incomplete(end: string, result: EndResult, calls: number): string[] {
  const { exitCode, successful, failed } = result;
  if (exitCode === 0 && failed === 0 && successful >= calls) return [];
  return [
    `${end}: ${successful} of ${calls} calls completed, ${failed} failed, exit code ${exitCode}`,
    ...result.failures.map((text) => `${end}: ${text}`),
    result.errors.trim(),
  ];
}

function repeated({ retransmissions = 'none' }: PairRun, count: number): string[] {
  if (retransmissions === 'none' && count > 0) return [`${count} messages had to be sent again`];
  if (retransmissions === 'some' && count === 0) return ['nothing had to be sent again: the loss was not there'];
  return [];
}

/** SIPp takes whole calls per period. */
function rateOf(rate: number): readonly string[] {
  return Number.isInteger(rate) ? ['-r', String(rate)] : ['-r', String(Math.round(rate * 100)), '-rp', '100000'];
}

/** SIPp's own 64 KiB hold a dozen INVITEs: of a burst, the rest would be dropped. The kernel grants what it allows. */
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;

/** The script of one end, in `folder` where it has to be another than the one that stands in the project. */
function scenarioOf({ name, checked = true }: PairOptions, end: 'uac' | 'uas', folder: string): string {
  const file = `${name}.${end}.xml`;
  if (checked) return join(SCENARIOS, file);
  const lines = readFileSync(join(SCENARIOS, file), 'utf8').split('\n');
  const copy = join(folder, file);
  writeFileSync(copy, lines.filter((line) => !/^\s*<(?:ereg|Reference) /.test(line)).join('\n'));
  return copy;
}

interface End {
  readonly folder: string;
  readonly local: string;
  readonly ports: PortBlock;
  readonly calls: number;
  readonly extra: readonly string[];
}

function startEnd(options: PairOptions, run: PairRun, end: 'uac' | 'uas', place: End): ChildProcess {
  const { folder, local, ports, calls, extra } = place;
  const args = [
    ...['-sf', scenarioOf(options, end, folder), '-inf', USERS],
    ...['-i', local, '-p', String(ports.sip), '-cp', String(ports.control), '-mp', String(ports.media)],
    ...['-m', String(calls), '-l', String(options.concurrent ?? 15_000), '-nostdin'],
    ...['-buff_size', String(SOCKET_BUFFER_BYTES)],
    ...['-t', run.transport === 'tcp' ? 't1' : 'u1'],
    ...['-timeout', `${options.timeoutSeconds ?? 60}s`, '-timeout_error'],
    ...['-trace_err', '-error_file', join(folder, `${end}.errors`)],
    ...(options.logs === undefined ? [] : ['-trace_msg', '-message_file', join(folder, `${end}.messages`)]),
    ...['-trace_stat', '-stf', join(folder, `${end}.csv`), '-fd', '1'],
    ...(run.lossPercent ? ['-lost', String(run.lossPercent)] : []),
    ...extra,
  ];
  const pinned =
    options.cpu === undefined ? ['sipp', ...args] : ['taskset', '-c', String(options.cpu), 'sipp', ...args];
  return spawn(pinned[0]!, pinned.slice(1), { stdio: 'ignore' });
}

function ended(child: ChildProcess): Promise<number> {
  if (child.exitCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolveCode, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolveCode(code ?? (signal ? 255 : 0)));
  });
}

function readEnd(folder: string, end: string, exitCode: number): EndResult {
  const stats = lastRow(readIfThere(join(folder, `${end}.csv`)));
  const errors = readIfThere(join(folder, `${end}.errors`));
  return {
    exitCode,
    successful: Number(stats.get('SuccessfulCall(C)') ?? 0),
    failed: Number(stats.get('FailedCall(C)') ?? 0),
    retransmissions: Number(stats.get('Retransmissions(C)') ?? 0),
    failures: failures(errors),
    errors: errors.slice(0, MAX_SPECIMEN),
  };
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // SIPp writes the file only when it has something to say
  }
}

/** SIPp's statistics: a header line, then a line per second; the last one holds the cumulative figures. */
function lastRow(csv: string): Map<string, string> {
  const lines = csv.trim().split('\n');
  const names = lines[0]?.split(';') ?? [];
  const values = lines.length > 1 ? lines.at(-1)!.split(';') : [];
  return new Map(names.map((name, index) => [name, values[index] ?? '']));
}
