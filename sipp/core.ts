import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { LOOPBACK, writeLabConfig } from '../src/lab/config-file.ts';
import { freePort } from '../src/lab/ports.ts';
import { LabChild } from '../src/lab/process/child.ts';
import { DTLS_DC_AS } from './dc-as.ts';
import { MF_PORTS } from './mf-ports.ts';
import type { LostMf } from './script/steps.ts';

/** `imsdc dcsf` and `imsdc mf` on loopback, set up as the scripts expect it. */
export interface Core {
  /** Where the UAC sends to: the same port on 127.0.0.1 and on ::1, UDP and TCP. */
  readonly port: number;
  /** For `[dc4]` in scripts: the command that asks this core's DCSF for channels. */
  readonly dc4: string;
  /** What the DCSF process holds right now. */
  holds(): Promise<Holdings>;
  /** Kills the DCSF process (-9) as soon as so many calls are up and on its disk, and starts it again; not after `over`. */
  restart(calls: number, over: AbortSignal): Promise<void>;
  /** The MF is lost as soon as so many calls are up, with the spare one running by then, if there is to be one. */
  loseMf(calls: number, over: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

export interface Holdings {
  readonly calls: number;
  /** MRM contexts. */
  readonly contexts: number;
}

/** The MF calls a DC AS when the channel opens, which it never does here: SIPp speaks no DTLS. Port 9 discards. */
const dcAs = { url: 'ws://127.0.0.1:9/', secret: 'scripts-speak-no-DTLS' } as const;

/**
 * What the scripts need beside the lab's own configuration: users with profiles of their own, applications that
 * end at a DC AS, enough media ports for a load (a freed one rests 30 s, R6), and no limit that a slow machine meets.
 */
export const POLICY = {
  imsAs: {
    maxCalls: 100_000,
    // The scripts judge what is answered, not how fast this machine is: an event loop that others keep from running
    // would turn calls away (503), and a DCSF that comes too late would cost a call its data channels (R17).
    overload: { loopLagMs: 0 },
    guards: { dcsfBudgetMs: 30_000, mrmMs: 30_000 },
  },
  dcsf: {
    policy: {
      dcAs: {
        '10000020': dcAs,
        '10000021': { ...dcAs, between: true },
        '10000022': { ...dcAs, interworking: true },
        '10000023': { ...DTLS_DC_AS, mdc2: 'UDP_PROXY' },
        '10000024': { ...DTLS_DC_AS, mdc2: 'UDP/DTLS/SCTP' },
      },
    },
    subscribers: {
      inline: {
        'sip:standalone@ims.example.com': { standalone: true },
        'sip:barred@ims.example.com': { allowed: false },
        'sip:one-application@ims.example.com': { applications: ['10000001'] },
        'sip:two-channels@ims.example.com': { maxChannels: 2 },
        'sip:no-a2p@ims.example.com': { a2p: false },
      },
    },
  },
  mf: { media: { firstPort: MF_PORTS.first.firstPort, lastPort: MF_PORTS.spare.lastPort } },
} as const;
/** Calls that find no other MF know it at once: nobody will start the one that was killed. */
const NO_MF_LIMIT_MS = 500;
/** An MF that is silent is given up a little sooner than by default: the scripts wait for it. */
const SILENCE = { probeMs: 500, patienceMs: 4_000 } as const;

/** Of `/status` of `imsdc dcsf`. */
export interface Status {
  readonly imsAs: Holdings & { readonly answeredCalls: number };
  readonly state: { readonly pending: number; readonly behind: number; readonly failed: boolean };
}

/**
 * So many calls are answered, acknowledged, and on the disk as they are. A call that rings has a record too, and one that
 * was just answered still has that of the ringing call: after a restart both are ended (docs/procedures.md 13).
 */
export function areUp({ imsAs, state }: Status, calls: number): boolean {
  return imsAs.answeredCalls >= calls && state.pending === 0 && state.behind === 0 && !state.failed;
}

const POLL_MS = 20;

export interface CoreNeeds {
  /** Its MF will be lost, so that each MF has media ports of its own. */
  readonly losing?: LostMf | undefined;
  /** `dcsf.policy.unauthorised`. Default `strip`. */
  readonly unauthorised?: 'strip' | 'refuse' | undefined;
}

/** Starts both and waits until they serve. Rejects LAB_PROCESS when one does not come up. */
export async function startCore({ losing, unauthorised = 'strip' }: CoreNeeds = {}): Promise<Core> {
  const directory = mkdtempSync(join(tmpdir(), 'imsdc-sipp-core-'));
  const [applicationServer, mrm, dc4] = [await freePort(LOOPBACK), await freePort(LOOPBACK), await freePort(LOOPBACK)];
  const spareMrm = losing?.spare ? await freePort(LOOPBACK) : undefined;
  const apps = resolve(import.meta.dirname, '../apps');
  const listeners = ['127.0.0.1', '::1'].flatMap((address) =>
    (['udp', 'tcp'] as const).map((transport) => ({ transport, address, port: applicationServer })),
  );
  const files = writeLabConfig({
    directory,
    apps,
    engine: 'auto',
    ports: { applicationServer, scscf: 0, mrm },
    overrides: {
      ...POLICY,
      ...(losing === undefined ? {} : { mf: { media: MF_PORTS.first } }),
      state: { dir: join(directory, 'state') },
      imsAs: { ...POLICY.imsAs, listeners, ...(losing === undefined ? {} : { mf: repairs(losing, mrm, spareMrm) }) },
      dcsf: { ...POLICY.dcsf, policy: { ...POLICY.dcsf.policy, unauthorised }, dc4: { enabled: true, port: dc4 } },
    },
  });
  const children: LabChild[] = [];
  const stop = async () => {
    for (const child of children) {
      // One that stands still would not hear that it is to end.
      child.process.kill('SIGCONT');
      await child.stop();
    }
    // A repository whose parent was killed ends a little later, and writes until then.
    rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  };
  try {
    const start = async (name: 'mf' | 'dcsf', log: string = name, config = files.config) => {
      const child = new LabChild({ name: log, args: [name, '--config', config], directory, speaks: 'ipc' });
      children.push(child);
      return { child, ready: await child.ready() };
    };
    const startSpare = (port: number) => {
      const ports = { applicationServer, scscf: 0, mrm: port };
      const place = join(directory, 'spare');
      mkdirSync(place);
      const overrides = { mf: { media: MF_PORTS.spare } };
      const { config } = writeLabConfig({ directory: place, apps, engine: 'auto', ports, overrides });
      return start('mf', 'mf-spare', config);
    };
    let [mf, dcsf] = await Promise.all([start('mf'), start('dcsf')]);
    const status = async () => {
      const { address, port } = dcsf.ready.admin as { address: string; port: number };
      return (await (await fetch(`http://${address}:${port}/status`)).json()) as Status;
    };
    const holds = async () => {
      const { calls, contexts } = (await status()).imsAs;
      return { calls, contexts };
    };
    const comeUp = async (calls: number, over: AbortSignal) => {
      while (!over.aborted && !areUp(await status(), calls)) await pause(POLL_MS);
      return !over.aborted;
    };
    const kill = async ({ child }: typeof mf) => {
      const died = child.next('died');
      child.process.kill('SIGKILL');
      await died;
    };
    const restart = async (calls: number, over: AbortSignal) => {
      if (!(await comeUp(calls, over))) return;
      await kill(dcsf);
      dcsf = await start('dcsf', 'dcsf-again');
    };
    const loseMf = async (calls: number, over: AbortSignal) => {
      if (!(await comeUp(calls, over))) return;
      // Not before: all calls are to be at the other one.
      const spare = spareMrm === undefined ? undefined : await startSpare(spareMrm);
      if (losing?.silent) mf.child.process.kill('SIGSTOP');
      else await kill(mf);
      if (spare !== undefined) mf = spare;
    };
    const script = resolve(import.meta.dirname, 'dc4.sh');
    const command = [script, `http://${LOOPBACK}:${dc4}`, dcAs.secret].join(' ');
    return { port: applicationServer, dc4: command, holds, restart, loseMf, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function repairs({ offer, spare, silent }: LostMf, ...mrm: readonly (number | undefined)[]) {
  const urls = mrm.filter((port) => port !== undefined).map((port) => `http://${LOOPBACK}:${port}`);
  const watch = silent ? SILENCE : {};
  return { urls, ...watch, repair: { offer: offer ?? 'inPlace', ...(spare ? {} : { limitMs: NO_MF_LIMIT_MS }) } };
}
