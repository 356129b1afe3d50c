import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BOB } from '../src/lab/config-file.ts';
import type { UeProcess } from '../src/lab/process/ue-process.ts';
import { startWorld, type World } from '../src/lab/world.ts';
import { type BenchOptions, type BenchRow, percentile } from './lib/rows.ts';

/** From the INVITE at the S-CSCF to the bootstrap channels open at Alice, on the lab: two network passes, real DTLS. */

const BOOTSTRAP_SLOTS = [1, 2];
/** JIT, first connections, first certificates. */
const WARM_UP_CALLS = 10;

/** When the association of `slot` came up, epoch ms. */
async function connectedAt(ue: UeProcess, slot: number): Promise<number> {
  const event = await ue.next(
    'event',
    ({ event: name, slot: at, state }) => name === 'association' && at === slot && state !== 'connecting',
  );
  if (event.state !== 'connected') throw new Error(`association of slot ${slot}: ${String(event.reason)}`);
  return event.at;
}

async function oneCall(world: World): Promise<{ answerMs: number; openMs: number }> {
  const before = world.messages.length;
  const opened = Promise.all(BOOTSTRAP_SLOTS.map((slot) => connectedAt(world.alice, slot)));
  await Promise.all([world.alice.run(`call ${BOB.identity}`), world.bob.run('answer')]);
  const openAt = Math.max(...(await Promise.race([opened, world.failure])));
  const messages = world.messages.slice(before).filter(({ party }) => party === 'Alice');
  const invite = messages.find(({ direction, wire }) => direction === 'in' && wire.startsWith('INVITE'));
  const answer = messages.find(({ direction, wire }) => direction === 'out' && wire.startsWith('SIP/2.0 200'));
  if (!invite || !answer) throw new Error('the S-CSCF has not seen the call');
  const ended = world.bob.run('wait ended');
  await world.alice.run('hangup');
  await ended;
  return { answerMs: answer.atMs - invite.atMs, openMs: openAt - invite.atMs };
}

export async function rows(options: BenchOptions): Promise<BenchRow[]> {
  const calls = options.quick ? 30 : 200;
  const directory = mkdtempSync(join(tmpdir(), 'imsdc-bench-call-'));
  const world = await startWorld({ directory, startedMs: Date.now() });
  try {
    await Promise.all([world.alice.run('register'), world.bob.run('register')]);
    const answer: number[] = [];
    const open: number[] = [];
    for (let done = -WARM_UP_CALLS; done < calls; done++) {
      const { answerMs, openMs } = await oneCall(world);
      if (done < 0) continue;
      answer.push(answerMs);
      open.push(openMs);
      if ((done + 1) % 50 === 0) options.progress(`${done + 1} of ${calls} calls`);
    }
    const row = (name: string, values: readonly number[], fraction: number): BenchRow => ({
      bench: 'call',
      row: name,
      ours: percentile(values, fraction),
      unit: 'ms',
      goal: 'reported',
      met: true,
    });
    return [
      row('INVITE to 200, median', answer, 0.5),
      row('INVITE to bootstrap channels open, median', open, 0.5),
      row('INVITE to bootstrap channels open, p99', open, 0.99),
    ];
  } finally {
    await world.close();
    rmSync(directory, { recursive: true, force: true });
  }
}
