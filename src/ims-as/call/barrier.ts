import { dictionary } from '../../base/dictionary.ts';
import type { Mdc2Target } from '../../services/common-data.ts';
import type { MediaInstructionData } from '../../services/nimsas.ts';
import { endsAtDcAs } from '../media/dc-as.ts';
import { applyInstructions } from '../media/instructions.ts';
import { conflict } from '../media/problems.ts';
import { isReserved, type MdcEndpoints, type MdcEndpointsOfLine } from '../media/reply.ts';
import { lineById, restore, snapshot } from '../media/state.ts';
import type { MediaLine, MediaSnapshot } from '../media/types.ts';
import { refuseChanges } from '../media/undecided.ts';
import { endCall } from './end.ts';
import { type ReplyOutcome, rebuild, reconcile, takeMrmReply, thaw } from './mrm.ts';
import { proceed, withdrawOffer } from './negotiate.ts';
import { openOffer } from './open-offer.ts';
import { beginMedia } from './plain.ts';
import { queueReoffers } from './reoffer.ts';
import { abandonRepair, contextLost, expectRepair, repairReplied } from './repair.ts';
import { answer, disarm, exchangeById, note, type Turn } from './turn.ts';
import { type Held, MAX_INTENTIONS, type MrmReply, type Negotiation, type Outcome } from './types.ts';

/** The DCSF has answered the notification: every instruction for it has been delivered, or it failed (2.0). */
export function notified(turn: Turn, id: string, outcome: Outcome) {
  const { call } = turn;
  const { negotiation } = call;
  if (negotiation.step === 'heldForMf' && negotiation.notifyId === id) {
    // It did not wait for its own instruction; the MF's answer opens the barrier now.
    call.negotiation = { ...negotiation, notifyId: '' };
    return;
  }
  if (negotiation.step !== 'heldForDcsf' || negotiation.notifyId !== id) return;
  if (!outcome.ok) {
    note(turn, `DCSF: ${outcome.detail}`);
    if (outcome.status === 403) return forbidden(turn, negotiation.held, negotiation.rollback);
    refuseChanges(call.media!, negotiation.rollback);
  }
  proceed(turn, negotiation.held, negotiation.rollback);
}

/** R9: by the configuration of the DCSF the whole request is refused, not only its lines. */
function forbidden(turn: Turn, held: Held, rollback: MediaSnapshot) {
  const { call } = turn;
  const exchange = exchangeById(call, held.exchange);
  disarm(turn, 'barrier');
  call.negotiation = { step: 'stable' };
  withdrawOffer(turn, held.from, held.fork, rollback);
  if (exchange !== undefined) answer(turn, exchange, 403);
  if (call.state === 'establishing') endCall(turn, '403');
}

/** The DCSF instructs: inside the barrier, or free-standing. */
export function instructed(turn: Turn, id: string, data: MediaInstructionData) {
  const { call, env } = turn;
  const { negotiation } = call;
  if (call.state === 'ending' || call.state === 'ended') return refuse(turn, id, 'the session has ended');
  if (call.media === null && !beginMedia(turn)) return refuse(turn, id, 'the session has no data channels');
  if (negotiation.step === 'heldForDcsf') {
    if (env.nowMs > negotiation.deadlineMs - env.config.budgetReserveMs)
      return refuse(turn, id, 'the time for instructions is over');
    return execute(turn, id, data, negotiation);
  }
  if (
    negotiation.step === 'stable' &&
    call.state === 'established' &&
    call.unacknowledged === null &&
    call.queue.length === 0
  ) {
    return executeAlone(turn, id, data);
  }
  const waits = negotiation.step === 'heldForMf' || negotiation.step === 'instructed' || call.state === 'established';
  if (!waits) return refuse(turn, id, 'no decision is waited for');
  if (call.queue.length >= MAX_INTENTIONS) return refuse(turn, id, `${MAX_INTENTIONS} instructions wait already`);
  call.queue.push({ kind: 'instruction', id, data });
}

function refuse(turn: Turn, id: string, why: string) {
  turn.out.emit({ kind: 'answerInstruction', id, result: { ok: false, problem: conflict(why) } });
}

