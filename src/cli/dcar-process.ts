import { startDcar } from '../dcar/index.ts';
import { runProcess } from './process.ts';

/** The repository in its own process: started by `imsdc dcsf`, never by hand. */
process.exitCode = await runProcess(
  {
    name: 'dcar',
    help: 'started by imsdc dcsf\n',
    start: async ({ config, log, metrics }) => {
      const dcar = await startDcar(config.dcar, { log, metrics });
      return {
        ready: { address: dcar.address, internalAddress: dcar.internalAddress },
        status: () => dcar.status(),
        close: () => dcar.close(),
      };
    },
  },
  process.argv.slice(2),
);
