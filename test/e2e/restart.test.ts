import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { LOOPBACK } from '../../src/lab/config-file.ts';
import { freePort } from '../../src/lab/ports.ts';
import { LabChild } from '../../src/lab/process/child.ts';
import { startWorld, statusOf, type World } from '../../src/lab/world.ts';
import type { ApplicationRequest } from '../../src/ue/media/application-line.ts';
import type { UserEquipment } from '../../src/ue/user-equipment.ts';
import { type Connected, childrenOf, connect, liveLines, nothingLeft, speak, UePark } from './fixtures.ts';

const LIMIT_MS = 20_000;

interface DcsfStatus {
  readonly imsAs: { calls: number; answeredCalls: number; contexts: number };
  readonly dcsf: { sessions: number; media: number };
  readonly state: { stored: number; pending: number; behind: number };
}

function application(applicationId: string, streamId: number): ApplicationRequest {
  return { applicationId, boundBy: 'attribute', channels: [{ streamId, endpoint: 'UE', name: 'a' }] };
}

/** Real processes, and an `imsdc dcsf` that is killed and started again whenever a test says so. */
class Lab {
  readonly directory = mkdtempSync(join(tmpdir(), 'imsdc-restart-'));
  readonly park = new UePark(() => this.world.proxyUri);
  world!: World;
  #starts = 0;
  readonly #leaseMs: number;
  readonly #workers: number;

  /** `leaseMs`: silent owners keep their contexts so long at the MF. */
  constructor({ leaseMs = 60_000, workers = 1 }: { leaseMs?: number; workers?: number } = {}) {
    this.#leaseMs = leaseMs;
    this.#workers = workers;
  }

