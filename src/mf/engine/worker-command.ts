import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Logger } from '../../base/log.ts';
import { ImsdcError } from '../../errors.ts';
import { embeddedCommand, type WorkerCommand } from './options.ts';

/** Where set-up builds the native worker. */
const NATIVE_WORKER = fileURLToPath(new URL('../../../native/build/imsdc-media-worker', import.meta.url));

/** The native worker; other programs of its build lie beside it. It need not be built. */
export const nativeWorkerFile = (): string => process.env.IMSDC_NATIVE_WORKER ?? NATIVE_WORKER;

/** How the workers of `engine` are started. Throws USAGE when the native one is asked for by name and is not built. */
export function workerCommand(engine: 'auto' | 'embedded' | 'native', log: Logger): WorkerCommand {
  const file = nativeWorkerFile();
  const built = existsSync(file);
  if (engine === 'native' && !built) {
    throw new ImsdcError('USAGE', { problem: `mf.engine is native, but ${file} is not built (npm run setup)` });
  }
  if (engine !== 'embedded' && built) return { file, args: [] };
  if (engine === 'auto')
    log.warn('the native media worker is not built: using the embedded one, which is for first tries');
  return embeddedCommand();
}
