import { rest } from '../media/rest.ts';
import { arm, type Turn } from './turn.ts';
import type { Call } from './types.ts';

/** A 2xx may come again for so long (RFC 3261 13.3.1.4), and its ACK with it: in T1. */
const QUIET_T1 = 64;

/** After an ACK of ours went out: when nothing else happens, the call is put to rest. */
export function awaitRest(turn: Turn): void {
  const { nowMs, config } = turn.env;
  arm(turn, 'rest', nowMs + QUIET_T1 * config.t1Ms);
}

/** Nothing has happened for a while: what may not be needed again is dropped, the rest kept in fewer bytes. */
export function toRest(turn: Turn): void {
  const { call } = turn;
  if (call.negotiation.step !== 'stable' || call.exchanges.length > 0 || call.queue.length > 0) {
    awaitRest(turn);
    return;
  }
  if (call.winner >= 0) {
    const winner = call.forks[call.winner]!;
    // Those of other forks have sent their BYE; requests of theirs would be answered without a dialog.
    if (call.forks.every((fork) => fork === winner || fork.state === 'ended'))
      for (const dialog of [winner.dialogs.served, winner.dialogs.remote]) dialog.ack = null;
  }
  compact(call);
}

/** For a call that is at rest: it says the same in fewer bytes. */
export function compact(call: Call): void {
  call.record.notes = call.record.notes.slice();
  call.forks = call.forks.slice();
  if (call.media !== null) rest(call.media);
}
