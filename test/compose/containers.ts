import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { UeProcess } from '../../src/lab/process/ue-process.ts';

const run = promisify(execFile);
/** Names in docker/compose.yaml. */
const PREFIX = 'imsdc-lab-';
const START_LIMIT_MS = 30_000;
const IMSDC = ['node', 'src/cli/main.ts'] as const;

export interface Exit {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program in a container of the lab; its exit code is a result, not an error. */
export async function exec(container: string, ...command: readonly string[]): Promise<Exit> {
  try {
    return { code: 0, ...(await run('docker', ['exec', PREFIX + container, ...command])) };
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: number | string; stdout?: string; stderr?: string };
    if (typeof code !== 'number') throw error;
    return { code, stdout, stderr };
  }
}

/** `GET /status` of the function in a container, by bash: a Node.js for each would take longer than what it asks. */
export async function status<T>(container: string, port: 9091 | 9093): Promise<T> {
  const get = `exec 3<>/dev/tcp/127.0.0.1/${port}; printf 'GET /status HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3`;
  const { code, stdout, stderr } = await exec(container, 'bash', '-c', get);
  if (code !== 0) throw new Error(`${container}: ${stderr}`);
  return JSON.parse(stdout.slice(stdout.indexOf('\r\n\r\n'))) as T;
}

/** `docker kill`: no goodbye to anybody, as when a host loses power. */
export async function kill(container: string): Promise<void> {
  await run('docker', ['kill', PREFIX + container]);
}

/** Starts a container that was killed, with its address; resolves when it is healthy again. */
export async function start(container: string): Promise<void> {
  await run('docker', ['start', PREFIX + container]);
  const deadline = Date.now() + START_LIMIT_MS;
  for (;;) {
    const { stdout } = await run('docker', ['inspect', '--format', '{{.State.Health.Status}}', PREFIX + container]);
    if (stdout.trim() === 'healthy') return;
    if (Date.now() > deadline) throw new Error(`${container} is ${stdout.trim()} after ${START_LIMIT_MS} ms`);
  }
}

/** A UE in its container, driven over the script language of `imsdc ue`. */
export function ueIn(container: string, directory: string, args: readonly string[]): UeProcess {
  const program: [string, ...string[]] = ['docker', 'exec', '-i', PREFIX + container, ...IMSDC];
  return new UeProcess({ name: container, directory, program, args });
}
