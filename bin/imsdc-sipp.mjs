#!/usr/bin/env node
// The `imsdc-sipp` command on the Node.js that this package pins, whatever `node` is on the PATH.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const pinned = join(root, 'node_modules', '.bin', 'node');
if (!existsSync(pinned)) {
  process.stderr.write('imsdc is not set up yet: run "npm run setup" once\n');
  process.exit(69);
}
const child = spawn(pinned, [join(root, 'sipp', 'run.ts'), ...process.argv.slice(2)], { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => {
  process.exitCode = code ?? (signal ? 1 : 0);
});
