import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export const SCENARIOS = resolve(import.meta.dirname, 'scenarios');
const USERS = resolve(import.meta.dirname, 'users.csv');

export interface PairOptions {
  /** `<name>.uac.xml` and `<name>.uas.xml`. */
  readonly name: string;
  /** The system under test: where the UAC sends, host and port. */
  readonly target: { readonly address: string; readonly port: number };
  readonly calls: number;
  /** Calls per second. */
  readonly rate: number;
  readonly transport?: 'udp' | 'tcp';
  /** Percent of messages that both ends lose. */
  readonly lossPercent?: number;
  /** The whole run; a pair that hangs is a failure, not a wait. Default 60. */
  readonly timeoutSeconds?: number;
  /** CPU to pin both ends to, where measurement wants that. */
  readonly cpu?: number;
}

export interface EndResult {
  readonly exitCode: number;
  readonly successful: number;
  readonly failed: number;
  readonly retransmissions: number;
  /** What SIPp wrote about unexpected messages and failed checks; first lines. */
  readonly errors: string;
}

export interface PairResult {
  readonly name: string;
  readonly passed: boolean;
  readonly seconds: number;
  readonly uac: EndResult;
  readonly uas: EndResult;
}

/** True when the `sipp` program is on this machine. */
export function sippAvailable(): boolean {
  return spawnSync('sipp', ['-v'], { stdio: 'ignore' }).error === undefined;
}

/** Names of all pairs, sorted. */
export function pairNames(): string[] {
  return readdirSync(SCENARIOS)
    .filter((file) => file.endsWith('.uac.xml'))
    .map((file) => file.slice(0, -'.uac.xml'.length))
    .sort();
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

/** Runs one pair of scripts through the target: the UAS first, then the UAC; both must complete all calls. */
export async function runPair(options: PairOptions): Promise<PairResult> {
  const folder = mkdtempSync(join(tmpdir(), 'imsdc-sipp-'));
  const started = Date.now();
  try {
    const [uasPort, uacPort] = [await freePort(), await freePort()];
    const uas = startEnd(options, 'uas', folder, uasPort, []);
    const uac = startEnd(options, 'uac', folder, uacPort, [
      '-key',
      'uas',
      `127.0.0.1:${uasPort}`,
      '-r',
      String(options.rate),
      `${options.target.address}:${options.target.port}`,
    ]);
    const uacCode = await ended(uac);
    // A UAS ends by itself after its calls; when the UAC failed there is nothing left to wait for.
    if (uacCode !== 0) uas.kill('SIGTERM');
    const uasCode = await ended(uas);
    const result = { uac: readEnd(folder, 'uac', uacCode), uas: readEnd(folder, 'uas', uasCode) };
    const passed = [result.uac, result.uas].every((end) => end.exitCode === 0 && end.successful >= options.calls);
    return { name: options.name, passed, seconds: (Date.now() - started) / 1000, ...result };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function startEnd(
  options: PairOptions,
  end: 'uac' | 'uas',
  folder: string,
  port: number,
  extra: readonly string[],
): ChildProcess {
  const args = [
    ...['-sf', join(SCENARIOS, `${options.name}.${end}.xml`), '-inf', USERS],
    ...['-i', '127.0.0.1', '-p', String(port), '-m', String(options.calls), '-l', '15000', '-nostdin'],
    ...['-t', options.transport === 'tcp' ? 't1' : 'u1'],
    ...['-timeout', `${options.timeoutSeconds ?? 60}s`, '-timeout_error'],
    ...['-trace_err', '-error_file', join(folder, `${end}.errors`)],
    ...['-trace_stat', '-stf', join(folder, `${end}.csv`), '-fd', '1'],
    ...(options.lossPercent ? ['-lost', String(options.lossPercent)] : []),
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
  return {
    exitCode,
    successful: Number(stats.get('SuccessfulCall(C)') ?? 0),
    failed: Number(stats.get('FailedCall(C)') ?? 0),
    retransmissions: Number(stats.get('Retransmissions(C)') ?? 0),
    errors: readIfThere(join(folder, `${end}.errors`)).slice(0, 4000),
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
