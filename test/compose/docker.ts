import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { PREFIX } from './compose-file.ts';
import type { Hosts } from './hosts.ts';

const run = promisify(execFile);
const START_LIMIT_MS = 120_000;

/** The containers that `docker/run-lab.sh up` has started, and will remove. */
export const dockerHosts: Hosts = {
  enter: (container, input) => ['docker', 'exec', ...(input ? ['-i'] : []), PREFIX + container],
  kill: async (container) => {
    await run('docker', ['kill', PREFIX + container]);
  },
  start: async (container) => {
    await run('docker', ['start', PREFIX + container]);
    const deadline = Date.now() + START_LIMIT_MS;
    for (;;) {
      const { stdout } = await run('docker', ['inspect', '--format', '{{.State.Health.Status}}', PREFIX + container]);
      if (stdout.trim() === 'healthy') return;
      if (Date.now() > deadline) throw new Error(`${container} is ${stdout.trim()} after ${START_LIMIT_MS} ms`);
    }
  },
  close: async () => undefined,
};
