import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { statusOf, type World } from '../../src/lab/world.ts';
import type { IncomingCall } from '../../src/ue/call/incoming.ts';
import type { OutgoingCall } from '../../src/ue/call/outgoing.ts';
import type { CallOptions } from '../../src/ue/call/types.ts';
import type { UeOptions } from '../../src/ue/options.ts';
import { UserEquipment } from '../../src/ue/user-equipment.ts';

export interface Connected {
  readonly outgoing: OutgoingCall;
  readonly incoming: IncomingCall;
}

/** UEs that are registered at one proxy and closed together. */
export class UePark {
  readonly #proxy: () => string;
  readonly #ues: UserEquipment[] = [];

  constructor(proxy: () => string) {
    this.#proxy = proxy;
  }

  async ue(options: Partial<UeOptions> = {}): Promise<UserEquipment> {
    const identity = `sip:user${this.#ues.length + 1}@ims.lab`;
    const one = await UserEquipment.start({ identity, proxy: this.#proxy(), ...options });
    await one.register();
    this.#ues.push(one);
    return one;
  }

  async close(): Promise<void> {
    await Promise.all(this.#ues.map((ue) => ue.close()));
  }
}

/** `caller` calls `callee`, who answers. */
export async function connect(caller: UserEquipment, callee: UserEquipment, options?: CallOptions): Promise<Connected> {
  const answered = callee.answer();
  const outgoing = await caller.call(callee.identity, options);
  await outgoing.connected();
  return { outgoing, incoming: await answered };
}

/** A few more RTP packets both ways, each as it was sent. */
export async function speak({ outgoing, incoming }: Connected): Promise<void> {
  const [mine, theirs] = [outgoing.media.audio!.stream, incoming.media.audio!.stream];
  await Promise.all([mine.received(mine.counters.received + 3), theirs.received(theirs.counters.received + 3)]);
  assert.equal(mine.counters.corrupt + theirs.counters.corrupt, 0);
}

/** Stream ids of the live data channel lines of one side, line by line. */
export function liveLines(call: OutgoingCall | IncomingCall): number[][] {
  return [...call.media.dataLines()].map(({ line }) => [...line.channels.keys()]);
}

const RELEASE_LIMIT_MS = 10_000;

/** Waits until neither AS, DCSF nor MF holds anything. */
export async function nothingLeft(world: World): Promise<void> {
  let left: number[] = [];
  for (const deadline = Date.now() + RELEASE_LIMIT_MS; Date.now() < deadline; ) {
    const [mf, dcsf] = (await Promise.all([statusOf(world.admin.mf), statusOf(world.admin.dcsf)])) as [
      { contexts: number; associations: number; ports: { taken: number } },
      { imsAs: { calls: number; contexts: number }; dcsf: { sessions: number } },
    ];
    left = [mf.contexts, mf.associations, mf.ports.taken, dcsf.imsAs.calls, dcsf.imsAs.contexts, dcsf.dcsf.sessions];
    if (left.every((count) => count === 0)) return;
  }
  assert.deepEqual(left, [0, 0, 0, 0, 0, 0]);
}

/** Processes whose parent is `pid`. */
export function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((child) => parentOf(child) === pid);
}

function parentOf(pid: number): number {
  try {
    // pid (command) state ppid ...; the command may hold blanks and brackets
    return Number(readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)!.split(' ')[1]);
  } catch {
    return -1; // it has ended since it was listed
  }
}