function execute(
  turn: Turn,
  id: string,
  data: MediaInstructionData,
  barrier: Extract<Negotiation, { step: 'heldForDcsf' }>,
) {
  const { call, env } = turn;
  const media = call.media!;
  const isLost = media.context.lost !== null;
  if (isLost) expectRepair(turn);
  const before = snapshot(media);
  const problem = applyInstructions(media, data, openOffer(turn, barrier.held), env.config);
  if (problem !== undefined) {
    restore(media, before);
    return turn.out.emit({ kind: 'answerInstruction', id, result: { ok: false, problem } });
  }
  const deadlineMs = barrier.deadlineMs - env.config.budgetReserveMs;
  const asked = isLost ? rebuild(turn, deadlineMs) : reconcile(turn, deadlineMs);
  if (!asked) return succeed(turn, id, new Map());
  const named = Object.keys(data.mediaInstructionSet);
  call.negotiation = { ...barrier, step: 'heldForMf', instructionId: id, before, named };
}

/** Outside a notification: it takes the offer/answer slot like an offer of ours would (R16). */
export function executeAlone(turn: Turn, id: string, data: MediaInstructionData) {
  const { call, env } = turn;
  const media = call.media!;
  thaw(turn);
  const isLost = media.context.lost !== null;
  if (isLost) expectRepair(turn);
  const before = snapshot(media);
  const problem = applyInstructions(media, data, undefined, env.config);
  if (problem !== undefined) {
    restore(media, before);
    return turn.out.emit({ kind: 'answerInstruction', id, result: { ok: false, problem } });
  }
  if (isLost ? rebuild(turn) : reconcile(turn)) {
    call.negotiation = { step: 'instructed', instructionId: id, before };
    return;
  }
  succeed(turn, id, new Map());
  queueReoffers(turn);
}

/** 200 with the MF's endpoints, or 204 when there are none to tell. */
function succeed(turn: Turn, id: string, mdc: MdcEndpoints) {
  const { call } = turn;
  const set = dictionary<MediaInstructionData['mediaInstructionSet'][string]>();
  for (const [mediaId, endpoints] of mdc) {
    const line = lineById(call.media!, mediaId);
    if (line === undefined || (endpoints.mdc1 === undefined && endpoints.mdc2 === undefined)) continue;
    set[mediaId] = {
      mediaId,
      mediaResourceType: 'DC',
      dcMediaSpecification: {
        streams: line.streams,
        ...(endpoints.mdc1 === undefined ? {} : { mdc1EndpointMf: endpoints.mdc1 }),
        ...(endpoints.mdc2 === undefined ? {} : { mdc2EndpointMf: endpoints.mdc2, imsdcMdc2: mfEnds(line, endpoints) }),
      },
    };
  }
  const data = Object.keys(set).length === 0 ? undefined : { sessionId: call.sessionId, mediaInstructionSet: set };
  turn.out.emit({ kind: 'answerInstruction', id, result: { ok: true, data } });
}

/** For a DC AS that wants to know who connects (docs/mdc2.md): the MF's certificate, and where it is on the other leg. */
function mfEnds(line: MediaLine, { mdc2Remote }: MdcEndpointsOfLine): Mdc2Target {
  const local = line.ends[line.born]?.local;
  const dcEndpoint =
    local == null || endsAtDcAs(line) ? undefined : { sctpPort: local.sctpPort, fingerprints: [...local.fingerprints] };
  return {
    ...(dcEndpoint === undefined ? {} : { dcEndpoint }),
    ...(mdc2Remote === undefined ? {} : { remote: { endpoint: mdc2Remote } }),
  };
}

/** The MF has replied. */
export function mrmReplied(turn: Turn, id: string, outcome: Outcome<MrmReply>) {
  const { call } = turn;
  const reply = takeMrmReply(turn, id, outcome);
  if (reply.kind === 'stale') return;
  if (call.negotiation.step === 'heldForMf') return heldReply(turn, call.negotiation, reply);
  if (call.negotiation.step === 'instructed') return instructedReply(turn, call.negotiation, reply);
  if (call.negotiation.step === 'repairing' || (reply.kind === 'done' && reply.repaired))
    return repairReplied(turn, reply);
  // A patch that is under way again keeps its place; any other failure leaves the MF in an unknown state.
  if (reply.kind === 'failed') return call.media?.context.pending == null ? contextLost(turn, reply.detail) : undefined;
  // An offer that began an association anew was refused: the peer must hear of the one that replaces it.
  if (reply.renewed) queueReoffers(turn);
  reconcile(turn);
}

