import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

/**
 * An MF without a file descriptor left (an MDC2 socket per channel, and a limit of 1024) ended when it was to change the
 * kernel's table: a program that cannot be started says so by an event, and nobody listened.
 */
test('a program that cannot be started for want of a descriptor is a failure, not the end of the MF', async () => {
  const script = join(import.meta.dirname, 'starve.ts');
  const { stdout } = await promisify(execFile)('/bin/sh', [
    '-c',
    'ulimit -n 64; exec "$@"',
    'sh',
    process.execPath,
    script,
  ]);
  assert.equal(stdout, 'spawn true EMFILE\n');
});
