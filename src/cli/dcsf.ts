import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { SupervisedProcess } from '../base/supervisor.ts';
import { type Dcsf, startDcsf } from '../dcsf/index.ts';
import { ImsdcError } from '../errors.ts';
import { startImsAs } from '../ims-as/index.ts';
import { GrantClient } from '../services/ndcar-client.ts';
import type { MediaControl } from '../services/nimsas.ts';
import { type ProcessContext, type Running, runProcess } from './process.ts';

const HELP = `imsdc dcsf [--config imsdc.yaml]

The SIP-facing network function: the roles ims-as and dcsf in this process, and the repository (dcar) in a child, so that
no file, database or web request can delay SIP. Which roles run is said by "roles" in the configuration.
`;

/** `imsdc dcsf` */
export function dcsfCommand(argv: string[]): Promise<number> {
  return runProcess({ name: 'dcsf', help: HELP, start }, argv);
}

async function start(context: ProcessContext): Promise<Running> {
  const { config, log, metrics, token } = context;
  // The repository trusts whoever knows the secret; when nobody chose one, this start does.
  const secret = config.dcsf.grants.secret || config.dcar.internal.secret || randomBytes(24).toString('base64url');
  const dcar = config.roles.includes('dcar') ? await startRepository(context, secret) : undefined;
  const grants = new GrantClient({
    url: dcar?.internalAddress ?? config.dcsf.grants.url,
    secret,
    log: log.child({ room: 'grants' }),
    metrics,
  });
  const baseUrl = config.dcsf.mdc1.baseUrl ?? dcar?.address;
  if (baseUrl === undefined) throw missing(context, 'dcsf.mdc1.baseUrl', 'is needed without the role dcar');
  const mdc1 = { ...config.dcsf.mdc1, baseUrl };
  // The AS needs the DCSF to exist and the DCSF needs the AS: instructions cannot come before the first notification.
  let mediaControl: MediaControl | undefined;
  const dcsf: Dcsf = startDcsf(
    { ...config.dcsf, mdc1 },
    {
      mediaControl: {
        mediaInstruction: (data, options) =>
          mediaControl?.mediaInstruction(data, options) ?? Promise.reject(new Error('the IMS AS has not started')),
      },
      grants,
      log: log.child({ room: 'dcsf' }),
      metrics,
      token,
    },
  );
  const imsAs = await startImsAs(config.imsAs, {
    sessionEvents: dcsf.sessionEvents,
    log: log.child({ room: 'ims-as' }),
    metrics,
    token,
  });
  mediaControl = imsAs.mediaControl;
  return {
    ready: { sip: imsAs.addresses, ...(dcar && { mdc1: dcar.address }) },
    status: () => ({ imsAs: imsAs.status(), dcsf: dcsf.status(), dcar: dcar && { pid: dcar.process.pid } }),
    close: async () => {
      await imsAs.close();
      await dcsf.close();
      await grants.close();
      await dcar?.process.stop();
    },
  };
}

function missing({ configFile }: ProcessContext, key: string, problem: string): ImsdcError {
  return new ImsdcError('CONFIG_INVALID', { file: configFile ?? '(defaults)', line: 0, key, problem });
}

interface RepositoryProcess {
  readonly process: SupervisedProcess;
  /** Base of replacement URLs. */
  readonly address: string;
  readonly internalAddress: string;
}

async function startRepository({ configFile, log }: ProcessContext, secret: string): Promise<RepositoryProcess> {
  const process = new SupervisedProcess({
    name: 'dcar',
    module: resolve(import.meta.dirname, 'dcar-process.ts'),
    args: configFile === undefined ? [] : ['--config', configFile],
    env: { IMSDC__dcar__internal__secret: secret },
    log,
    onReady: () => undefined,
  });
  const { address, internalAddress } = await process.start();
  return { process, address: String(address), internalAddress: String(internalAddress) };
}
