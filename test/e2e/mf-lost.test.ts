import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { LOOPBACK, writeLabConfig } from '../../src/lab/config-file.ts';
import { freePort } from '../../src/lab/ports.ts';
import { LabChild } from '../../src/lab/process/child.ts';
import { startWorld, statusOf, type World } from '../../src/lab/world.ts';
import type { IncomingCall } from '../../src/ue/call/incoming.ts';
import type { OutgoingCall } from '../../src/ue/call/outgoing.ts';
import type { ApplicationRequest } from '../../src/ue/media/application-line.ts';
import { type Connected, connect, speak, UePark } from './fixtures.ts';

const LIMIT_MS = 30_000;
/** Through the MFs, decrypted; and as datagrams. */
const DOODLE = { applicationId: '10000005', streamId: 1000 } as const;
const TAP_MENU = { applicationId: '10000006', streamId: 1002 } as const;

/** Slot of the caller's line for its own network. */
const OWN_LINE = 1;

interface AsStatus {
  readonly calls: number;
  readonly contexts: number;
  readonly reanchored: number;
  readonly givenUp: number;
  readonly mfs: readonly { name: string; contexts: number; lost: boolean }[];
}

function application({ applicationId, streamId }: { applicationId: string; streamId: number }): ApplicationRequest {
  return { applicationId, boundBy: 'attribute', channels: [{ streamId, endpoint: 'UE', name: 'a' }] };
}

/** The lab's functions with two MFs of our own instead of its one. */
class Lab {
  readonly directory = mkdtempSync(join(tmpdir(), 'imsdc-mf-lost-'));
  readonly park = new UePark(() => this.world.proxyUri);
  /** By the apiRoot that the AS knows. */
  readonly mfs = new Map<string, LabChild>();
  readonly #admins = new Map<string, string>();
  world!: World;

