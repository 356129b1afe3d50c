/** The 3gpp-Sbi-* header fields we use (TS 29.500 5.2.3). Names in lower case, as HTTP/2 carries them. */
export const SBI_HEADER = {
  callback: '3gpp-sbi-callback',
  maxResponseTime: '3gpp-sbi-max-rsp-time',
  messagePriority: '3gpp-sbi-message-priority',
  requestInfo: '3gpp-sbi-request-info',
  senderTimestamp: '3gpp-sbi-sender-timestamp',
} as const;

/** TS 29.500 6.8.4: 0 is the highest, 31 the lowest; this one applies when none is given. */
export const DEFAULT_MESSAGE_PRIORITY = 24;

/** 5 digits of ms (TS 29.500 5.2.3.2). */
const MAX_RESPONSE_TIME_MS = 99_999;

/** A header value may be a list in one field or in several; the first one counts. */
type HeaderValue = string | string[] | undefined;
const first = (value: HeaderValue): string | undefined => (Array.isArray(value) ? value[0] : value);

export function formatMaxResponseTime(remainingMs: number): string {
  return String(Math.min(Math.max(1, Math.floor(remainingMs)), MAX_RESPONSE_TIME_MS));
}

/** Milliseconds, or undefined when absent or not 1 to 5 digits. */
export function parseMaxResponseTime(value: HeaderValue): number | undefined {
  const text = first(value);
  return text !== undefined && /^[0-9]{1,5}$/.test(text) ? Number(text) : undefined;
}

let lastSecond = 0;
/** `Sun, 04 Aug 2019 08:49:37.` */
let lastSecondText = '';
/** `Sun, 04 Aug 2019 08:49:37.845 GMT` (TS 29.500 5.2.3.2). The second is remembered: most requests come within that of the last. */
export function formatSenderTimestamp(nowMs: number): string {
  const second = Math.floor(nowMs / 1000);
  if (second !== lastSecond) {
    lastSecond = second;
    lastSecondText = new Date(nowMs).toUTCString().replace(' GMT', '.');
  }
  return `${lastSecondText}${String(nowMs % 1000).padStart(3, '0')} GMT`;
}

export function formatRequestInfo(idempotencyKey: string): string {
  return `idempotency-key="${idempotencyKey}"`;
}

/** Longer keys are no keys: they are stored. */
const MAX_IDEMPOTENCY_KEY = 256;

/** The idempotency-key of 3gpp-Sbi-Request-Info; quoted or bare, among other parameters. */
export function parseIdempotencyKey(value: HeaderValue): string | undefined {
  const text = first(value);
  if (text === undefined || text.length > 2 * MAX_IDEMPOTENCY_KEY) return undefined;
  const match = /(?:^|;)\s*idempotency-key\s*=\s*(?:"([^"]*)"|([^;\s]+))/i.exec(text);
  const key = match?.[1] ?? match?.[2];
  return key && key.length <= MAX_IDEMPOTENCY_KEY ? key : undefined;
}

/** 0 (highest) to 31; anything else counts as the default. */
export function parseMessagePriority(value: HeaderValue): number {
  const text = first(value);
  if (text === undefined || !/^[0-9]{1,2}$/.test(text)) return DEFAULT_MESSAGE_PRIORITY;
  const priority = Number(text);
  return priority <= 31 ? priority : DEFAULT_MESSAGE_PRIORITY;
}
