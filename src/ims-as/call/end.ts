import { conflict } from '../media/problems.ts';
import { awaitLateReply, reconcile } from './mrm.ts';
import { channels, notify } from './notify.ts';
import { acknowledge, sendBye } from './responses.ts';
import { answer, arm, disarm, dropExchange, type Turn } from './turn.ts';
import { DEADLINES, otherLeg } from './types.ts';

/**
 * The session is over for the peers. The DCSF is told and the MF's context deleted in parallel (R18); requests that are
 * still open end with 487 (RFC 3261 15.1.2), but for those that end the session themselves.
 */
export function endCall(turn: Turn, outcome: string) {
  const { call, env } = turn;
  if (call.state === 'ending' || call.state === 'ended') return;
  const established = call.state === 'established';
  call.state = 'ending';
  call.record.outcome = outcome;
  call.record.endedMs = env.nowMs;
  refuseInstructions(turn, 'the session has ended');
  call.negotiation = { step: 'stable' };
  for (const name of DEADLINES) disarm(turn, name);
  call.unacknowledged = null;
  if (call.media !== null) {
    notify(
      turn,
      established ? 'SESSION_TERMINATION' : 'SESSION_ESTABLISHMENT_FAILURE',
      call.caller,
      channels(call.media.lines),
    );
    call.media.context.dirty = true;
    if (reconcile(turn)) awaitLateReply(turn);
    call.media.lines = [];
    call.media.sdp = [];
  } else if (call.plain?.told === true) notify(turn, 'SESSION_TERMINATION', call.caller, {});
  call.plain = null;
  for (const exchange of [...call.exchanges]) {
    if (exchange.method === 'BYE') continue;
    if (exchange.method !== 'INVITE') {
      // Nobody waits for the far answer any more; only an INVITE may still make a dialog.
      answer(turn, exchange, 487);
      dropExchange(call, exchange);
      continue;
    }
    if (exchange.branch !== '' && !exchange.cancelled && (exchange.answered < 200 || exchange.answered >= 300)) {
      turn.out.emit({ kind: 'cancel', branch: exchange.branch, headers: '' });
    }
    answer(turn, exchange, 487);
    if (exchange.answered >= 200 && exchange.answered < 300) {
      // The far 2xx waits for an ACK that will not come any more.
      acknowledge(turn, otherLeg(exchange.from), call.forks[exchange.fork]!, exchange.cseqOut);
      call.exchanges.splice(call.exchanges.indexOf(exchange), 1);
    }
  }
  // Whatever a peer never answers must not keep the call: its transactions end by then (RFC 3261 timers B, F).
  arm(turn, 'linger', Math.max(call.deadlines.linger ?? 0, env.nowMs + 64 * env.config.t1Ms + LINGER_MS));
}

const LINGER_MS = 5000;

/** Instructions that wait get their answer (R17). */
function refuseInstructions(turn: Turn, why: string) {
  const { call, out } = turn;
  const { negotiation } = call;
  const result = { ok: false as const, problem: conflict(why) };
  if ((negotiation.step === 'heldForMf' || negotiation.step === 'instructed') && negotiation.instructionId !== '') {
    out.emit({ kind: 'answerInstruction', id: negotiation.instructionId, result });
  }
  for (const intention of call.queue)
    if (intention.kind === 'instruction') out.emit({ kind: 'answerInstruction', id: intention.id, result });
  call.queue = [];
}

/** We end the session: the session timer, a lost ACK, the operator. */
export function releaseCall(turn: Turn, outcome: string) {
  const { call } = turn;
  if (call.state === 'ending' || call.state === 'ended') return;
  const established = call.state === 'established';
  if (!established) {
    for (const exchange of [...call.exchanges]) if (exchange.method === 'INVITE') answer(turn, exchange, 480);
    return endCall(turn, outcome);
  }
  endCall(turn, outcome);
  const fork = call.forks[call.winner]!;
  sendBye(turn, 'served', fork);
  sendBye(turn, 'remote', fork);
}

/** Nothing is open any more: the call may be forgotten. */
export function finish(turn: Turn) {
  const { call, out } = turn;
  if (
    call.state !== 'ending' ||
    call.exchanges.length > 0 ||
    (call.media !== null && call.media.context.pending !== null)
  )
    return;
  call.state = 'ended';
  out.emit({ kind: 'ended', record: call.record });
}