  async start(watch: { readonly patienceMs?: number } = {}): Promise<void> {
    const ports = await Promise.all([freePort(LOOPBACK), freePort(LOOPBACK)]);
    await Promise.all(ports.map((port, n) => this.#startMf(port, n)));
    this.world = await startWorld({
      directory: join(this.directory, 'world'),
      startedMs: performance.timeOrigin + performance.now(),
      overrides: { imsAs: { mf: { urls: [...this.mfs.keys()], probeMs: 300, ...watch } } },
    });
  }

  async #startMf(mrm: number, n: number): Promise<void> {
    const directory = join(this.directory, `mf${n}`);
    mkdirSync(directory);
    const files = writeLabConfig({
      directory,
      apps: resolve(import.meta.dirname, '../../apps'),
      engine: 'auto',
      ports: { applicationServer: 0, scscf: 0, mrm },
    });
    const child = new LabChild({ name: `mf${n}`, args: ['mf', '--config', files.config], directory, speaks: 'ipc' });
    const name = `http://${LOOPBACK}:${mrm}`;
    this.mfs.set(name, child);
    const { address, port } = (await child.ready()).admin as { address: string; port: number };
    this.#admins.set(name, `http://${address}:${port}`);
  }

  /** What the MF itself says that it holds. */
  async contextsAt(name: string): Promise<number> {
    return ((await statusOf(this.#admins.get(name)!)) as { contexts: number }).contexts;
  }

  async close(): Promise<void> {
    await this.park.close();
    await this.world?.close();
    for (const mf of this.mfs.values()) await mf.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }

  async as(): Promise<AsStatus> {
    return ((await statusOf(this.world.admin.dcsf)) as unknown as { imsAs: AsStatus }).imsAs;
  }

  /** Waits until the AS says so; fails with what it says instead. */
  async until(what: (as: AsStatus) => boolean): Promise<AsStatus> {
    for (const deadline = Date.now() + LIMIT_MS; ; await pause(20)) {
      const as = await this.as();
      if (what(as)) return as;
      assert.ok(Date.now() < deadline, JSON.stringify(as));
    }
  }
}

/** DTLS associations that each live line has begun so far. */
function associations(call: OutgoingCall | IncomingCall): number[] {
  return [...call.media.dataLines()].map(({ line }) => line.associations);
}

/** Once every association of `call` has been replaced as `expected` says, and is up. */
async function renewed(call: OutgoingCall | IncomingCall, expected: readonly number[]): Promise<void> {
  for (const deadline = Date.now() + LIMIT_MS; ; await pause(20)) {
    const states = [...call.media.dataLines()].map(({ line }) => line.state);
    const now = associations(call);
    if (now.join() === expected.join() && states.every((state) => state === 'connected')) return;
    assert.ok(Date.now() < deadline, `${now} ${states}, not ${expected}`);
  }
}

async function transfer(from: OutgoingCall | IncomingCall, to: OutgoingCall | IncomingCall, streamId: number) {
  const text = `over stream ${streamId} ${performance.now()}`;
  const [channel, far] = [await from.channel(streamId), await to.channel(streamId)];
  await channel.send(text, 'text');
  assert.equal((await far.receive()).data.toString(), text);
}

describe('an MF is killed in mid-call', { timeout: 180_000 }, () => {
  const lab = new Lab();
  before(() => lab.start());
  after(() => lab.close());

  // conformance: R25 — an MF that is killed: its lines go on at another one, with one new association each (R12)
  // conformance: R10 — datagrams between the UEs take another way; their association goes on
  it('every channel works again over the MF that is left, and the call notices nothing else', async () => {
    const [caller, callee] = [await lab.park.ue(), await lab.park.ue()];
    const call: Connected = await connect(caller, callee);
    await call.outgoing.openApplication(application(DOODLE));
    await call.outgoing.openApplication(application(TAP_MENU));
    for (const { streamId } of [DOODLE, TAP_MENU]) await transfer(call.outgoing, call.incoming, streamId);
    for (const streamId of [0, 100]) {
      await call.outgoing.channel(streamId);
      await call.incoming.channel(streamId);
    }
    // The originating and the terminating session, one at each MF: Alice's ends are with the first one.
    const { mfs } = await lab.as();
    assert.deepEqual(
      mfs.map(({ contexts }) => contexts),
      [1, 1],
    );
    const before = { outgoing: associations(call.outgoing), incoming: associations(call.incoming) };
    assert.deepEqual(before, { outgoing: [1, 1, 1, 1], incoming: [1, 1, 1, 1] });

    const victim = lab.mfs.get(mfs[0]!.name)!;
    const died = victim.next('died');
    victim.process.kill('SIGKILL');
    await died;
    await speak(call);
    const after = await lab.until(({ reanchored }) => reanchored === 1);
    assert.deepEqual(
      after.mfs.map(({ contexts, lost }) => [contexts, lost]),
      [
        [0, true],
        [2, false],
      ],
    );

    // Bootstrap 0 and 100 and the relayed line: one new association each; the datagrams keep theirs.
    await renewed(call.outgoing, [2, 2, 2, 1]);
    assert.equal((await (await caller.bootstrap(call.outgoing, 0)).list()).status, 200);
    const app = await (await caller.bootstrap(call.outgoing, 100)).application(DOODLE.applicationId);
    assert.ok(app.status === 200 && app.body.length > 1_000, 'an app download');
    for (const { streamId } of [DOODLE, TAP_MENU]) {
      await transfer(call.outgoing, call.incoming, streamId);
      await transfer(call.incoming, call.outgoing, streamId);
    }
    await renewed(call.incoming, [1, 1, 1, 1]);
    await speak(call);
    await call.outgoing.hangup();
    await call.incoming.ended();
    await lab.until(({ calls, contexts }) => calls === 0 && contexts === 0);
  });

  it('with none left the lines go to port 0, and the voice goes on', async () => {
    const [caller, callee] = [await lab.park.ue(), await lab.park.ue()];
    const call = await connect(caller, callee);
    await call.outgoing.channel(0);
    const { mfs } = await lab.as();
    const last = lab.mfs.get(mfs.find(({ lost }) => !lost)!.name)!;
    const died = last.next('died');
    last.process.kill('SIGKILL');
    await died;
    await lab.until(({ givenUp }) => givenUp >= 2);
    for (const deadline = Date.now() + LIMIT_MS; [...call.outgoing.media.dataLines()].length > 0; await pause(20))
      assert.ok(Date.now() < deadline, 'a line is left');
    await speak(call);
    await call.outgoing.hangup();
    await call.incoming.ended();
    await lab.until(({ calls }) => calls === 0);
  });
});

describe('an MF stands still in mid-call, and goes on', { timeout: 120_000 }, () => {
  const lab = new Lab();
  before(() => lab.start({ patienceMs: 4_000 }));
  after(() => lab.close());

  // conformance: R25 — an MF that was taken for lost and is back lets go of what nobody needs any more
  it('its lines have moved, and it keeps nothing of them once it is back', async () => {
    const call = await connect(await lab.park.ue(), await lab.park.ue());
    await call.outgoing.openApplication(application(DOODLE));
    await transfer(call.outgoing, call.incoming, DOODLE.streamId);
    const { mfs } = await lab.as();
    const { name } = mfs[0]!;
    assert.deepEqual([await lab.contextsAt(name), mfs[1]!.contexts], [1, 1]);
    const { process } = lab.mfs.get(name)!;
    process.kill('SIGSTOP');
    try {
      await lab.until(({ reanchored }) => reanchored === 1);
      await renewed(call.outgoing, [2, 2, 2]);
      await transfer(call.outgoing, call.incoming, DOODLE.streamId);
    } finally {
      process.kill('SIGCONT');
    }
    await lab.until((as) => as.mfs.every(({ lost }) => !lost));
    for (const deadline = Date.now() + LIMIT_MS; (await lab.contextsAt(name)) > 0; await pause(20))
      assert.ok(Date.now() < deadline, 'a context is left');
    // Neither UE is told anything by the end of the old ones.
    await transfer(call.incoming, call.outgoing, DOODLE.streamId);
    assert.deepEqual(
      [associations(call.outgoing), associations(call.incoming)],
      [
        [2, 2, 2],
        [1, 1, 1],
      ],
    );
    await call.outgoing.hangup();
    await call.incoming.ended();
    await lab.until(({ calls, contexts }) => calls === 0 && contexts === 0);
  });
});

describe('an MF with a multiplexed association is killed', { timeout: 120_000 }, () => {
  const lab = new Lab();
  before(() => lab.start());
  after(() => lab.close());

  // conformance: 23.228 Annex AC (multiplexing) — a multiplexed association is made anew at another MF, with all its far ends
  it('one new association carries the bootstrap channel and that of the peer again', async () => {
    const [caller, callee] = [await lab.park.ue({ multiplexing: true }), await lab.park.ue()];
    const call = await connect(caller, callee);
    await call.outgoing.openApplication(application(DOODLE), OWN_LINE);
    await transfer(call.outgoing, call.incoming, DOODLE.streamId);
    assert.deepEqual(associations(call.outgoing), [1, 1], 'the lines of both networks, and none for the application');
    const { mfs } = await lab.as();
    const victim = lab.mfs.get(mfs[0]!.name)!;
    const died = victim.next('died');
    victim.process.kill('SIGKILL');
    await died;
    await lab.until(({ reanchored }) => reanchored === 1);
    await renewed(call.outgoing, [2, 2]);
    assert.equal((await (await caller.bootstrap(call.outgoing, 0)).list()).status, 200);
    await transfer(call.outgoing, call.incoming, DOODLE.streamId);
    await transfer(call.incoming, call.outgoing, DOODLE.streamId);
    await speak(call);
    await call.outgoing.hangup();
    await call.incoming.ended();
    await lab.until(({ calls, contexts }) => calls === 0 && contexts === 0);
  });
});
