import type { Sink } from '../../base/environment.ts';
import { repeat2xx } from './acknowledge.ts';
import { askPeers } from './audit.ts';
import { barrierExpired, instructed, mrmReplied, notified } from './barrier.ts';
import { channelsClosed } from './channels-closed.ts';
import { cutOff } from './cut-off.ts';
import { ackArrived, cancelArrived, clientFailed, requestArrived } from './dialog.ts';
import { endCall, finish, releaseCall } from './end.ts';
import { freeze, reconcile } from './mrm.ts';
import { offerRefused } from './negotiate.ts';
import { reofferFailed, runQueue } from './reoffer.ts';
import { contextLost, repairDue } from './repair.ts';
import { responseArrived } from './responses.ts';
import { toRest } from './rest.ts';
import { disarm, note, type Turn } from './turn.ts';
import type { Call, CallEffect, CallEnvironment, CallEvent, DeadlineName } from './types.ts';

/**
 * The mailbox of a call (R16): one event runs to completion and nothing awaits. `call` is changed in place; everything
 * for the outside goes to `out`, in order.
 */
export function handleCallEvent(call: Call, event: CallEvent, env: CallEnvironment, out: Sink<CallEffect>) {
  if (call.state === 'ended') return lateReply({ call, env, out }, event);
  const turn: Turn = { call, env, out };
  switch (event.from) {
    case 'sip':
      sipEvent(turn, event);
      break;
    case 'dcsf':
      if (event.kind === 'instruction') instructed(turn, event.id, event.data);
      else notified(turn, event.id, event.outcome);
      break;
    case 'mf':
      if (event.kind === 'reply') mrmReplied(turn, event.id, event.outcome);
      else if (event.contextId !== call.media?.context.contextId) break;
      else if (event.kind === 'lost') contextLost(turn, event.reason);
      else channelsClosed(turn, event.mediaId);
      break;
    case 'timer':
      due(turn, event.name);
      break;
    case 'operator':
      releaseCall(turn, 'released by the operator');
      break;
    case 'store':
      // Of an established call nothing is lost; what the MF must learn of the new process goes with the turn's end.
      if (call.state === 'established') askPeers(turn);
      // One that a BYE has met already ends as any other.
      else if (call.state === 'establishing') cutOff(turn);
      break;
    default:
      event satisfies never;
  }
  completeTurn(turn);
}

/** What every turn ends with, the first one included. */
export function completeTurn(turn: Turn) {
  if (turn.call.queue.length > 0) runQueue(turn);
  if (turn.call.media?.context.dirty === true && turn.call.negotiation.step === 'stable') reconcile(turn);
  freeze(turn);
  finish(turn);
}

function sipEvent(turn: Turn, event: Extract<CallEvent, { from: 'sip' }>) {
  switch (event.kind) {
    case 'request':
      return requestArrived(turn, event.leg, event.key, event.message);
    case 'ack':
      return ackArrived(turn, event.leg, event.message);
    case 'cancel':
      return cancelArrived(turn, event.key, event.message);
    case 'response':
      return responseArrived(turn, event.branch, event.message);
    case 'clientFailed': {
      const exchange = turn.call.exchanges.find((open) => open.branch === event.branch);
      clientFailed(turn, event.branch, event.reason, (status) => {
        if (exchange?.purpose === 'reoffer') reofferFailed(turn, exchange, status);
      });
      if (exchange?.sdp === 'offer') offerRefused(turn, exchange);
      return;
    }
    case 'serverFailed':
      // Nobody acknowledged a refusal, or the way back is gone: the peer will end its side by itself.
      return note(turn, 'a response was never acknowledged');
    default:
      event satisfies never;
  }
}

function due(turn: Turn, name: DeadlineName) {
  const { call, env } = turn;
  const at = call.deadlines[name];
  if (at === undefined || at > env.nowMs) return;
  disarm(turn, name);
  switch (name) {
    case 'barrier':
      return barrierExpired(turn);
    case 'retransmit':
      if (!repeat2xx(turn)) releaseCall(turn, '2xx never acknowledged');
      return;
    case 'session':
      return releaseCall(turn, 'session timer');
    case 'ring':
      if (call.state === 'establishing') releaseCall(turn, 'no answer');
      return;
    case 'glare':
      return;
    case 'rest':
      return toRest(turn);
    case 'repair':
      return repairDue(turn);
    case 'linger':
      call.exchanges = [];
      if (call.media !== null) call.media.context.pending = null;
      return endCall(turn, 'lingering');
    default:
      name satisfies never;
  }
}

/** A 201 after the end: its context is deleted, whoever asked for it (R17). */
function lateReply(turn: Turn, event: CallEvent) {
  if (event.from === 'mf' && event.kind === 'reply') mrmReplied(turn, event.id, event.outcome);
}
