import { type Dcsf, startDcsf } from '../dcsf/index.ts';
import { type ImsAs, type ImsAsPlace, startImsAs } from '../ims-as/index.ts';
import { GrantClient } from '../services/ndcar-client.ts';
import type { MediaControl } from '../services/nimsas.ts';
import type { Journal } from '../store/journal.ts';
import { missing, remoteDcsf, remoteImsAs } from './dc1.ts';
import type { ProcessContext } from './process.ts';
import { openState } from './state.ts';

/** How a DCSF reaches its repository. */
export interface RepositoryAddress {
  /** What the repository trusts a DCSF by. */
  readonly secret: string;
  /** Base of replacement URLs. */
  readonly address: string;
  readonly internalAddress: string;
}

/** The roles `ims-as` and `dcsf` of one process. */
export interface Functions {
  readonly imsAs: ImsAs | undefined;
  readonly dcsf: Dcsf | undefined;
  status(): object;
  /** SIGHUP: files that were moved away are opened anew. */
  reopenFiles(): void;
  close(): Promise<void>;
}

/** Starts those of the two that the configuration names, joined directly, or each with its peer elsewhere. */
export async function startFunctions(
  context: ProcessContext,
  repository: RepositoryAddress | undefined,
  place: ImsAsPlace = {},
): Promise<Functions> {
  const { config, log, metrics, token } = context;
  const closers: (() => Promise<void>)[] = [];
  const opened = <T extends { close(): Promise<void> }>(part: T): T => {
    closers.push(() => part.close());
    return part;
  };
  const state = await openState(context);
  if (state) opened(state);
  // Each of the two needs the other to exist: instructions cannot come before the first notification.
  let imsAs: ImsAs | undefined;
  const local: MediaControl = {
    mediaInstruction: (data, options) =>
      imsAs?.mediaControl.mediaInstruction(data, options) ?? Promise.reject(new Error('the IMS AS has not started')),
  };
  const dcsf = config.roles.includes('dcsf')
    ? opened(
        startDecision(context, {
          repository,
          mediaControl: config.roles.includes('ims-as') ? local : opened(remoteImsAs(context)),
          journal: state?.journal,
          opened,
        }),
      )
    : undefined;
  if (config.roles.includes('ims-as')) {
    const sessionEvents = dcsf?.sessionEvents ?? opened(remoteDcsf(context));
    imsAs = opened(
      await startImsAs(
        { ...config.imsAs, networkInitiated: networkInitiated(config) },
        {
          sessionEvents,
          log: log.child({ room: 'ims-as' }),
          metrics,
          token,
          journal: state?.journal,
          place,
        },
      ),
    );
    // A call that was cut off before its record was written: its session has nobody who would end it.
    if (state) dcsf?.keepOnly(imsAs.hasSession);
  }
  return {
    imsAs,
    dcsf,
    status: () => ({ imsAs: imsAs?.status(), dcsf: dcsf?.status(), state: state?.journal.status() }),
    reopenFiles: () => imsAs?.reopenFiles(),
    close: async () => {
      for (const close of closers.toReversed()) await close();
    },
  };
}

/** The DCSF, with its line to the repository, which may be a child of ours or elsewhere. */
function startDecision(
  context: ProcessContext,
  parts: {
    readonly repository: RepositoryAddress | undefined;
    readonly mediaControl: MediaControl;
    readonly journal: Journal | undefined;
    opened(grants: GrantClient): GrantClient;
  },
): Dcsf {
  const { repository, mediaControl, journal, opened } = parts;
  const { config, log, metrics, token } = context;
  const baseUrl = config.dcsf.mdc1.baseUrl ?? repository?.address;
  if (baseUrl === undefined) throw missing(context, 'dcsf.mdc1.baseUrl', 'is needed without the role dcar');
  const grants = opened(
    new GrantClient({
      url: repository?.internalAddress ?? config.dcsf.grants.url,
      secret: repository?.secret ?? config.dcsf.grants.secret,
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

/** Only DC4 begins channels in a call of voice alone: without it nobody would ask. Another DCSF may have reasons of its own. */
function networkInitiated({ dcsf, imsAs, roles }: ProcessContext['config']): boolean {
  return imsAs.networkInitiated ?? (!roles.includes('dcsf') || dcsf.dc4.enabled);
}