  async start(): Promise<void> {
    const [mdc1, internal] = await Promise.all([freePort(LOOPBACK), freePort(LOOPBACK)]);
    this.world = await startWorld({
      directory: this.directory,
      startedMs: performance.timeOrigin + performance.now(),
      overrides: {
        state: { dir: join(this.directory, 'state'), writeEveryMs: 20 },
        // What the MF was told of the repository must hold for the next process too.
        dcar: { mdc1: { port: mdc1 }, internal: { port: internal } },
        imsAs: { mf: { probeMs: 500 } },
        dcsf: { workers: this.#workers },
        mf: { leaseMs: this.#leaseMs },
      },
    });
  }

  async close(): Promise<void> {
    await this.park.close();
    await this.world?.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  async status(): Promise<DcsfStatus> {
    return (await statusOf(this.world.admin.dcsf)) as unknown as DcsfStatus;
  }

  /** Everything that has changed is on the disk: so many calls and sessions of the DCSF. */
  async stored(calls: number): Promise<void> {
    for (const deadline = Date.now() + LIMIT_MS; ; await pause(10)) {
      const { state, dcsf } = await this.status();
      if (state.stored === calls + dcsf.sessions && state.pending === 0 && state.behind === 0) return;
      assert.ok(Date.now() < deadline, JSON.stringify({ state, dcsf }));
    }
  }

  /** kill -9, and a new process of the same configuration. `meanwhile` runs while there is none. */
  async crash(meanwhile: () => Promise<void> = async () => undefined): Promise<void> {
    const { dcsf, files } = this.world;
    const died = dcsf.next('died');
    dcsf.process.kill('SIGKILL');
    await died;
    await meanwhile();
    const next = new LabChild({
      name: `dcsf-${++this.#starts}`,
      args: ['dcsf', '--config', files.config],
      directory: this.directory,
      speaks: 'ipc',
    });
    const { admin } = (await next.ready()) as { admin: { address: string; port: number } };
    const before = this.world;
    this.world = {
      ...before,
      dcsf: next,
      admin: { ...before.admin, dcsf: `http://${admin.address}:${admin.port}` },
      close: async () => {
        await next.stop();
        await before.close();
      },
    };
  }

  async call(): Promise<Connected & { readonly caller: UserEquipment }> {
    const [caller, callee] = [await this.park.ue(), await this.park.ue()];
    const call = await connect(caller, callee);
    await call.outgoing.channel(0);
    // The lab passes both ends of a call through this AS: two sessions.
    await this.stored(2);
    return { ...call, caller };
  }
}

describe('imsdc dcsf is killed and started again in mid-call', { timeout: 180_000 }, () => {
  const lab = new Lab();
  before(() => lab.start());
  after(() => lab.close());

  // conformance: 23.228 AC.7.1 — a bootstrap channel goes on while the AS and the DCSF are gone, and its content after
  it('the bootstrap channel works on, a new application channel opens, and the caller hangs up', async () => {
    const call = await lab.call();
    const lines = liveLines(call.outgoing);
    const mfBefore = await statusOf(lab.world.admin.mf);
    await lab.crash(async () => {
      await speak(call);
      // The association is the MF's affair; only the content behind it is away with the repository.
      const channel = await call.outgoing.channel(0);
      assert.equal(channel.state, 'open');
    });
    const status = await lab.status();
    assert.deepEqual([status.imsAs.calls, status.imsAs.contexts, status.dcsf.sessions], [2, 2, 2]);
    assert.equal(status.imsAs.answeredCalls, 2);
    assert.equal((await (await call.caller.bootstrap(call.outgoing, 0)).list()).status, 200);
    const channels = await call.outgoing.openApplication(application('10000005', 1002));
    const far = await call.incoming.channel(1002);
    await channels[0]!.send('still here', 'text');
    assert.equal((await far.receive()).data.toString(), 'still here');
    assert.equal(liveLines(call.outgoing).length, lines.length + 1);
    // A refresh: nothing changes, and nothing breaks.
    await call.incoming.setDirection('sendrecv');
    await call.outgoing.setDirection('sendrecv');
    await speak(call);
    const mfAfter = await statusOf(lab.world.admin.mf);
    assert.equal(mfAfter.contexts, mfBefore.contexts);
    await call.outgoing.hangup();
    await call.incoming.ended();
    await nothingLeft(lab.world);
  });

  it('the callee hangs up after a restart', async () => {
    const call = await lab.call();
    await lab.crash();
    await call.incoming.hangup();
    await call.outgoing.ended();
    await nothingLeft(lab.world);
  });

  it('two restarts in a row, and what was added in between', async () => {
    const call = await lab.call();
    await lab.crash();
    await call.incoming.setDirection('sendonly');
    await call.incoming.setDirection('sendrecv');
    await call.outgoing.openApplication(application('10000001', 1000));
    await lab.stored(2);
    await lab.crash();
    const [channel] = await call.incoming.openApplication(application('10000005', 1004));
    await channel!.send('twice', 'text');
    assert.equal((await (await call.outgoing.channel(1004)).receive()).data.toString(), 'twice');
    await speak(call);
    await call.outgoing.hangup();
    await call.incoming.ended();
    await nothingLeft(lab.world);
  });

  // conformance: R25 — media events reach the process that has taken the calls over
  it('a media worker that dies after the restart: the new process re-anchors its lines', async () => {
    const call = await lab.call();
    await lab.crash();
    const ended = call.outgoing.next('negotiated');
    process.kill(childrenOf(lab.world.mf.process.pid!)[0]!, 'SIGKILL');
    await ended;
    await speak(call);
    await call.outgoing.hangup();
    await call.incoming.ended();
    await nothingLeft(lab.world);
  });

  it('a call that rings is ended on both sides, and its contexts are given back', async () => {
    const [caller, callee] = [await lab.park.ue(), await lab.park.ue()];
    const outgoing = await caller.call(callee.identity);
    await outgoing.next('state', (state) => state === 'ringing');
    await lab.stored(2);
    const [incoming] = callee.calls;
    const [failed, stopped] = [outgoing.ended(), incoming!.ended()];
    await lab.crash();
    assert.equal((await failed).status, 500);
    assert.deepEqual([(await stopped).by, (await stopped).status], ['peer', 487]);
    await nothingLeft(lab.world);
    // And the next one is none the worse for it.
    const again = await lab.call();
    await again.outgoing.hangup();
    await again.incoming.ended();
    await nothingLeft(lab.world);
  });
});

describe('a worker of imsdc dcsf is killed', { timeout: 120_000 }, () => {
  const lab = new Lab({ workers: 2 });
  before(() => lab.start());
  after(() => lab.close());

  // conformance: R21 — a restarted worker has its calls again, and the dispatcher routes to it by its number
  it('it is started again, with its own directory, and its calls go on', async () => {
    const call = await lab.call();
    const { dcar } = (await statusOf(lab.world.admin.dcsf)) as { dcar: { pid: number } };
    const workers = childrenOf(lab.world.dcsf.process.pid!).filter((pid) => pid !== dcar.pid);
    assert.equal(workers.length, 2);
    for (const pid of workers) process.kill(pid, 'SIGKILL');
    await call.outgoing.openApplication(application('10000005', 1006));
    await call.incoming.channel(1006);
    assert.equal((await (await call.caller.bootstrap(call.outgoing, 0)).list()).status, 200);
    await call.incoming.hangup();
    await call.outgoing.ended();
    await nothingLeft(lab.world);
  });
});

describe('imsdc dcsf is killed, and its state with it', { timeout: 120_000 }, () => {
  // Shorter than a start takes: whether the new process comes before it ends or after does not matter here.
  const lab = new Lab({ leaseMs: 1_000 });
  before(() => lab.start());
  after(() => lab.close());

  // conformance: R25 — contexts that no call holds end with the lease of the process that made them
  it('without what was stored, the MF gives everything back when the lease of the former process ends', async () => {
    const call = await lab.call();
    await lab.crash(async () => rmSync(join(lab.directory, 'state'), { recursive: true }));
    assert.equal((await lab.status()).imsAs.calls, 0);
    await nothingLeft(lab.world);
    // The handsets notice it as they would with any network element that is gone: 481.
    await call.outgoing.hangup();
    await call.incoming.hangup();
  });

  it('a second process on the same directory is refused', async () => {
    const second = new LabChild({
      name: 'dcsf-second',
      args: ['dcsf', '--config', lab.world.files.config],
      directory: lab.directory,
      speaks: 'ipc',
    });
    await assert.rejects(second.ready(), /state\.dir \S+ is in use by another process/);
    assert.equal(second.process.exitCode, 75);
  });
});
