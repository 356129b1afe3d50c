/** `npm run bench -- <name>... [--json] [--quick]`: runs rigs and prints one table, or with --json one line per row. */
import { parseArgs } from 'node:util';
import { type BenchOptions, type BenchRow, table } from './lib/rows.ts';

type Rig = (options: BenchOptions) => Promise<BenchRow[]>;

/** Loaded when asked for: a rig may need programs that another machine lacks. */
const RIGS: Record<string, { what: string; load(): Promise<Rig> }> = {
  sip: { what: 'SIPp through the AS beside Kamailio', load: async () => (await import('./sip/bench.ts')).rows },
  held: { what: 'memory of 10,000 held calls', load: async () => (await import('./held/bench.ts')).rows },
  scale: {
    what: 'dcsf.workers behind one address, each capped to a quarter of a core',
    load: async () => (await import('./sip/scale.ts')).rows,
  },
  relay: {
    what: 'relay under load beside node-datachannel',
    load: async () => (await import('./native/relay.ts')).rows,
  },
  latency: {
    what: 'what the MF adds to a small message',
    load: async () => (await import('./native/latency.ts')).rows,
  },
  setup: { what: 'associations per second of MF CPU', load: async () => (await import('./native/setup.ts')).rows },
  memory: { what: 'idle associations: memory and CPU', load: async () => (await import('./native/memory.ts')).rows },
  datagram: {
    what: 'end-to-end datagrams beside Node and rtpengine',
    load: async () => (await import('./native/datagram.ts')).rows,
  },
  backpressure: {
    what: 'a reader that stalls under a full-speed sender',
    load: async () => (await import('./native/backpressure.ts')).rows,
  },
  call: { what: 'INVITE to open bootstrap channels, on the lab', load: async () => (await import('./call.ts')).rows },
  calls: {
    what: 'calls with bootstrap lines through AS and MF, SIPp at both ends',
    load: async () => (await import('./sip/calls.ts')).rows,
  },
  'datagram-kernel': {
    what: 'e2e datagrams forwarded by nftables, beside the same veth without us (root)',
    load: async () => (await import('./native/datagram-kernel.ts')).rows,
  },
  sbi: {
    what: 'the HTTP/2 client beside node:http2, and contexts per second',
    load: async () => (await import('./sbi/bench.ts')).rows,
  },
  state: {
    what: 'calls kept over a restart, beside node:sqlite',
    load: async () => (await import('./state.ts')).rows,
  },
  'sip-hostile': {
    what: 'CPU of one hostile message of 64 KiB',
    load: async () => (await import('./sip-hostile.ts')).rows,
  },
  'sip-parse': { what: 'parsing an IMS INVITE beside sip.js', load: async () => (await import('./sip-parse.ts')).rows },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false }, quick: { type: 'boolean', default: false } },
});
const unknown = positionals.filter((name) => !RIGS[name]);
if (positionals.length === 0 || unknown.length > 0) {
  const list = Object.entries(RIGS).map(([name, { what }]) => `  ${name.padEnd(17)}${what}`);
  process.stderr.write(
    `${unknown.length > 0 ? `no bench is called ${unknown.join(', ')}\n` : ''}npm run bench -- NAME... [--json] [--quick]\n${list.join('\n')}\n`,
  );
  process.exit(64);
}
const rows: BenchRow[] = [];
for (const name of positionals) {
  const rig = await RIGS[name]!.load();
  rows.push(...(await rig({ quick: values.quick, progress: (line) => process.stderr.write(`${name}: ${line}\n`) })));
}
if (values.json) for (const row of rows) process.stdout.write(`${JSON.stringify(row)}\n`);
else process.stdout.write(`${table(rows)}\n`);
process.exitCode = rows.every(({ met }) => met) ? 0 : 1;
