import { type DcmapResult, isReliable, parseDcmap } from './dcmap.ts';
import { FIRST_APPLICATION_STREAM } from './requested-application.ts';
import type { DataChannelStream } from './types.ts';

/** TS 26.114 table 6.2.10.1-2. */
export const BOOTSTRAP_STREAM_IDS: ReadonlySet<number> = new Set([0, 10, 100, 110]);
/** Those whose content comes from the other network; `3gpp-bdc-used-by` speaks of them. */
export const REMOTE_BOOTSTRAP_STREAM_IDS: ReadonlySet<number> = new Set([100, 110]);

/** Channels read of one m-line; deployed handsets keep 10. More are left out, or a message of 64 KiB costs 5 ms. */
export const MAX_DCMAPS = 256;
/** Their settings read, a=dcsa. */
const MAX_DCSAS = 1024;

/**
 * The usable streams of a section from its a=dcmap and a=dcsa values; what is dropped is noted (ue-side.md 9).
 */
export function readStreams(dcmaps: readonly string[], dcsas: readonly string[], notes: string[]): DataChannelStream[] {
  if (dcmaps.length > MAX_DCMAPS) notes.push(`${dcmaps.length} dcmap lines: only the first ${MAX_DCMAPS} are read`);
  const results = dcmaps.slice(0, MAX_DCMAPS).map(parseDcmap);
  const seen = new Map<number, number>();
  for (const { streamId } of results) if (streamId !== undefined) seen.set(streamId, (seen.get(streamId) ?? 0) + 1);
  const settings = readStreamAttributes(dcsas, seen, notes);
  const streams: DataChannelStream[] = [];
  for (const result of results) {
    const problem = streamProblem(result, seen);
    if (problem !== undefined) notes.push(problem);
    else if ('stream' in result) {
      const dcsa = settings.get(result.streamId);
      streams.push(dcsa ? { ...result.stream, dcsa } : result.stream);
    }
  }
  return streams;
}

function streamProblem(result: DcmapResult, seen: ReadonlyMap<number, number>): string | undefined {
  // R14: with two meanings for one id neither can be trusted.
  if ((seen.get(result.streamId ?? -1) ?? 0) > 1) return `dcmap ${result.streamId}: id is given twice; both dropped`;
  if ('problem' in result) return result.problem;
  const { stream, streamId } = result;
  if (streamId >= FIRST_APPLICATION_STREAM) return undefined;
  // TS 26.114 6.2.10.1: ids below 1000 are HTTP bootstrap channels, ordered and reliable.
  if (!BOOTSTRAP_STREAM_IDS.has(streamId)) return `dcmap ${streamId}: not a bootstrap id (0, 10, 100, 110)`;
  if (stream.subprotocol.toLowerCase() !== 'http')
    return `dcmap ${streamId}: a bootstrap channel needs subprotocol "http"`;
  if (!stream.ordered || !isReliable(stream)) return `dcmap ${streamId}: a bootstrap channel is ordered and reliable`;
  return undefined;
}

const NO_SETTINGS: ReadonlyMap<number, readonly string[]> = new Map();

/** RFC 8864 5.2: `stream-id SP attribute`, only for ids that have a dcmap. */
function readStreamAttributes(
  dcsas: readonly string[],
  known: ReadonlyMap<number, number>,
  notes: string[],
): ReadonlyMap<number, readonly string[]> {
  if (dcsas.length === 0) return NO_SETTINGS;
  const settings = new Map<number, string[]>();
  for (const text of dcsas.slice(0, MAX_DCSAS)) {
    const [, id = '', setting = ''] = /^(\d{1,5})\s+(.+)$/.exec(text) ?? [];
    const streamId = Number(id);
    if (id === '' || !known.has(streamId)) {
      notes.push(`dcsa '${text.slice(0, 40)}' belongs to no dcmap`);
      continue;
    }
    const list = settings.get(streamId);
    if (list) list.push(setting);
    else settings.set(streamId, [setting]);
  }
  return settings;
}
