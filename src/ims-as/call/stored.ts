import { ImsdcError } from '../../errors.ts';
import { desiredContext } from '../media/context.ts';
import type { MediaState } from '../media/types.ts';
import { compact } from './rest.ts';
import type { Call, CallConfig } from './types.ts';

/** A call as it is written (design 7): the record at a stable point, and what of our configuration the MF was told. */
interface StoredCall {
  readonly schema: 1;
  readonly events: EventConfig;
  readonly call: Call;
}

/** Differs between two processes of one AS: what the MF posts, and where to. */
type EventConfig = Pick<CallConfig, 'mediaEventUri' | 'channelUsage'>;

/**
 * What the process that wrote a record may have sent since then is not known, so numbers that must not come twice go
 * on behind a gap (design 7): CSeq on each leg, the serial in branches, mediaIds, idempotency keys.
 */
const CSEQ_GAP = 100;
const SERIAL_GAP = 1_000;
const MEDIA_SERIAL_GAP = 100;
const STEP_GAP = 100;
/** An offer of ours may have been lost with its answer; the next one must not carry its version again. */
const SDP_VERSION_GAP = 1;

/** Nothing is open between the legs, the DCSF and the MF: both ends of every dialog know what the record says. */
function isAtRest(call: Call): boolean {
  return (
    call.state === 'established' &&
    call.negotiation.step === 'stable' &&
    call.unacknowledged === null &&
    call.queue.length === 0 &&
    (call.media === null ||
      (call.media.context.pending === null && call.media.context.lost === null && !call.media.context.dirty)) &&
    !call.exchanges.some((exchange) => exchange.method === 'INVITE' || exchange.sdp !== 'none')
  );
}

/**
 * The record as one line of text; null: it is not at a stable point; undefined: the call is over. Of one that is not
 * answered yet only what its end needs: the INVITE on both legs, the MF's context.
 */
export function storedText(call: Call, config: CallConfig): string | null | undefined {
  if (call.state === 'ending' || call.state === 'ended') return undefined;
  const { mediaEventUri, channelUsage } = config;
  const stored = (kept: Call): string =>
    JSON.stringify({ schema: 1, events: { mediaEventUri, channelUsage }, call: kept } satisfies StoredCall);
  if (isAtRest(call)) {
    const { session } = call.deadlines;
    return stored({ ...call, exchanges: [], deadlines: session === undefined ? {} : { session } });
  }
  const invite = call.exchanges.find((exchange) => exchange.method === 'INVITE' && exchange.answered === 0);
  if (call.state === 'established' || call.winner >= 0 || invite === undefined) return null;
  return stored({
    ...call,
    exchanges: [{ ...invite, raw: '' }],
    queue: [],
    deadlines: {},
    unacknowledged: null,
    negotiation: { step: 'stable' },
    media: call.media && toGiveBack(call.media),
  });
}

/** All that the end of a call needs of its media. */
function toGiveBack(media: MediaState): MediaState {
  const context = { ...media.context, told: null, pending: null, layout: [], dirty: false };
  return { ...media, lines: [], slots: { served: [], remote: [] }, sdp: [], context };
}

/**
 * The call of `text`, ready for its next event. Deadlines that passed meanwhile come due when a peer that could not reach
 * us has had the time to try again. Throws STATE_RECORD.
 */
export function restoredCall(id: string, text: string, nowMs: number, config: CallConfig): Call {
  const { call, events } = read(id, text);
  call.serial += SERIAL_GAP;
  for (const { dialogs } of call.forks) {
    dialogs.served.localCseq += CSEQ_GAP;
    dialogs.remote.localCseq += CSEQ_GAP;
  }
  // Not in records that a former version wrote.
  call.session ??= null;
  const { session } = call.deadlines;
  if (session !== undefined) call.deadlines.session = Math.max(session, nowMs + 64 * config.t1Ms);
  if (call.media !== null) resumeMedia(call.media, events, config);
  compact(call);
  return call;
}

function resumeMedia(media: MediaState, events: EventConfig, config: CallConfig): void {
  media.nextSerial += MEDIA_SERIAL_GAP;
  media.context.step += STEP_GAP;
  for (const legs of media.sdp) {
    for (const sdp of [legs.served, legs.remote]) {
      if (sdp.sent === null) continue;
      sdp.sent = { ...sdp.sent, skip: SDP_VERSION_GAP };
      // One string for what is one text: half of what a call at rest weighs.
      const { agreed } = sdp.offerAnswer;
      if (agreed?.local === sdp.sent.text) sdp.sent = { ...sdp.sent, text: agreed.local };
    }
  }
  const isSame = events.mediaEventUri === config.mediaEventUri && events.channelUsage === config.channelUsage;
  if (media.context.contextId === '' || isSame) return;
  // The MF posts its events to where the former process listened: it is told by the next reconciliation (R25, R26).
  media.context.told = desiredContext(media, { ...config, ...events }) ?? null;
  media.context.dirty = true;
}

/** What has passed its checksum was written by us: only another version, or a bug, makes it unusable. */
function read(id: string, text: string): StoredCall {
  const refuse = (problem: string, cause?: unknown) =>
    new ImsdcError('STATE_RECORD', { what: 'call', id, problem }, { cause });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw refuse('not JSON', cause);
  }
  const { schema, call, events } = (value ?? {}) as Partial<StoredCall>;
  if (schema !== 1 || call?.schema !== 1) throw refuse(`schema ${schema}/${call?.schema} where 1/1 is read`);
  if (call.id !== id) throw refuse(`it is the record of ${call.id}`);
  const whole = typeof call.sessionId === 'string' && call.forks?.[Math.max(0, call.winner)] !== undefined;
  if (!whole || call.legs === undefined || call.media === undefined || events === undefined)
    throw refuse('members are missing');
  return value as StoredCall;
}
