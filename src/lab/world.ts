import { mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createLogger } from '../base/log.ts';
import { ImsdcError } from '../errors.ts';
import {
  ALICE,
  BOB,
  type ConfigObject,
  DC_AS_SECRET,
  type LabFiles,
  LOOPBACK,
  MENU_APPLICATION,
  writeLabConfig,
} from './config-file.ts';
import { freePort } from './ports.ts';
import { LabChild } from './process/child.ts';
import { UeProcess } from './process/ue-process.ts';
import { TraceRecorder } from './report/trace.ts';
import { type RunningScscf, SCSCF_DEFAULTS, startScscf } from './scscf/index.ts';
import { observedTransports, type SipObservation, summarise } from './sip-trace.ts';

export type { ConfigObject };

export const LANES = ['Alice', 'S-CSCF', 'IMS AS', 'MF', 'DC AS', 'Bob'] as const;

export interface WorldOptions {
  /** Default `.imsdc/lab`. */
  readonly directory?: string;
  readonly apps?: string;
  readonly engine?: 'auto' | 'embedded' | 'native';
  readonly overrides?: ConfigObject;
  /** Starts the sample DC AS, too: the customer-service menu. Default false. */
  readonly dcAs?: boolean;
  /** More options of `imsdc ue` for one of them: tests of bad cases. */
  readonly ueArgs?: { readonly alice?: readonly string[]; readonly bob?: readonly string[] };
  /** 0: any free port. */
  readonly scscfPort?: number;
  readonly applicationServerTimeoutMs?: number;
  readonly startedMs: number;
}

/** The processes of a lab: both network functions, the S-CSCF (in this process), two UEs. */
export interface World {
  readonly files: LabFiles;
  readonly mf: LabChild;
  readonly dcsf: LabChild;
  readonly scscf: RunningScscf;
  readonly alice: UeProcess;
  readonly bob: UeProcess;
  readonly trace: TraceRecorder;
  /** Every SIP message that passed the S-CSCF, in order. */
  readonly messages: readonly (SipObservation & { readonly party: string })[];
  /** URI of the S-CSCF, for scripts of people. */
  readonly proxyUri: string;
  /** Where ISC of the AS is. */
  readonly applicationServer: string;
  /** Where the DC AS takes channels; null: there is none. */
  readonly dcAs: string | null;
  readonly admin: { readonly mf: string; readonly dcsf: string };
  /** Rejects as soon as a process that should run has ended. */
  readonly failure: Promise<never>;
  close(): Promise<void>;
}

/** What was started so far, to be ended in reverse order. */
type Closer = () => Promise<void>;

/** Somebody else may take a port between our looking and our binding: then all of it is tried again on others. */
const START_ATTEMPTS = 3;

/** Starts everything at once and waits until all of it is ready. Ends what it started when one of them cannot start. */
export async function startWorld(options: WorldOptions): Promise<World> {
  for (let attempt = 1; ; attempt++) {
    const closers: Closer[] = [];
    const closeAll = async () => {
      for (const close of closers.splice(0).toReversed()) await close();
    };
    try {
      return await start(options, closers, closeAll);
    } catch (error) {
      await closeAll();
      if (attempt === START_ATTEMPTS || !portWasTaken(error)) throw error;
    }
  }
}

function portWasTaken(error: unknown): boolean {
  return error instanceof ImsdcError && /EADDRINUSE/.test(`${error.message} ${error.details.problem}`);
}

