import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Command } from './program.ts';

/**
 * Runs `command` when this process ends, however it ends: a shell that waits for the end of its standard input. In a
 * group of its own, so that Ctrl-C does not end it before the MF.
 */
export function startGuard(command: Command): ChildProcess {
  const guard = spawn('/bin/sh', ['-c', 'cat > /dev/null; exec "$@"', 'imsdc-guard', ...command], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  // Without one, what it was to do is left undone; that is no reason to end.
  return guard.on('error', () => undefined);
}

/** Lets it do its work now; resolves when that is done. */
export async function endGuard(guard: ChildProcess | null): Promise<void> {
  if (guard?.pid === undefined || guard.exitCode !== null || guard.signalCode !== null) return;
  const ended = once(guard, 'exit');
  guard.stdin?.end();
  await ended;
}
