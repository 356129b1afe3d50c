import { sameData } from '../../base/same.ts';
import type { MediaContext } from '../../services/nmf-mrm.ts';
import { desiredContext } from '../media/context.ts';
import { diffContexts, layoutOf } from '../media/patch.ts';
import { type MdcEndpoints, takeReply } from '../media/reply.ts';
import type { ContextState, MediaState } from '../media/types.ts';
import { arm, disarm, note, type Turn } from './turn.ts';
import type { MrmReply, Outcome } from './types.ts';

const NOTHING: MediaContext = { terminations: [] };

/**
 * Brings the MF to what the call needs (R26). One request at a time: what changes meanwhile goes with the next. Returns
 * whether a request is under way.
 */
export function reconcile(turn: Turn, deadlineMs?: number): boolean {
  const { call, env } = turn;
  const { media } = call;
  if (media === null) return false;
  const { context } = media;
  if (call.state === 'ended' || call.state === 'ending') {
    // A PATCH under way does not matter any more; a POST must first say what is to be deleted.
    if (context.pending?.method === 'POST') return true;
    context.pending = null;
    release(turn);
    return false;
  }
  if (context.pending !== null) return true;
  if (!context.dirty || context.lost !== null) return false;
  context.dirty = false;
  const desired = desiredContext(media, env.config);
  if (desired === undefined) {
    release(turn);
    return false;
  }
  const told = context.told ?? NOTHING;
  if (sameData(told, desired)) return false;
  const until = Math.min(deadlineMs ?? Number.POSITIVE_INFINITY, env.nowMs + env.config.mrmDeadlineMs);
  const idempotencyKey = `${call.id}.${call.revision}.${context.step++}`;
  if (context.contextId === '') {
    create(turn, context, desired, idempotencyKey, until);
    return true;
  }
  const { patch, layout } = diffContexts(told, desired, context.layout);
  if (patch.length === 0) {
    context.told = desired;
    return false;
  }
  context.pending = { id: idempotencyKey, method: 'PATCH', desired, layout, isRepeated: false };
  askForRenewals(media);
  const operation = { method: 'PATCH' as const, mf: context.mf, contextId: context.contextId, patch, idempotencyKey };
  turn.out.emit({ kind: 'mrm', id: idempotencyKey, operation, deadlineMs: until });
  return true;
}

function create(turn: Turn, context: ContextState, desired: MediaContext, idempotencyKey: string, deadlineMs: number) {
  const layout = desired.terminations.map(layoutOf);
  context.pending = { id: idempotencyKey, method: 'POST', desired, layout, isRepeated: false };
  const operation = { method: 'POST' as const, context: desired, idempotencyKey };
  turn.out.emit({ kind: 'mrm', id: idempotencyKey, operation, deadlineMs });
}

/** Asks an MF for everything that a lost one held, and for what is needed besides. False: the call needs nothing. */
export function rebuild(turn: Turn, deadlineMs?: number): boolean {
  const { call, env } = turn;
  const media = call.media!;
  const { context } = media;
  if (context.pending !== null) return true;
  context.dirty = false;
  const desired = desiredContext(media, env.config);
  if (desired === undefined) {
    context.lost = null;
    return false;
  }
  const until = Math.min(deadlineMs ?? Number.POSITIVE_INFINITY, env.nowMs + env.config.mrmDeadlineMs);
  create(turn, context, desired, `${call.id}.${call.revision}.${context.step++}`, until);
  return true;
}

/** Values in an answer to an older request are not the new ones. */
function askForRenewals(media: MediaState) {
  for (const line of media.lines) {
    for (const end of [line.ends.served, line.ends.remote]) if (end?.renewal === 'wanted') end.renewal = 'asked';
  }
}

/** A call at rest need not keep what it can compute: half its memory. */
export function freeze({ call }: Turn) {
  const context = call.media?.context;
  if (context == null || context.told === null || context.dirty || context.pending !== null) return;
  if (call.state === 'established' && call.negotiation.step === 'stable' && call.queue.length === 0)
    context.told = null;
}

/** Before the lines of a call at rest change: what the MF was told is what they say now. */
export function thaw({ call, env }: Turn) {
  const { media } = call;
  if (media === null || media.context.contextId === '' || media.context.told !== null || media.context.dirty) return;
  media.context.told = desiredContext(media, env.config) ?? NOTHING;
}

