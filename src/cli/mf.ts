import { startMf } from '../mf/index.ts';
import { runProcess } from './process.ts';

const HELP = `imsdc mf [--config imsdc.yaml]
imsdc mf stats [KEY] [--json]       what an MF that runs carries, by association and stream
imsdc mf trace KEY FILE             the datagrams of one association, as a pcap file, until interrupted

The media function: serves Nmf_MRM (TS 29.176) and carries the data channels in its media workers. The native worker is
used where it has been built (npm run setup), else the embedded one; mf.engine says otherwise.

SIGTERM ends it at once; SIGUSR2 drains it: no new contexts, and it ends when the last one has been deleted.
`;

/** `imsdc mf` */
export async function mfCommand(argv: string[]): Promise<number> {
  if (argv[0] === 'stats') return (await import('./mf-stats.ts')).mfStatsCommand(argv.slice(1));
  if (argv[0] === 'trace') return (await import('./mf-trace.ts')).mfTraceCommand(argv.slice(1));
  return runProcess(
    {
      name: 'mf',
      help: HELP,
      start: async ({ config, log, metrics, token }) => {
        const mf = await startMf(config.mf, { log, metrics, token });
        return {
          ready: { mrm: mf.address },
          status: () => mf.status(),
          pages: {
            '/associations': async ({ key }) => ({ associations: await mf.associations(key) }),
            '/trace': async ({ key = '' }) => mf.trace(key),
          },
          drain: () => mf.drain(),
          close: () => mf.close(),
        };
      },
    },
    argv,
  );
}
