import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from '../../src/lab/expect.ts';
import type { UeProcess } from '../../src/lab/process/ue-process.ts';
import { type Exit, exec, status, ueIn } from './containers.ts';
import type { Hosts } from './hosts.ts';

export type Operator = 'opa' | 'opb';
export const OPERATORS: readonly Operator[] = ['opa', 'opb'];
export const BOB = 'sip:bob@opb.example';

/** Nothing of a call may be left after so long; MF contexts are deleted beside the BYE (R18). */
const RELEASE_LIMIT_MS = 5_000;

/** The running containers as the steps see them. */
export interface Lab {
  readonly hosts: Hosts;
  readonly alice: UeProcess;
  readonly bob: UeProcess;
  close(): Promise<void>;
}

export function openLab(hosts: Hosts): Lab {
  const directory = mkdtempSync(join(tmpdir(), 'imsdc-compose-'));
  const ue = (name: string, identity: string, address: string, core: string) =>
    ueIn(hosts, name, directory, ['--identity', identity, '--address', address, '--proxy', `sip:${core}:5060`]);
  const alice = ue('alice', 'sip:alice@opa.example', '198.18.0.101', '198.18.0.2');
  const bob = ue('bob', BOB, '198.18.0.102', '198.18.0.3');
  return {
    hosts,
    alice,
    bob,
    close: async () => {
      await Promise.all([alice.child.stop(), bob.child.stop()]);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Alice calls, Bob answers. */
export async function connect({ alice, bob }: Lab): Promise<void> {
  const answered = bob.run('answer');
  await alice.run(`call ${BOB}`);
  await answered;
}

/** Alice hangs up; both ends have seen it. */
export async function disconnect({ alice, bob }: Lab): Promise<void> {
  const ended = bob.run('wait ended');
  await alice.run('hangup');
  await ended;
}

/** RTP packets that have come to `ue` so far. */
export async function received(ue: UeProcess): Promise<number> {
  return Number((await ue.run('audio')).received);
}

/** What `from` sends on a stream arrives at `to`, unchanged. */
export async function transfer(from: UeProcess, to: UeProcess, streamId: number, bytes: number): Promise<void> {
  const sent = await from.run(`send ${streamId} --random ${bytes}`);
  const got = await to.run(`receive ${streamId}`);
  expect(
    got.sha256 === sent.sha256,
    `stream ${streamId}`,
    `${from.name} sent ${sent.sha256}, ${to.name} got ${got.sha256}`,
  );
}

/** The next time that a channel of `ue` ends. */
export function closing(ue: UeProcess, streamId: number): Promise<unknown> {
  return ue.next('event', (e) => e.event === 'channel' && e.streamId === streamId && e.state === 'closed');
}

/** Ids of the open streams of the call, sorted. */
export async function streams(ue: UeProcess): Promise<number[]> {
  const { calls } = (await ue.run('status')) as unknown as {
    calls: { lines: { streams: { streamId: number; state: string }[] }[] }[];
  };
  const all = calls.flatMap(({ lines }) => lines.flatMap((line) => line.streams));
  return all
    .filter(({ state }) => state === 'open')
    .map(({ streamId }) => streamId)
    .sort((a, b) => a - b);
}

export interface Held {
  readonly calls: number;
  readonly sessions: number;
  readonly capabilities: number;
}

/** What an operator's AS and DCSF hold. */
export async function held({ hosts }: Lab, operator: Operator): Promise<Held> {
  const { imsAs, dcsf } = await status<{
    imsAs: { calls: number; capabilities: number };
    dcsf: { sessions: number };
  }>(hosts, `${operator}-dcsf`, 9091);
  return { calls: imsAs.calls, sessions: dcsf.sessions, capabilities: imsAs.capabilities };
}

/** Media contexts at an MF. */
export async function contextsAt({ hosts }: Lab, mf: string): Promise<number> {
  return (await status<{ contexts: number }>(hosts, mf, 9093)).contexts;
}

/** No call, session or context is left in either network. */
export async function expectReleased(lab: Lab, mfs: readonly string[]): Promise<void> {
  const deadline = Date.now() + RELEASE_LIMIT_MS;
  for (;;) {
    const functions = await Promise.all(OPERATORS.map((operator) => held(lab, operator)));
    const contexts = await Promise.all(mfs.map((mf) => contextsAt(lab, mf)));
    const left = [...functions.map(({ calls, sessions }) => calls + sessions), ...contexts];
    if (left.every((count) => count === 0)) return;
    const what = JSON.stringify({ functions, contexts });
    expect(Date.now() < deadline, 'released', `after ${RELEASE_LIMIT_MS} ms there is still ${what}`);
  }
}

export interface SippOutcome {
  readonly passed: boolean;
  readonly output: string;
}

const SCENARIOS = 'sipp/scenarios';
const UAC = '198.18.1.41';
const UAS = '198.18.1.42';
const LIMIT_S = 20;
/** The first failed check says it all; it quotes a whole message. */
const MAX_ERROR_TEXT = 3_000;

/** One pair of call scripts through an AS, one call: UAC and UAS in containers of their own. */
export async function sippPair({ hosts }: Lab, name: string, applicationServer: string): Promise<SippOutcome> {
  const end = (container: string, file: string, address: string, ...more: readonly string[]) =>
    exec(
      hosts,
      container,
      ...['sipp', '-sf', `${SCENARIOS}/${name}.${file}.xml`, '-inf', 'sipp/users.csv', '-i', address, '-p', '5060'],
      ...['-m', '1', '-nostdin', '-timeout', `${LIMIT_S}s`, '-timeout_error', ...more],
    );
  const [uas, uac] = await Promise.all([
    end('sipp-uas', 'uas', UAS),
    end('sipp-uac', 'uac', UAC, '-key', 'uas', `${UAS}:5060`, applicationServer),
  ]);
  const passed = uas.code === 0 && uac.code === 0;
  // Its screens go to standard output; what it holds against a message goes to standard error.
  return { passed, output: passed ? '' : `UAC ${failure(uac)}\nUAS ${failure(uas)}` };
}

function failure({ code, stderr }: Exit): string {
  return `exit code ${code}: ${stderr.slice(0, MAX_ERROR_TEXT)}`;
}
