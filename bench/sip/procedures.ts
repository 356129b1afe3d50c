import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import type { MemoryReport } from '../held/as-process.ts';
import { grantingMf, grantingRepository, urlOf } from '../held/granting.ts';
import { HoldingPeers } from '../held/sip-peers.ts';
import { cpuMs } from '../lib/cpu.ts';
import type { BenchOptions, BenchRow } from '../lib/rows.ts';

/** A line of an application that is not anchored, as a UE adds it in mid-call. */
const P2P_LINE = [
  'm=application 52900 UDP/DTLS/SCTP webrtc-datachannel',
  'b=AS:500',
  'a=max-message-size:65536',
  'a=sctp-port:5000',
  'a=setup:actpass',
  'a=fingerprint:SHA-256 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF',
  'a=tls-id:p2p3de65cddef001be82',
  'a=dcmap:1000 subprotocol="app";label="1"',
  'a=3gpp-req-app:10000001;adc-stream-id-endpoint=1000-UE',
  '',
].join('\r\n');

/** What is done to every call of a batch, in this order. */
const STEPS: readonly { readonly row: string; run(peers: HoldingPeers): Promise<void> }[] = [
  {
    row: 're-INVITE: hold (audio sendonly)',
    run: (peers) => peers.reinvite((offer) => offer.replace('a=sendrecv', 'a=sendonly')),
  },
  {
    row: 're-INVITE: resume',
    run: (peers) => peers.reinvite((offer) => offer.replace('a=sendonly', 'a=sendrecv')),
  },
  { row: 're-INVITE that adds a P2P line', run: (peers) => peers.reinvite((offer) => offer + P2P_LINE) },
  { row: 'BYE of a call with three data channel lines', run: (peers) => peers.bye() },
];
const SETUP = 'set-up: audio and one bootstrap line';

/**
 * CPU of the AS and DCSF per procedure: batches of calls are set up and taken through one procedure after the other, with
 * fifty requests under way at any time. Caller, callee and an MF that grants everything are the measuring process, which
 * the scheduler puts where it likes; what is measured is the CPU of the measured process alone.
 */
export async function procedureRows(options: BenchOptions): Promise<BenchRow[]> {
  const calls = options.quick ? 1_000 : 3_000;
  const folder = mkdtempSync(join(tmpdir(), 'imsdc-procedures-'));
  const [mf, repository] = [await grantingMf(), await grantingRepository()];
  const file = join(folder, 'imsdc.yaml');
  const as = {
    listeners: [{ transport: 'udp', address: '127.0.0.1', port: 0 }],
    mf: { urls: [mf.origin] },
    udpMtuBytes: 0,
  };
  const policy = { applications: { unknown: 'pass' } };
  writeFileSync(file, stringify({ roles: ['ims-as', 'dcsf'], imsAs: as, dcsf: { policy }, admin: { dcsfPort: 0 } }));
  const child = fork(resolve(import.meta.dirname, '../held/as-process.ts'), [file, urlOf(repository)], {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  try {
    const [{ port }] = (await once(child, 'message')) as [{ port: number }];
    // The first batches are what the engine compiles by.
    for (let batch = 1; batch <= 2; batch++) await measure(child, port, { calls, first: batch * calls });
    const costs = await measure(child, port, { calls, first: 0 });
    return [...costs].map(([row, ms]) => {
      options.progress(`${row}: ${ms.toFixed(3)} ms`);
      return { bench: 'sip', row, ours: ms, unit: 'ms', goal: 'reported', met: true };
    });
  } finally {
    child.kill('SIGKILL');
    await mf.close();
    repository.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** CPU ms per call of each step of one batch. */
async function measure(child: ChildProcess, port: number, batch: { calls: number; first: number }) {
  const peers = new HoldingPeers();
  const costs = new Map<string, number>();
  try {
    for (const { row, run } of [{ row: SETUP, run: () => peers.hold(port, batch) }, ...STEPS]) {
      await collected(child);
      const before = cpuMs(child.pid!);
      await run(peers);
      costs.set(row, (cpuMs(child.pid!) - before) / batch.calls);
    }
  } finally {
    peers.close();
  }
  return costs;
}

/** Garbage of one step is not paid for in the next. */
async function collected(child: ChildProcess): Promise<void> {
  child.send('report');
  (await once(child, 'message')) as [{ report: MemoryReport }];
}
