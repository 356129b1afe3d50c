import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { UeProcess } from '../../src/lab/process/ue-process.ts';
import { ROOT } from './compose-file.ts';
import type { Hosts } from './hosts.ts';

const run = promisify(execFile);

export interface Exit {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program in a container of the lab; its exit code is a result, not an error. */
export async function exec(hosts: Hosts, container: string, ...command: readonly string[]): Promise<Exit> {
  const [program, ...words] = hosts.enter(container, false);
  try {
    return { code: 0, ...(await run(program, [...words, ...command], { cwd: ROOT })) };
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: number | string; stdout?: string; stderr?: string };
    if (typeof code !== 'number') throw error;
    return { code, stdout, stderr };
  }
}

/** `GET /status` of the function in a container, by bash: a Node.js for each would take longer than what it asks. */
export async function status<T>(hosts: Hosts, container: string, port: 9091 | 9093): Promise<T> {
  const get = `exec 3<>/dev/tcp/127.0.0.1/${port}; printf 'GET /status HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3`;
  const { code, stdout, stderr } = await exec(hosts, container, 'bash', '-c', get);
  if (code !== 0) throw new Error(`${container}: ${stderr}`);
  return JSON.parse(stdout.slice(stdout.indexOf('\r\n\r\n'))) as T;
}

/** A UE in its container, driven over the script language of `imsdc ue`. */
export function ueIn(hosts: Hosts, container: string, directory: string, args: readonly string[]): UeProcess {
  const [program, ...words] = hosts.enter(container, true);
  return new UeProcess({
    name: container,
    directory,
    program: [program, ...words, 'node', 'src/cli/main.ts'],
    args,
  });
}
