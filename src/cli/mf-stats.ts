import type { KeyStats } from '../mf/engine/types.ts';
import { readCommandLine, usage, type Write, writeOut } from './command-line.ts';
import { ADMIN_HELP, ADMIN_OPTIONS, fetchPage } from './mf-admin.ts';

const HELP = `imsdc mf stats [KEY]              of all associations and flows, or those whose key begins so

  --json          one JSON line per association
${ADMIN_HELP}

A key is the media context and a number: ctx#1. A flow (e2e) counts datagrams as messages; its streams are its sides.
`;

/** `imsdc mf stats`. Throws USAGE, MF_ADMIN. */
export async function mfStatsCommand(argv: string[], write: Write = writeOut): Promise<number> {
  const line = readCommandLine(argv, {
    help: HELP,
    words: true,
    write,
    options: { ...ADMIN_OPTIONS, json: { type: 'boolean', default: false } },
  });
  if (line === undefined) return 0;
  const { values, positionals } = line;
  const [key = '', ...more] = positionals;
  if (more.length > 0) throw usage('imsdc mf stats takes one key');
  const response = await fetchPage('/associations', { key }, values);
  const { associations } = (await response.json()) as { associations: readonly KeyStats[] };
  if (values.json) for (const one of associations) write(`${JSON.stringify(one)}\n`);
  else write(statsTable(associations));
  return 0;
}

const HEAD = [
  'KEY',
  'STREAM',
  'STATE',
  'FOR',
  'RTT',
  'BYTES IN',
  'BYTES OUT',
  'MSG IN',
  'MSG OUT',
  'BUFFERED',
  'RETRANS',
  'DROPPED',
];
/** Words to the left, numbers to the right. */
const WORDS = new Set([0, 1, 2]);

/** One line per association, one below it per stream, columns aligned. */
export function statsTable(associations: readonly KeyStats[]): string {
  if (associations.length === 0) return 'no associations\n';
  const rows = [
    HEAD,
    ...associations.flatMap((one) => [associationRow(one), ...one.streams.map((stream) => streamRow(one, stream))]),
  ];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const cell = (text: string, column: number) =>
    WORDS.has(column) ? text.padEnd(widths[column]!) : text.padStart(widths[column]!);
  return rows.map((row) => `${row.map(cell).join('  ').trimEnd()}\n`).join('');
}

type Figures = Pick<KeyStats, 'bytesReceived' | 'bytesSent' | 'messagesReceived' | 'messagesSent' | 'bufferedBytes'>;

function figures({ bytesReceived, bytesSent, messagesReceived, messagesSent, bufferedBytes }: Figures): string[] {
  return [bytesReceived, bytesSent, messagesReceived, messagesSent, bufferedBytes].map(String);
}

function associationRow(one: KeyStats): string[] {
  const rtt = one.rttUs === 0 ? '-' : `${(one.rttUs / 1_000).toFixed(1)} ms`;
  const { key, kind, way, state, stateAgeMs, retransmissions, dropped } = one;
  return [
    key,
    kind === 'flow' ? flowOf(way) : '',
    state,
    duration(stateAgeMs),
    rtt,
    ...figures(one),
    String(retransmissions),
    String(dropped),
  ];
}

/** `flow`, `flow kernel`, `flow (mtu)`: the kernel forwards it; it would, but for that. */
const flowOf = (way: KeyStats['way']) =>
  `flow${way?.path === 'kernel' ? ' kernel' : ''}${way?.refused ? ` (${way.refused})` : ''}`;

function streamRow({ kind }: KeyStats, stream: KeyStats['streams'][number]): string[] {
  const name = kind === 'flow' ? (stream.streamId === 0 ? 'side a' : 'side b') : String(stream.streamId);
  return ['', name, '', '', '', ...figures(stream), '', String(stream.dropped)];
}

function duration(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3_600)} h`;
}