/** Deletes the context, if the MF has one. A POST under way is deleted when its 201 comes (R17). */
export function release(turn: Turn): void {
  const { media } = turn.call;
  if (media === null || media.context.contextId === '') return;
  const { context } = media;
  deleteContext(turn, context.mf, context.contextId);
  context.contextId = '';
  context.told = null;
  context.layout = [];
}

function deleteContext(turn: Turn, mf: string, contextId: string): void {
  const id = `d${turn.call.serial++}`;
  turn.out.emit({
    kind: 'mrm',
    id,
    operation: { method: 'DELETE', mf, contextId },
    deadlineMs: turn.env.nowMs + DELETE_DEADLINE_MS,
  });
}

/** Nobody waits for a DELETE, so it may take its time. */
const DELETE_DEADLINE_MS = 10_000;

export type ReplyOutcome =
  | { readonly kind: 'stale' }
  /** `repaired`: another MF took over what the lost one held (R25). */
  | { readonly kind: 'done'; readonly mdc: MdcEndpoints; readonly renewed: boolean; readonly repaired: boolean }
  /** `isLost`: the MF does not hold the context, or nobody knows what it holds. */
  | { readonly kind: 'failed'; readonly status: number; readonly detail: string; readonly isLost: boolean };

/** Takes a reply of the MF. `stale`: it answers nothing that is open; a context that it brings is deleted. */
export function takeMrmReply(turn: Turn, id: string, outcome: Outcome<MrmReply>): ReplyOutcome {
  const { media } = turn.call;
  const context = media?.context;
  const pending = context?.pending;
  if (media === null || context === undefined || pending?.id !== id) {
    const late = outcome.ok ? outcome.value.context?.contextId : undefined;
    if (outcome.ok && late !== undefined && late !== context?.contextId) deleteContext(turn, outcome.value.mf, late);
    return { kind: 'stale' };
  }
  if (!outcome.ok) return failed(turn, context, pending, outcome.status, outcome.detail);
  context.pending = null;
  const repaired = context.lost !== null;
  const { context: body, mf } = outcome.value;
  if (pending.method === 'POST') {
    if (body?.contextId === undefined)
      return { kind: 'failed', status: 502, detail: 'the MF answered POST without a contextId', isLost: false };
    if (turn.call.state === 'ended' || turn.call.state === 'ending') {
      deleteContext(turn, mf, body.contextId);
      return { kind: 'stale' };
    }
    context.contextId = body.contextId;
    context.mf = mf;
    if (repaired) {
      context.lost = null;
      disarm(turn, 'repair');
      turn.out.emit({ kind: 'repaired', outcome: 'reanchored' });
    }
  } else if (context.contextId === '') return { kind: 'stale' };
  context.told = pending.desired;
  context.layout = pending.layout;
  const taken = body === undefined ? undefined : takeReply(media, body, context.layout, pending.desired, turn.env);
  for (const problem of taken?.problems ?? []) note(turn, problem);
  turn.call.revision++;
  return { kind: 'done', mdc: taken?.mdc ?? new Map(), renewed: taken?.renewed ?? false, repaired };
}

/** No answer in time: the patch may have been applied, so whoever waits goes on without it, and it is sent once more. */
function failed(
  turn: Turn,
  context: ContextState,
  pending: NonNullable<ContextState['pending']>,
  status: number,
  detail: string,
): ReplyOutcome {
  if (pending.method === 'PATCH' && status === TIMEOUT && !pending.isRepeated) {
    pending.isRepeated = true;
    const { patch } = diffContexts(context.told ?? NOTHING, pending.desired, context.layout);
    const { mf, contextId } = context;
    const operation = { method: 'PATCH' as const, mf, contextId, patch, idempotencyKey: pending.id };
    const deadlineMs = turn.env.nowMs + turn.env.config.mrmDeadlineMs;
    turn.out.emit({ kind: 'mrm', id: pending.id, operation, deadlineMs });
    return { kind: 'failed', status, detail, isLost: false };
  }
  context.pending = null;
  const isLost = pending.method === 'PATCH' && (status === NOT_FOUND || status === CONFLICT || status === TIMEOUT);
  return { kind: 'failed', status, detail, isLost };
}

const NOT_FOUND = 404;
const CONFLICT = 409;
const TIMEOUT = 504;

/** A call that ended while its POST was under way waits for the 201 at most this long. */
export function awaitLateReply(turn: Turn): void {
  arm(turn, 'linger', turn.env.nowMs + turn.env.config.mrmDeadlineMs + LATE_REPLY_MS);
}

const LATE_REPLY_MS = 10_000;
