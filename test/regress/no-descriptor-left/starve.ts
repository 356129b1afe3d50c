import { openSync } from 'node:fs';
import { endGuard, startGuard } from '../../../src/mf/datagrams/guard.ts';
import { runProgram } from '../../../src/mf/datagrams/program.ts';

/** Run with few file descriptors: uses them up, then starts programs. */
function starve(): void {
  for (;;) openSync('/dev/null', 'r');
}

try {
  starve();
} catch (error) {
  if ((error as NodeJS.ErrnoException).code !== 'EMFILE') throw error;
}
const { problem } = await runProgram(['true'], []);
await endGuard(startGuard(['true']));
process.stdout.write(`${problem}\n`);
