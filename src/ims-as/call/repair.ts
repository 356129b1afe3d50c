import { endsAtDcAs } from '../media/dc-as.ts';
import { forgetPeersOf, giveUpLost, markLost } from '../media/lost.ts';
import { attachOfferer } from '../media/offer.ts';
import { conflict } from '../media/problems.ts';
import { isReserved } from '../media/reply.ts';
import type { MediaLine } from '../media/types.ts';
import { type ReplyOutcome, rebuild, reconcile } from './mrm.ts';
import { openOffer } from './open-offer.ts';
import { queueReoffers } from './reoffer.ts';
import { arm, note, sessionFork, type Turn } from './turn.ts';
import { MAX_INTENTIONS } from './types.ts';

/** Between two attempts to find another MF. */
const RETRY_MS = 1_000;
/** So many repairs in REPAIR_WINDOW_MS, and the next loss takes the lines out: something in them kills MFs. */
const MAX_REPAIRS = 3;
const REPAIR_WINDOW_MS = 300_000;

/**
 * The MF does not hold the context any more, or nobody knows what it holds (R25). From now on no MF is asked for
 * anything until it is this call's turn to look for another one; the SDP that is exchanged meanwhile repeats the lost
 * ends. Only a negotiation that waits for the lost MF does not wait for its turn: its peers are held.
 */
export function contextLost(turn: Turn, detail: string) {
  const { call, env } = turn;
  const { media } = call;
  if (media === null || call.state === 'ending' || call.state === 'ended') return;
  note(turn, `MF: ${detail}`);
  const { context } = media;
  if (context.lost !== null) return waitForTurn(turn, RETRY_MS);
  if (context.contextId !== '') {
    const operation = { method: 'DELETE' as const, mf: context.mf, contextId: context.contextId };
    const deadlineMs = env.nowMs + env.config.mrmDeadlineMs;
    turn.out.emit({ kind: 'mrm', id: `d${call.serial++}`, operation, deadlineMs });
  }
  Object.assign(context, { contextId: '', told: null, layout: [], pending: null, dirty: false });
  const { repairs } = context;
  if (env.nowMs - repairs.lastMs > REPAIR_WINDOW_MS) repairs.count = 0;
  context.lost = { untilMs: env.nowMs };
  if (env.config.repair.limitMs === 0 || repairs.count >= MAX_REPAIRS) return repairDue(turn);
  repairs.count++;
  repairs.lastMs = env.nowMs;
  context.lost = { untilMs: null };
  waitForTurn(turn, 0);
  const { negotiation } = call;
  if (negotiation.step === 'heldForMf') repairInside(turn, negotiation.deadlineMs - env.config.budgetReserveMs);
  else if (negotiation.step === 'instructed' && !repairInside(turn)) {
    call.negotiation = { step: 'stable' };
    const result = { ok: false as const, problem: conflict('the MF lost the context') };
    turn.out.emit({ kind: 'answerInstruction', id: negotiation.instructionId, result });
  }
}

/** Not before `delayMs`, and not before the pace of all repairs allows it. */
function waitForTurn(turn: Turn, delayMs: number) {
  const { call, env } = turn;
  arm(turn, 'repair', Math.max(env.repairSlotMs(call.priority), env.nowMs + delayMs));
}

/** Its turn has come; it waits only for the offer/answer slot now (R16). */
export function repairDue(turn: Turn) {
  const { call, env } = turn;
  if (call.media?.context.lost == null || call.queue.some(({ kind }) => kind === 'repair')) return;
  if (call.queue.length < MAX_INTENTIONS) call.queue.push({ kind: 'repair' });
  else arm(turn, 'repair', env.nowMs + RETRY_MS);
}

