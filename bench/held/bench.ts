import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { stringify } from 'yaml';
import type { BenchOptions, BenchRow } from '../lib/rows.ts';
import type { MemoryReport } from './as-process.ts';
import { grantingMf, grantingRepository, urlOf } from './granting.ts';
import { HoldingPeers } from './sip-peers.ts';

/**
 * What a held call costs in memory: audio and one bootstrap line from the caller, another one added towards the callee,
 * both legs' SDP, the session of the DCSF and its grants. Measured after the transactions are over (64 x T1) and the
 * garbage is collected.
 */
const GOAL_BYTES = 12 * 1024;
const WARM_UP_CALLS = 4_000;
/** Timers B, F, H, J, L, M and the lingering of what they keep. */
const AFTER_TIMERS_MS = 40_000;

export async function rows(options: BenchOptions): Promise<BenchRow[]> {
  const calls = options.quick ? 2_000 : 10_000;
  const { perCall, resident } = await held(calls, options);
  return [
    {
      bench: 'held',
      row: `held call with one bootstrap line (${calls.toLocaleString('en-US')} of them), live memory`,
      ours: perCall / 1024,
      unit: 'KB/call',
      goal: '<= 12 KB',
      met: perCall <= GOAL_BYTES,
    },
    { bench: 'held', row: 'the same, resident', ours: resident / 1024, unit: 'KB/call', goal: 'reported', met: true },
  ];
}

async function held(calls: number, { progress }: BenchOptions): Promise<{ perCall: number; resident: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'imsdc-held-'));
  const [mf, repository] = [await grantingMf(), await grantingRepository()];
  const [warmUp, peers] = [new HoldingPeers(), new HoldingPeers()];
  const file = join(folder, 'imsdc.yaml');
  writeFileSync(
    file,
    stringify({
      roles: ['ims-as', 'dcsf'],
      imsAs: {
        listeners: [{ transport: 'udp', address: '127.0.0.1', port: 0 }],
        mf: { urls: [mf.origin] },
        udpMtuBytes: 0,
      },
      admin: { dcsfPort: 0 },
    }),
  );
  const child = fork(resolve(import.meta.dirname, 'as-process.ts'), [file, urlOf(repository)], {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  try {
    const [{ port }] = (await once(child, 'message')) as [{ port: number }];
    // The first thousands bring compiled code and shapes, megabytes that are there once and no call's.
    await warmUp.hold(port, { calls: WARM_UP_CALLS, first: calls });
    await warmUp.bye();
    progress(`${WARM_UP_CALLS} calls have come and gone; now until their transactions are over`);
    await setTimeout(AFTER_TIMERS_MS);
    const before = await ask(child);
    if (before.calls > 0) throw new Error(`${before.calls} calls of the warm-up have not ended`);
    await peers.hold(port, { calls });
    progress(`${calls} calls stand; now until their transactions are over`);
    await setTimeout(AFTER_TIMERS_MS);
    const after = await ask(child);
    if (after.calls < calls) throw new Error(`${calls - after.calls} calls are not held any more`);
    if (after.transactions > 0) throw new Error(`${after.transactions} transactions are still there`);
    const snapshot = process.env.IMSDC_BENCH_SNAPSHOT;
    if (snapshot !== undefined) {
      child.send(snapshot);
      await once(child, 'message');
    }
    const live = (of: MemoryReport) => of.heap + of.external;
    return { perCall: (live(after) - live(before)) / calls, resident: (after.resident - before.resident) / calls };
  } finally {
    child.kill('SIGKILL');
    warmUp.close();
    peers.close();
    await mf.close();
    repository.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function ask(child: ChildProcess): Promise<MemoryReport> {
  child.send('report');
  const [{ report }] = (await once(child, 'message')) as [{ report: MemoryReport }];
  return report;
}
