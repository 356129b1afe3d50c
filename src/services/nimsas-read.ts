import { requireValid } from '../sbi/validation.ts';
import { MediaInstructionData, SessionEventNotification } from './nimsas.ts';

/**
 * What peers of three schema generations send, as the one form our rooms know (network-side.md 3.6). Tolerated: inner
 * ids that differ from their map key or are missing (the key wins, row 19), stream objects of another type (row 4),
 * alpha proxy names (row 8). Throws 400 ProblemDetails (`SbiProblem`) for the rest.
 */
export function readNotification(body: unknown): SessionEventNotification {
  const value = withEntries(body, 'mediaInfoList', (media, mediaId) => ({ ...keyedStreams(media), mediaId }));
  requireValid<SessionEventNotification>(SessionEventNotification, value);
  return value;
}

export function readInstructions(body: unknown): MediaInstructionData {
  const value = withEntries(body, 'mediaInstructionSet', (instruction, mediaId) => ({
    ...modernProxy(keyedStreams(instruction)),
    mediaId,
  }));
  requireValid<MediaInstructionData>(MediaInstructionData, value);
  return value;
}

type Members = Readonly<Record<string, unknown>>;

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `value` with each entry of its map `member` rewritten; anything that is no map stays for the schema to refuse. */
function withEntries(value: unknown, member: string, rewrite: (entry: Members, key: string) => Members): unknown {
  if (!isMembers(value) || !isMembers(value[member])) return value;
  const entries = Object.entries(value[member]).map(([key, entry]) => [
    key,
    isMembers(entry) ? rewrite(entry, key) : entry,
  ]);
  return { ...value, [member]: Object.fromEntries(entries) };
}

/** The alpha schema calls the streams of a notification DcEndpoints, which have no streamId: the key says it. */
function keyedStreams(media: Members): Members {
  const { dcMediaSpecification: specification } = media;
  if (!isMembers(specification)) return media;
  const keyed = withEntries(specification, 'streams', (stream, key) => ({ ...stream, streamId: Number(key) }));
  return { ...media, dcMediaSpecification: keyed };
}

/** On DC1 the alpha `UDP` means datagrams untouched (network-side.md 3.4). */
const MODERN: Readonly<Record<string, string>> = { HTTP: 'HTTP_PROXY', UDP: 'UDP_PROXY' };

function modernProxy(instruction: Members): Members {
  const { dcMediaSpecification: specification } = instruction;
  if (!isMembers(specification) || typeof specification.mediaProxyConfig !== 'string') return instruction;
  const { mediaProxyConfig: proxy } = specification;
  const modern = Object.hasOwn(MODERN, proxy) ? MODERN[proxy] : proxy;
  return { ...instruction, dcMediaSpecification: { ...specification, mediaProxyConfig: modern } };
}
