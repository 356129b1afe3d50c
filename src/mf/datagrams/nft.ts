import { spawn } from 'node:child_process';
import { ImsdcError } from '../../errors.ts';

/** The program and its first arguments; a test puts `ip netns exec NAME` before it. */
export type NftCommand = readonly [string, ...string[]];
export const NFT: NftCommand = ['nft'];

/** A transaction that the kernel has not taken in this time never will be. */
const TIMEOUT_MS = 10_000;
const MAX_OUTPUT_BYTES = 64 << 20;

/** Runs nft with `script` on its standard input; resolves with what it prints. Rejects with MF_NFT. */
export function nft(command: NftCommand, options: readonly string[], script = ''): Promise<string> {
  const [file, ...first] = command;
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = spawn(file, [...first, ...options], { stdio: ['pipe', 'pipe', 'pipe'], timeout: TIMEOUT_MS });
  const chunks: Buffer[] = [];
  let bytes = 0;
  let problem = '';
  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_OUTPUT_BYTES) child.kill();
    else chunks.push(chunk);
  });
  child.stderr.on('data', (chunk: Buffer) => {
    if (problem.length < 1_000) problem += chunk.toString();
  });
  child.on('error', (error) => reject(new ImsdcError('MF_NFT', { problem: error.message })));
  child.on('close', (code, signal) => {
    if (code === 0) resolve(Buffer.concat(chunks).toString());
    else reject(new ImsdcError('MF_NFT', { problem: problem.trim().slice(0, 500) || `ended with ${signal ?? code}` }));
  });
  // It may have ended before it read everything; `close` says why.
  child.stdin.on('error', () => undefined);
  child.stdin.end(script);
  return promise;
}
