import type { DecidedMedia, Decision, Session } from './types.ts';

/**
 * The session after a decision that could not be carried out: what it added or changed is as before, what other
 * events did meanwhile stays. The revision stays too, so that no idempotency key is ever used twice.
 */
export function undone(current: Session | null, before: Session | null, decision: Decision): Session | null {
  if (!current || !decision.session) return current;
  const media = new Map<string, DecidedMedia>(Object.entries(current.media));
  const former = before?.media ?? {};
  for (const [mediaId, line] of Object.entries(decision.session.media)) {
    const earlier = Object.hasOwn(former, mediaId) ? former[mediaId] : undefined;
    if (earlier === line) continue;
    if (earlier) media.set(mediaId, earlier);
    else media.delete(mediaId);
  }
  return { ...current, media: Object.fromEntries(media) };
}
