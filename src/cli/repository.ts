import { randomBytes } from 'node:crypto';
import { extname, resolve } from 'node:path';
import { type SupervisedOptions, SupervisedProcess } from '../base/supervisor.ts';
import type { RepositoryAddress } from './functions.ts';
import type { ProcessContext } from './process.ts';

export interface RepositoryProcess extends RepositoryAddress {
  readonly process: SupervisedProcess;
}

/** The repository as a child of this process, started again whenever it ends. */
export async function startRepository({ config, configFile, log }: ProcessContext): Promise<RepositoryProcess> {
  // The repository trusts whoever knows the secret; when nobody chose one, this start does.
  const secret = config.dcsf.grants.secret || config.dcar.internal.secret || randomBytes(24).toString('base64url');
  const options: SupervisedOptions = {
    name: 'dcar',
    module: resolve(import.meta.dirname, `dcar-process${extname(import.meta.filename)}`),
    args: configFile === undefined ? [] : ['--config', configFile],
    env: { IMSDC__dcar__internal__secret: secret },
    log,
    onReady: () => undefined,
  };
  for (let attempt = 1; ; attempt++) {
    const process = new SupervisedProcess(options);
    try {
      const { address, internalAddress } = await process.start();
      return { secret, process, address: String(address), internalAddress: String(internalAddress) };
    } catch (error) {
      await process.stop();
      if (attempt === START_ATTEMPTS) throw error;
    }
  }
}

/** The repository of a process that was killed lets its ports go a moment after us. */
const START_ATTEMPTS = 3;
