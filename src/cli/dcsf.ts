import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { type SupervisedOptions, SupervisedProcess } from '../base/supervisor.ts';
import { startDc4 } from '../dcsf/dc4.ts';
import { type Dcsf, startDcsf } from '../dcsf/index.ts';
import { type ImsAs, startImsAs } from '../ims-as/index.ts';
import { GrantClient } from '../services/ndcar-client.ts';
import type { MediaControl } from '../services/nimsas.ts';
import type { Journal } from '../store/journal.ts';
import { missing, remoteDcsf, remoteImsAs, serveDc1 } from './dc1.ts';
import { type ProcessContext, type Running, runProcess } from './process.ts';
import { openState } from './state.ts';

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
  const closers: (() => Promise<void>)[] = [];
  const opened = <T extends { close(): Promise<void> }>(part: T): T => {
    closers.push(() => part.close());
    return part;
  };
  const state = await openState(context);
  if (state) opened(state);
  const dcar = config.roles.includes('dcar') ? await startRepository(context) : undefined;
  if (dcar) closers.push(() => dcar.process.stop());
  // Each of the two needs the other to exist: instructions cannot come before the first notification.
  let imsAs: ImsAs | undefined;
  const local: MediaControl = {
    mediaInstruction: (data, options) =>
      imsAs?.mediaControl.mediaInstruction(data, options) ?? Promise.reject(new Error('the IMS AS has not started')),
  };
  const dcsf = config.roles.includes('dcsf')
    ? opened(
        startDecision(context, {
          dcar,
          mediaControl: config.roles.includes('ims-as') ? local : opened(remoteImsAs(context)),
          journal: state?.journal,
          opened,
        }),
      )
    : undefined;
  if (config.roles.includes('ims-as')) {
    const sessionEvents = dcsf?.sessionEvents ?? opened(remoteDcsf(context));
    imsAs = opened(
      await startImsAs(config.imsAs, {
        sessionEvents,
        log: log.child({ room: 'ims-as' }),
        metrics,
        token,
        journal: state?.journal,
      }),
    );
    // A call that was cut off before its record was written: its session has nobody who would end it.
    if (state) dcsf?.keepOnly(imsAs.hasSession);
  }
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
    reopenFiles: () => imsAs?.reopenFiles(),
    status: () => ({
      imsAs: imsAs?.status(),
      dcsf: dcsf?.status(),
      dcar: dcar && { pid: dcar.process.pid },
      state: state?.journal.status(),
    }),
    close: async () => {
      for (const close of closers.toReversed()) await close();
    },
  };
}

/** The DCSF, with its line to the repository, which may be a child of ours or elsewhere. */
function startDecision(
  context: ProcessContext,
  parts: {
    readonly dcar: RepositoryProcess | undefined;
    readonly mediaControl: MediaControl;
    readonly journal: Journal | undefined;
    opened(grants: GrantClient): GrantClient;
  },
): Dcsf {
  const { dcar, mediaControl, journal, opened } = parts;
  const { config, log, metrics, token } = context;
  const baseUrl = config.dcsf.mdc1.baseUrl ?? dcar?.address;
  if (baseUrl === undefined) throw missing(context, 'dcsf.mdc1.baseUrl', 'is needed without the role dcar');
  const grants = opened(
    new GrantClient({
      url: dcar?.internalAddress ?? config.dcsf.grants.url,
      secret: dcar?.secret ?? config.dcsf.grants.secret,
      log: log.child({ room: 'grants' }),
      metrics,
    }),
  );
  const mdc1 = { ...config.dcsf.mdc1, baseUrl };
  return startDcsf(
    { ...config.dcsf, mdc1 },
    { mediaControl, grants, log: log.child({ room: 'dcsf' }), metrics, token, journal },
  );
}

interface RepositoryProcess {
  /** What the repository trusts a DCSF by. */
  readonly secret: string;
  readonly process: SupervisedProcess;
  /** Base of replacement URLs. */
  readonly address: string;
  readonly internalAddress: string;
}

async function startRepository({ config, configFile, log }: ProcessContext): Promise<RepositoryProcess> {
  // The repository trusts whoever knows the secret; when nobody chose one, this start does.
  const secret = config.dcsf.grants.secret || config.dcar.internal.secret || randomBytes(24).toString('base64url');
  const options: SupervisedOptions = {
    name: 'dcar',
    module: resolve(import.meta.dirname, 'dcar-process.ts'),
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
