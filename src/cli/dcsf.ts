import { startDc4 } from '../dcsf/dc4.ts';
import { serveDc1 } from './dc1.ts';
import { startFunctions } from './functions.ts';
import { type ProcessContext, type Running, runProcess } from './process.ts';
import { startRepository } from './repository.ts';
import { claimState } from './state.ts';
import { startWorkers } from './workers/pool.ts';

const HELP = `imsdc dcsf [--config imsdc.yaml]

The SIP-facing network function: the roles ims-as and dcsf in this process, and the repository (dcar) in a child, so that
no file, database or web request can delay SIP. Which roles run is said by "roles" in the configuration. With
"dcsf.workers" above 1 the two roles run in so many processes behind the same addresses.
`;

/** `imsdc dcsf` */
export function dcsfCommand(argv: string[]): Promise<number> {
  return runProcess({ name: 'dcsf', help: HELP, start }, argv);
}

async function start(context: ProcessContext): Promise<Running> {
  const { config } = context;
  const closers: (() => Promise<void>)[] = [];
  const opened = <T extends { close(): Promise<void> }>(part: T): T => {
    closers.push(() => part.close());
    return part;
  };
  // Before anything is started that the owner of the directory has started already.
  const state = claimState(context);
  if (state) opened(state);
  const dcar = config.roles.includes('dcar') ? await startRepository(context) : undefined;
  if (dcar) closers.push(() => dcar.process.stop());
  const several = config.dcsf.workers > 1 || config.dcsf.dispatcher === 'always';
  const { imsAs, dcsf, status, reopenFiles } = opened(
    await (several ? startWorkers(context, dcar) : inThisProcess(context, dcar)),
  );
  const dc1 = await serveDc1(context, { dcsf: dcsf?.sessionEvents, imsAs: imsAs?.mediaControl });
  if (dc1) opened(dc1);
  const { dc4: dc4Config, policy } = config.dcsf;
  const dc4 = dcsf && dc4Config.enabled ? opened(await startDc4(dc4Config, policy.dcAs, dcsf.channels)) : undefined;
  return {
    ready: {
      ...(imsAs && { sip: imsAs.addresses }),
      ...(dcar && { mdc1: dcar.address }),
      ...(dc1 && { dc1: dc1.origin }),
      ...(dc4 && { dc4: dc4.address }),
    },
    reopenFiles,
    status: async () => ({ ...(await status()), dcar: dcar && { pid: dcar.process.pid } }),
    close: async () => {
      for (const close of closers.toReversed()) await close();
    },
  };
}

async function inThisProcess(...[context, dcar]: Parameters<typeof startWorkers>) {
  const { imsAs, dcsf, status, reopenFiles, close } = await startFunctions(context, dcar);
  return { imsAs, dcsf, status, reopenFiles, close };
}