/** Takes the offer/answer slot and asks another MF, or gives the lines up. */
export function repair(turn: Turn) {
  const { call, env } = turn;
  const { media } = call;
  if (media?.context.lost == null || media.context.pending !== null) return;
  const untilMs = media.context.lost.untilMs ?? env.nowMs + env.config.repair.limitMs;
  media.context.lost = { untilMs };
  if (env.nowMs >= untilMs) return giveUp(turn);
  // A DC AS knows an association by where it comes from, and that was the lost MF: the UE has to open it anew.
  const isOver = giveUpLost(media, endsAtDcAs);
  markLost(media, media.lines, sessionFork(call));
  if (rebuild(turn)) call.negotiation = { step: 'repairing' };
  else if (isOver) queueReoffers(turn);
}

/** The other MF has answered. */
export function repairReplied(turn: Turn, reply: Exclude<ReplyOutcome, { kind: 'stale' }>) {
  const { call, env } = turn;
  const media = call.media!;
  // What shares an association is told its address with a PATCH of its own (R3).
  if (reply.kind === 'done' && call.negotiation.step === 'repairing' && reconcile(turn)) return;
  if (reply.kind === 'failed' && media.context.lost === null && media.context.pending !== null) return;
  if (call.negotiation.step === 'repairing') call.negotiation = { step: 'stable' };
  if (reply.kind === 'failed') {
    if (media.context.lost === null) return contextLost(turn, reply.detail);
    note(turn, `MF: ${reply.detail}`);
    // Whoever refuses the context will refuse it again; only where nobody was there, somebody may be later.
    if (reply.status < 500 && media.context.lost !== null) media.context.lost = { untilMs: env.nowMs };
    return waitForTurn(turn, RETRY_MS);
  }
  if (!isReserved(media)) {
    note(turn, 'the MF did not give every endpoint');
    return giveUp(turn);
  }
  // An answer that came meanwhile was about the lost end.
  forgetPeersOf(media);
  queueReoffers(turn, env.config.repair.offer === 'newLine');
}

/**
 * Asks another MF from within a negotiation that needs one: the offer that is held hears of the new end at once, and the
 * snapshots that a refusal would restore must not bring the lost ends back. False: the lines need no MF.
 */
export function repairInside(turn: Turn, deadlineMs?: number): boolean {
  expectRepair(turn);
  return rebuild(turn, deadlineMs);
}

/** The first half of it, before an instruction is executed: what a failing one restores must know of the loss. */
export function expectRepair(turn: Turn): void {
  const { call, env } = turn;
  const { negotiation } = call;
  const media = call.media!;
  const fork = 'held' in negotiation ? negotiation.held.fork : sessionFork(call);
  const snapshots: (readonly MediaLine[])[] = [];
  if ('rollback' in negotiation) snapshots.push(negotiation.rollback.lines);
  if ('before' in negotiation) snapshots.push(negotiation.before.lines);
  for (const lines of [media.lines, ...snapshots]) markLost(media, lines, fork);
  const open = 'held' in negotiation ? openOffer(turn, negotiation.held) : undefined;
  if (open?.isAnswerable === true) {
    for (const line of media.lines) {
      if (
        line.state === 'open' &&
        line.ends[open.from] !== null &&
        line.treatment !== 'flow' &&
        line.slots[open.from] >= 0
      )
        attachOfferer(media, line, open.from, open.fork, open.offer, env.config);
    }
  }
}

/** A repair inside a negotiation failed or came too late: it is tried again for itself. */
export function abandonRepair(turn: Turn) {
  const context = turn.call.media?.context;
  if (context?.lost == null) return;
  context.pending = null;
  if (turn.call.deadlines.repair === undefined) waitForTurn(turn, RETRY_MS);
}

/** With no MF left the lines go to port 0, and the voice goes on (rule 1). */
function giveUp(turn: Turn) {
  const media = turn.call.media!;
  media.context.lost = null;
  if (!giveUpLost(media)) return;
  note(turn, 'no MF takes the lines of the lost one');
  turn.out.emit({ kind: 'repaired', outcome: 'givenUp' });
  media.context.dirty = true;
  queueReoffers(turn);
  reconcile(turn);
}
