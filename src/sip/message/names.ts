import { TOKEN } from './chars.ts';

/** The headers that every message is checked for come first: their ids index small tables. */
export const VIA = 0;
export const FROM = 1;
export const TO = 2;
export const CALL_ID = 3;
export const CSEQ = 4;
export const CONTENT_LENGTH = 5;
export const MAX_FORWARDS = 6;
export const CHECKED_HEADERS = 7;
/** The id of a header that has none of its own. */
export const UNKNOWN = -1;

/** Long lower-case names; the position is the id. Anything else is kept just as well, by name. */
export const HEADER_NAMES: readonly string[] = (
  'via from to call-id cseq content-length max-forwards contact route record-route content-type require supported ' +
  'allow allow-events accept accept-contact accept-encoding accept-language alert-info authorization call-info ' +
  'content-disposition content-encoding content-language date event expires feature-caps geolocation history-info ' +
  'identity identity-info in-reply-to join mime-version min-expires min-se organization p-access-network-info ' +
  'p-asserted-identity p-asserted-service p-called-party-id p-charging-function-addresses p-charging-vector ' +
  'p-early-media p-preferred-identity p-preferred-service p-served-user p-visited-network-id path priority privacy ' +
  'proxy-authenticate proxy-authorization proxy-require rack reason recv-info refer-sub refer-to referred-by ' +
  'reject-contact replaces reply-to request-disposition resource-priority retry-after rseq security-client ' +
  'security-verify server service-route session-expires session-id subject subscription-state target-dialog ' +
  'timestamp unsupported user-agent user-to-user warning www-authenticate'
).split(' ');

/** Compact forms in use (IANA registry). */
const COMPACT: Readonly<Record<string, string>> = {
  a: 'accept-contact',
  b: 'referred-by',
  c: 'content-type',
  d: 'request-disposition',
  e: 'content-encoding',
  f: 'from',
  i: 'call-id',
  j: 'reject-contact',
  k: 'supported',
  l: 'content-length',
  m: 'contact',
  n: 'identity-info',
  o: 'event',
  r: 'refer-to',
  s: 'subject',
  t: 'to',
  u: 'allow-events',
  v: 'via',
  x: 'session-expires',
  y: 'identity',
};

const IDS = new Map<string, number>(HEADER_NAMES.map((name, id) => [name, id]));
for (const [short, long] of Object.entries(COMPACT)) IDS.set(short, IDS.get(long)!);

/** The id of a long lower-case name (or a compact form), or UNKNOWN. */
export function headerId(name: string): number {
  return IDS.get(name) ?? UNKNOWN;
}

// Open addressing by a hash of the name, so that no string is made to look a name up.
const SLOTS = 1024;
const slotId = new Int16Array(SLOTS).fill(UNKNOWN);
const slotName: string[] = new Array<string>(SLOTS).fill('');
for (const [name, id] of IDS) {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) | 0;
  let slot = hash & (SLOTS - 1);
  while (slotId[slot] !== UNKNOWN) slot = (slot + 1) & (SLOTS - 1);
  slotId[slot] = id;
  slotName[slot] = name;
}

/** Where `scanName` stopped: the end of the name. Read it at once. */
export let nameEnd = 0;

/** Reads the token at `start` and gives the id of that header, without making a string; its end is left in `nameEnd`. */
export function scanName(raw: string, start: number, end: number): number {
  let hash = 0;
  let at = start;
  for (; at < end; at++) {
    const code = raw.charCodeAt(at);
    if (TOKEN[code] !== 1) break;
    hash = (Math.imul(hash, 31) + (code | 0x20)) | 0;
  }
  nameEnd = at;
  for (let slot = hash & (SLOTS - 1); slotId[slot] !== UNKNOWN; slot = (slot + 1) & (SLOTS - 1)) {
    if (sameName(raw, start, at, slotName[slot]!)) return slotId[slot]!;
  }
  return UNKNOWN;
}

function sameName(raw: string, start: number, end: number, name: string): boolean {
  if (end - start !== name.length) return false;
  for (let i = 0; i < name.length; i++) if ((raw.charCodeAt(start + i) | 0x20) !== name.charCodeAt(i)) return false;
  return true;
}
