import { spawn } from 'node:child_process';

/** A program and its first arguments; a test puts `ip netns exec NAME` before it. */
export type Command = readonly [string, ...string[]];

/** What the kernel has not answered in this time it never will. */
const TIMEOUT_MS = 10_000;
const MAX_OUTPUT_BYTES = 64 << 20;
const MAX_PROBLEM_CHARACTERS = 500;

export interface Ended {
  readonly output: string;
  /** Undefined: it ended with 0. */
  readonly problem: string | undefined;
}

/** Runs a program with `input` on its standard input. Never rejects. */
export function runProgram(command: Command, options: readonly string[], input = ''): Promise<Ended> {
  const [file, ...first] = command;
  const { promise, resolve } = Promise.withResolvers<Ended>();
  const child = spawn(file, [...first, ...options], { stdio: ['pipe', 'pipe', 'pipe'], timeout: TIMEOUT_MS });
  child.on('error', (error) => resolve({ output: '', problem: error.message }));
  // It never was. Without a file descriptor left it has no streams either.
  if (child.pid === undefined) return promise;
  const chunks: Buffer[] = [];
  let bytes = 0;
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_OUTPUT_BYTES) child.kill();
    else chunks.push(chunk);
  });
  child.stderr.on('data', (chunk: Buffer) => {
    if (said.length < 2 * MAX_PROBLEM_CHARACTERS) said += chunk.toString();
  });
  child.on('close', (code, signal) => {
    const output = Buffer.concat(chunks).toString();
    if (code === 0) resolve({ output, problem: undefined });
    else {
      const problem = said.trim().slice(0, MAX_PROBLEM_CHARACTERS) || `${file} ended with ${signal ?? code}`;
      resolve({ output, problem });
    }
  });
  // It may have ended before it read everything; `close` says why.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  return promise;
}