async function start(options: WorldOptions, closers: Closer[], close: Closer): Promise<World> {
  const directory = resolve(options.directory ?? '.imsdc/lab');
  mkdirSync(directory, { recursive: true });
  // A former lab's packages would hide that seeding works.
  rmSync(join(directory, 'repository'), { recursive: true, force: true });
  const [applicationServerPort, scscfPort, mrm, dcAsPort] = await Promise.all([
    freePort(LOOPBACK),
    options.scscfPort || freePort(LOOPBACK),
    freePort(LOOPBACK),
    options.dcAs ? freePort(LOOPBACK) : undefined,
  ]);
  const files = writeLabConfig({
    directory,
    apps: options.apps ?? resolve(import.meta.dirname, '../../apps'),
    engine: options.engine ?? 'auto',
    ports: { applicationServer: applicationServerPort, scscf: scscfPort, mrm, ...(dcAsPort && { dcAs: dcAsPort }) },
    ...(options.overrides ? { overrides: options.overrides } : {}),
  });
  const applicationServer = `sip:${LOOPBACK}:${applicationServerPort}`;
  const proxyUri = `sip:${LOOPBACK}:${scscfPort}`;

  const trace = new TraceRecorder(options.startedMs);
  const parties = new Map<string, string>([[`${LOOPBACK}:${applicationServerPort}`, 'IMS AS']]);
  const messages: (SipObservation & { party: string })[] = [];
  const observe = (observation: SipObservation) => {
    const party = partyOf(parties, observation);
    messages.push({ ...observation, party });
    record(trace, observation, party);
  };
  const scscf = await startScscf(
    {
      ...SCSCF_DEFAULTS,
      port: scscfPort,
      applicationServer,
      subscriptions: [
        [ALICE.identity, ALICE.tel],
        [BOB.identity, BOB.tel],
      ],
      ...(options.applicationServerTimeoutMs ? { applicationServerTimeoutMs: options.applicationServerTimeoutMs } : {}),
    },
    {
      log: createLogger({ name: 'scscf', level: process.env.IMSDC_LOG ?? 'error' }),
      transports: observedTransports(observe),
    },
  );
  closers.push(() => scscf.close());

  const networkFunction = (name: 'mf' | 'dcsf'): LabChild => {
    const child = new LabChild({ name, args: [name, '--config', files.config], directory, speaks: 'ipc' });
    closers.push(() => child.stop());
    return child;
  };
  const ue = (name: 'alice' | 'bob', identity: string): UeProcess => {
    const args = ['--identity', identity, '--proxy', proxyUri, ...(options.ueArgs?.[name] ?? [])];
    const started = new UeProcess({ name, directory, args });
    closers.push(() => started.child.stop());
    return started;
  };
  const dcAs =
    dcAsPort === undefined
      ? undefined
      : new LabChild({
          name: 'dc-as',
          args: ['dc-as', '--menu', MENU_APPLICATION, '--port', String(dcAsPort)],
          directory,
          env: { IMSDC_DC_AS_SECRET: DC_AS_SECRET },
          speaks: 'ipc',
        });
  if (dcAs) closers.push(() => dcAs.stop());
  const mf = networkFunction('mf');
  const dcsf = networkFunction('dcsf');
  const alice = ue('alice', ALICE.identity);
  const bob = ue('bob', BOB.identity);
  const failure = new Promise<never>((_, reject) => {
    for (const one of [mf, dcsf, alice.child, bob.child, dcAs]) one?.on('died', reject);
  });
  // Whoever races against it sees the rejection; without a race it must not end the process.
  failure.catch(() => undefined);
  const [mfReady, dcsfReady, aliceReady, bobReady] = await Promise.race([
    Promise.all([mf.ready(), dcsf.ready(), alice.event('ready'), bob.event('ready'), dcAs?.ready()]),
    failure,
  ]);
  parties.set(String(aliceReady.contact).split('@')[1]!, 'Alice');
  parties.set(String(bobReady.contact).split('@')[1]!, 'Bob');
  return {
    files,
    mf,
    dcsf,
    scscf,
    alice,
    bob,
    trace,
    messages,
    proxyUri,
    applicationServer,
    dcAs: dcAsPort === undefined ? null : `ws://${LOOPBACK}:${dcAsPort}/channels`,
    admin: { mf: adminUrl(mfReady), dcsf: adminUrl(dcsfReady) },
    failure,
    close,
  };
}

/** Who is at the other end. A TCP connection has a port of its own: its first request says by its Via whose it is. */
function partyOf(parties: Map<string, string>, { peer, direction, wire }: SipObservation): string {
  const sentBy = /^(?:Via|v): SIP\/2\.0\/\w+ ([^;\s]+)/im.exec(wire)?.[1];
  const known = parties.get(peer);
  if (known !== undefined || direction === 'out' || wire.startsWith('SIP/')) return known ?? peer;
  const named = parties.get(sentBy ?? '');
  if (named !== undefined) parties.set(peer, named);
  return named ?? peer;
}

function record(trace: TraceRecorder, { direction, wire, atMs }: SipObservation, party: string): void {
  if (!(LANES as readonly string[]).includes(party)) return;
  const { label, summary, minor } = summarise(wire);
  trace.add({
    kind: 'arrow',
    atMs: trace.since(atMs),
    from: direction === 'in' ? party : 'S-CSCF',
    to: direction === 'in' ? 'S-CSCF' : party,
    label,
    detail: wire,
    protocol: 'sip',
    minor,
    ...(summary === undefined ? {} : { summary }),
  });
}

function adminUrl(ready: Readonly<Record<string, unknown>>): string {
  const { address, port } = ready.admin as { address: string; port: number };
  return `http://${address}:${port}`;
}

/** `GET /status` of a process. */
export async function statusOf(adminUrl: string): Promise<Readonly<Record<string, unknown>>> {
  const response = await fetch(`${adminUrl}/status`);
  if (!response.ok)
    throw new ImsdcError('LAB_CHECK', { what: `${adminUrl}/status`, problem: `HTTP ${response.status}` });
  return (await response.json()) as Readonly<Record<string, unknown>>;
}