function heldReply(
  turn: Turn,
  barrier: Extract<Negotiation, { step: 'heldForMf' }>,
  reply: Exclude<ReplyOutcome, { kind: 'stale' }>,
) {
  const { call, env } = turn;
  const media = call.media!;
  if (reply.kind === 'done' && reconcile(turn, barrier.deadlineMs - env.config.budgetReserveMs)) return;
  const { held, notifyId, deadlineMs, rollback, instructionId } = barrier;
  if (reply.kind === 'failed' && reply.isLost) {
    contextLost(turn, reply.detail);
    // Another MF has been asked for all of it, this instruction included.
    if (media.context.pending !== null) return;
  }
  const failure =
    reply.kind === 'failed'
      ? reply
      : isReserved(media)
        ? undefined
        : { status: 502, detail: 'the MF did not give every endpoint' };
  if (failure !== undefined) {
    note(turn, `MF: ${failure.detail}`);
    if (instructionId === '') refuseChanges(media, rollback);
    else {
      restore(media, barrier.before);
      for (const mediaId of barrier.named) {
        const line = lineById(media, mediaId);
        if (line?.treatment === 'undecided') line.failed = true;
      }
      const problem = { status: failure.status, cause: 'SYSTEM_FAILURE', detail: failure.detail };
      turn.out.emit({ kind: 'answerInstruction', id: instructionId, result: { ok: false, problem } });
    }
    abandonRepair(turn);
  } else if (instructionId !== '') succeed(turn, instructionId, reply.kind === 'done' ? reply.mdc : new Map());
  if (notifyId === '') return proceed(turn, held, rollback);
  call.negotiation = { step: 'heldForDcsf', held, notifyId, deadlineMs, rollback };
  // Instructions that came while the MF was busy.
  while (call.negotiation.step === 'heldForDcsf') {
    const next = call.queue.findIndex(({ kind }) => kind === 'instruction');
    const [waiting] = next < 0 ? [] : call.queue.splice(next, 1);
    if (waiting?.kind !== 'instruction') return;
    instructed(turn, waiting.id, waiting.data);
  }
}

function instructedReply(
  turn: Turn,
  waiting: Extract<Negotiation, { step: 'instructed' }>,
  reply: Exclude<ReplyOutcome, { kind: 'stale' }>,
) {
  const { call } = turn;
  if (reply.kind === 'done' && reconcile(turn)) return;
  call.negotiation = { step: 'stable' };
  if (reply.kind === 'done') {
    succeed(turn, waiting.instructionId, reply.mdc);
    return queueReoffers(turn);
  }
  restore(call.media!, waiting.before);
  if (reply.isLost) contextLost(turn, reply.detail);
  else abandonRepair(turn);
  const problem = { status: reply.status, cause: 'SYSTEM_FAILURE', detail: reply.detail };
  turn.out.emit({ kind: 'answerInstruction', id: waiting.instructionId, result: { ok: false, problem } });
}

/** The budget is spent (R17). */
export function barrierExpired(turn: Turn) {
  const { call } = turn;
  const { negotiation } = call;
  if (negotiation.step !== 'heldForDcsf' && negotiation.step !== 'heldForMf') return;
  note(turn, negotiation.step === 'heldForDcsf' ? 'DCSF too late' : 'MF too late');
  if (negotiation.step === 'heldForMf' && negotiation.instructionId !== '')
    refuse(turn, negotiation.instructionId, 'the time for instructions is over');
  for (const waiting of call.queue)
    if (waiting.kind === 'instruction') refuse(turn, waiting.id, 'the time for instructions is over');
  call.queue = call.queue.filter(({ kind }) => kind !== 'instruction');
  abandonRepair(turn);
  refuseChanges(call.media!, negotiation.rollback);
  proceed(turn, negotiation.held, negotiation.rollback);
}
