import { startMf } from '../mf/index.ts';
import { runProcess } from './process.ts';

const HELP = `imsdc mf [--config imsdc.yaml]

The media function: serves Nmf_MRM (TS 29.176) and carries the data channels in its media workers. The native worker is
used where it has been built (npm run setup), else the embedded one; mf.engine says otherwise.

SIGTERM ends it at once; SIGUSR2 drains it: no new contexts, and it ends when the last one has been deleted.
`;

/** `imsdc mf` */
export function mfCommand(argv: string[]): Promise<number> {
  return runProcess(
    {
      name: 'mf',
      help: HELP,
      start: async ({ config, log, metrics, token }) => {
        const mf = await startMf(config.mf, { log, metrics, token });
        return {
          ready: { mrm: mf.address },
          status: () => mf.status(),
          drain: () => mf.drain(),
          close: () => mf.close(),
        };
      },
    },
    argv,
  );
}
