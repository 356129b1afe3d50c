import { mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createLogger, type Logger } from '../base/log.ts';
import { ImsdcError } from '../errors.ts';
import { ALICE, BOB, type ConfigObject, HOME_DOMAIN, type LabFiles, writeLabConfig } from './config-file.ts';
import { LabChild } from './process/child.ts';
import { UeProcess } from './process/ue-process.ts';
import { TraceRecorder } from './report/trace.ts';
import { type RunningScscf, startScscf } from './scscf/index.ts';
import { observedTransports, type SipObservation, summarise } from './sip-trace.ts';

export const LANES = ['Alice', 'S-CSCF', 'IMS AS', 'MF', 'Bob'] as const;

export interface WorldOptions {
  /** Default `.imsdc/lab`. */
  readonly directory?: string;
  readonly apps?: string;
  readonly engine?: 'auto' | 'embedded' | 'native';
  readonly overrides?: ConfigObject;
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
  readonly admin: { readonly mf: string; readonly dcsf: string };
  /** Rejects as soon as a process that should run has ended. */
  readonly failure: Promise<never>;
  close(): Promise<void>;
}

/** What was started so far, to be ended in reverse order. */
type Closer = () => Promise<void>;

/** Starts everything, each as soon as what it needs is ready. Ends what it started when one of them cannot start. */
export async function startWorld(options: WorldOptions): Promise<World> {
  const closers: Closer[] = [];
  const closeAll = async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  };
  try {
    return await start(options, closers, closeAll);
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function start(options: WorldOptions, closers: Closer[], close: Closer): Promise<World> {
  const directory = resolve(options.directory ?? '.imsdc/lab');
  const settings = {
    directory,
    apps: options.apps ?? resolve(import.meta.dirname, '../../apps'),
    engine: options.engine ?? 'auto',
    ...(options.overrides ? { overrides: options.overrides } : {}),
  };
  mkdirSync(directory, { recursive: true });
  // A former lab's packages would hide that seeding works.
  rmSync(join(directory, 'repository'), { recursive: true, force: true });
  const draft = writeLabConfig(settings);
  const child = (name: string): LabChild => {
    const started = new LabChild({ name, args: [name, '--config', draft.config], directory, speaks: 'ipc' });
    closers.push(() => started.stop());
    return started;
  };
  const mf = child('mf');
  const mfReady = await mf.ready();
  // The DCSF is told where the MF listens: the same file, now complete.
  const files = writeLabConfig({ ...settings, mfUrl: urlOf(mfReady.mrm) });
  const dcsf = child('dcsf');
  const dcsfReady = await dcsf.ready();
  const applicationServer = sipUriOf(dcsfReady.sip);

  const trace = new TraceRecorder(options.startedMs);
  const parties = new Map<string, string>([[applicationServer.slice('sip:'.length), 'IMS AS']]);
  const messages: (SipObservation & { party: string })[] = [];
  const observe = (observation: SipObservation) => {
    const party = parties.get(observation.peer) ?? observation.peer;
    messages.push({ ...observation, party });
    record(trace, observation, party);
  };
  const scscf = await startScscf(
    {
      address: '127.0.0.1',
      port: options.scscfPort ?? 0,
      homeDomain: HOME_DOMAIN,
      applicationServer,
      subscriptions: [
        [ALICE.identity, ALICE.tel],
        [BOB.identity, BOB.tel],
      ],
      minExpiresS: 1,
      defaultExpiresS: 3600,
      maxExpiresS: 7200,
      timerCMs: 200_000,
      applicationServerTimeoutMs: options.applicationServerTimeoutMs ?? 5000,
    },
    { log: scscfLog(directory), transports: observedTransports(observe) },
  );
  closers.push(() => scscf.close());
  const proxyUri = `sip:${scscf.address}:${scscf.port}`;

  const ue = async (name: 'alice' | 'bob', identity: string): Promise<UeProcess> => {
    const args = ['--identity', identity, '--proxy', proxyUri, ...(options.ueArgs?.[name] ?? [])];
    const started = new UeProcess({ name, directory, args });
    closers.push(() => started.child.stop());
    const died = new Promise<never>((_, reject) => started.child.on('died', reject));
    const ready = await Promise.race([started.event('ready'), died]);
    parties.set(String(ready.contact).split('@')[1]!, name === 'alice' ? 'Alice' : 'Bob');
    return started;
  };
  const [alice, bob] = await Promise.all([ue('alice', ALICE.identity), ue('bob', BOB.identity)]);
  const failure = new Promise<never>((_, reject) => {
    for (const one of [mf, dcsf, alice.child, bob.child]) one.on('died', reject);
  });
  // Whoever races against it sees the rejection; without a race it must not end the process.
  failure.catch(() => undefined);
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
    admin: { mf: adminUrl(mfReady), dcsf: adminUrl(dcsfReady) },
    failure,
    close,
  };
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

function scscfLog(_directory: string): Logger {
  return createLogger({ name: 'scscf', level: process.env.IMSDC_LOG ?? 'error' });
}

function urlOf(address: unknown): string {
  if (typeof address !== 'string')
    throw new ImsdcError('LAB_CHECK', { what: 'mf', problem: 'did not say where it listens' });
  return address.startsWith('http') ? address : `http://${address}`;
}

function sipUriOf(addresses: unknown): string {
  const [first] = Array.isArray(addresses) ? (addresses as { host: string; port: number }[]) : [];
  if (!first) throw new ImsdcError('LAB_CHECK', { what: 'dcsf', problem: 'did not say where its SIP is' });
  return `sip:${first.host}:${first.port}`;
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
