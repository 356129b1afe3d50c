import type { DataChannelStream, RequestedApplication } from './types.ts';

type Channel = RequestedApplication['channels'][number];

/** Application channels start here (TS 26.114 6.2.10.1); lower ids are bootstrap. */
export const FIRST_APPLICATION_STREAM = 1000;

const CHANNEL = /^"?(\d{1,5})[-:/]?(UE|SERVER)"?$/i;
const PLMN = /^\d{3}[-.]?\d{2,3}$/;
const APPLICATION_KEY = /^(?:app|app-?id|application-?id|applicationidentifier)$/i;
const PLMN_KEY = /^(?:plmn|plmn-?id|network|network-?id)$/i;
const CHANNEL_KEY = /^(?:adc-)?stream-?id-?endpoint$/i;

/**
 * Reads an a=3gpp-req-app value. The published text does not fix its grammar, so this takes tokens apart at ';', ','
 * and blanks and knows them by shape: `<id>-UE`, `<id>-Server`, a PLMN, and the first other one as the application
 * id, each with or without a key. The attribute itself is always passed on verbatim. Undefined: no application id.
 */
export function parseRequestedApplication(text: string): RequestedApplication | undefined {
  let applicationId: string | undefined;
  let plmnId: string | undefined;
  const channels: Channel[] = [];
  for (const token of text.split(/[;,\s]+/)) {
    const { key, value } = splitKey(token);
    if (value === '') continue;
    const channel = CHANNEL.exec(value);
    if (channel && (key === undefined || CHANNEL_KEY.test(key))) {
      addChannel(channels, Number(channel[1]), channel[2]!.toUpperCase() === 'UE' ? 'UE' : 'SERVER');
    } else if (key === undefined ? PLMN.test(value) && applicationId !== undefined : PLMN_KEY.test(key)) {
      plmnId ??= value;
    } else if (key === undefined || APPLICATION_KEY.test(key)) {
      applicationId ??= value;
    }
  }
  if (applicationId === undefined) return undefined;
  return { applicationId, ...(plmnId === undefined ? {} : { plmnId }), channels, boundBy: 'attribute' };
}

const ENDPOINT = String.raw`"?\d{1,5}[-:/]?(?:UE|SERVER)"?`;
/** One list of `<id>-UE`, `<id>-Server`, with its key if it has one. */
const CHANNELS = new RegExp(String.raw`(^|[;,\s])([\w-]+[=:])?(${ENDPOINT}(?:,${ENDPOINT})*)(?=[;,\s]|$)`, 'gi');

/**
 * An a=3gpp-req-app value without the streams that do not go on (TS 26.114 6.2.10.3), everything else of it verbatim.
 * Undefined: it is about such streams only. A value without a stream list is about whatever is on the line, and stays.
 */
export function withoutChannels(text: string, keep: (streamId: number) => boolean): string | undefined {
  const channels = parseRequestedApplication(text)?.channels ?? [];
  if (channels.every(({ streamId }) => keep(streamId))) return text;
  if (!channels.some(({ streamId }) => keep(streamId))) return undefined;
  return text.replace(CHANNELS, (_, before: string, key: string | undefined, list: string) => {
    const left = list.split(',').filter((channel) => keep(Number.parseInt(channel.replace('"', ''), 10)));
    return left.length === 0 ? '' : `${before}${key ?? ''}${left.join(',')}`;
  });
}

/** `key=value` or `key:value`; the colon form only for keys we know, because application ids may hold colons. */
function splitKey(token: string): { key?: string; value: string } {
  const at = token.search(/[=:]/);
  const key = at === -1 ? '' : token.slice(0, at);
  const known = APPLICATION_KEY.test(key) || PLMN_KEY.test(key) || CHANNEL_KEY.test(key);
  if (at === -1 || (token[at] === ':' && !known)) return { value: unquote(token) };
  return { key, value: unquote(token.slice(at + 1)) };
}

function unquote(text: string): string {
  return text.replace(/^"(.*)"$/, '$1');
}

function addChannel(channels: Channel[], streamId: number, endpoint: Channel['endpoint']): void {
  if (!channels.some((c) => c.streamId === streamId)) channels.push({ streamId, endpoint });
}

const LABEL = /^(?:local_|remote_)?([^\s]+?)_(0|1|2|P2A|P2P|A2P)_(.+)$/i;

/**
 * The label form of deployed handsets: `[local_|remote_]<appId>_<useCase>_<dcId or name>`, use case 0 = P2A, 1 = P2P,
 * 2 = A2P (ue-side.md 2.4). Undefined: the label is no binding.
 */
export function parseBindingLabel(label: string): { applicationId: string; endpoint: Channel['endpoint'] } | undefined {
  const match = LABEL.exec(label);
  if (!match) return undefined;
  const useCase = match[2]!.toUpperCase();
  return { applicationId: match[1]!, endpoint: useCase === '1' || useCase === 'P2P' ? 'UE' : 'SERVER' };
}

/**
 * All bindings of a section: those of its a=3gpp-req-app lines, and by label for the application streams that no
 * line names. An attribute without a stream list binds all application streams it leaves; their endpoint is then
 * taken from the label, else UE.
 */
export function requestedApplications(
  lines: readonly string[],
  streams: readonly DataChannelStream[],
  notes: string[],
): RequestedApplication[] {
  if (lines.length === 0 && streams.every(({ streamId }) => streamId < FIRST_APPLICATION_STREAM)) return [];
  const applications: RequestedApplication[] = [];
  for (const text of lines) {
    const application = parseRequestedApplication(text);
    if (application) applications.push(application);
    else notes.push(`3gpp-req-app '${text.slice(0, 40)}' names no application`);
  }
  const named = new Set(applications.flatMap((a) => a.channels.map((c) => c.streamId)));
  const free = streams.filter((s) => s.streamId >= FIRST_APPLICATION_STREAM && !named.has(s.streamId));
  const open = applications.findIndex((a) => a.channels.length === 0);
  if (open !== -1) {
    const channels = free.map((s): Channel => {
      return { streamId: s.streamId, endpoint: parseBindingLabel(s.label)?.endpoint ?? 'UE' };
    });
    return applications.with(open, { ...applications[open]!, channels });
  }
  return [...applications, ...byLabel(free)];
}

function byLabel(streams: readonly DataChannelStream[]): RequestedApplication[] {
  const bound = new Map<string, Channel[]>();
  for (const stream of streams) {
    const binding = parseBindingLabel(stream.label);
    if (!binding) continue;
    const channels = bound.get(binding.applicationId) ?? [];
    addChannel(channels, stream.streamId, binding.endpoint);
    bound.set(binding.applicationId, channels);
  }
  return Array.from(bound, ([applicationId, channels]) => ({ applicationId, channels, boundBy: 'label' as const }));
}
