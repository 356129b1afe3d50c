import type { MediaFigures, MediaUsage } from '../../services/nmf-mrm.ts';
import type { KeyStats } from '../engine/types.ts';
import type { FlowEnd } from './desired.ts';
import { type Held, type HeldAssociation, type HeldFlow, isBroken } from './held.ts';
import type { Plan } from './plan.ts';

/** Something of one engine key ends, and its consumer wants to know what it carried (R31). */
export interface Ending {
  readonly key: string;
  readonly state: 'ended' | 'streamClosed' | 'superseded';
  /** Only these streams; absent: all of it. */
  readonly streams?: ReadonlySet<number>;
  /** Whom it is told to. Of a flow `side` says whose datagrams these are. */
  readonly medias: readonly { readonly entry: string; readonly eventUri: string; readonly side?: 'a' | 'b' }[];
}

/** An association, or some of its streams. Empty: nobody wants to know. */
export function endingOf(
  association: HeldAssociation | undefined,
  state: Ending['state'],
  streams?: ReadonlySet<number>,
): Ending[] {
  const { entries, eventUri, key, usage } = association ?? {};
  if (!usage || eventUri === undefined || key === undefined || entries === undefined) return [];
  return [{ key, state, ...(streams && { streams }), medias: entries.map((entry) => ({ entry, eventUri })) }];
}

/** What a plan ends: keys that it releases, and streams that it leaves out of those that stay. */
export function endingBy(plan: Plan, held: Held): Ending[] {
  const released = new Set(plan.release);
  const endings: Ending[] = [];
  for (const association of held.associations.values()) {
    const stays = plan.associations.has(association.id);
    for (const one of [association, association.predecessor]) {
      if (one && released.has(one.key) && !isBroken(one))
        endings.push(...endingOf(one, stays ? 'superseded' : 'ended'));
    }
    if (released.has(association.key)) continue;
    endings.push(...endingOf(association, 'streamClosed', leftOut(plan, association.key)));
  }
  for (const flow of held.flows.values()) if (released.has(flow.key)) endings.push(...endingOfFlow(flow));
  return endings.filter(({ streams }) => streams === undefined || streams.size > 0);
}

function leftOut(plan: Plan, key: string): ReadonlySet<number> {
  const step = plan.shape.find((shape) => shape.do === 'streams' && shape.key === key);
  if (step?.do !== 'streams') return new Set();
  const stays = new Set(step.streams.map(({ streamId }) => streamId));
  return new Set(step.before.map(({ streamId }) => streamId).filter((id) => !stays.has(id)));
}

function endingOfFlow({ a, b, key }: HeldFlow): Ending[] {
  const told = ({ entries, eventUri, usage }: FlowEnd, side: 'a' | 'b') =>
    usage && eventUri !== undefined ? entries.map((entry) => ({ entry, eventUri, side })) : [];
  const medias = [...told(a, 'a'), ...told(b, 'b')];
  return medias.length === 0 ? [] : [{ key, state: 'ended', medias }];
}

/** What each medium is told; streams in `counted` were told before. */
export function usageOf(
  { medias, streams: only }: Ending,
  stats: KeyStats,
  counted: ReadonlySet<number>,
): { entry: string; eventUri: string; usage: MediaUsage }[] {
  if (stats.kind === 'flow') {
    // The engine counts the sides of a flow as streams 0 and 1.
    return medias.flatMap(({ entry, eventUri, side }) => {
      const figures = stats.streams.find(({ streamId }) => streamId === (side === 'a' ? 0 : 1));
      return figures ? [{ entry, eventUri, usage: { streams: {}, datagrams: figuresOf(figures) } }] : [];
    });
  }
  const told = stats.streams.filter(({ streamId }) => !counted.has(streamId) && (only?.has(streamId) ?? true));
  const streams = Object.fromEntries(told.map((figures) => [String(figures.streamId), figuresOf(figures)]));
  return medias.map(({ entry, eventUri }) => ({ entry, eventUri, usage: { streams } }));
}

function figuresOf({ bytesReceived, bytesSent, messagesReceived, messagesSent }: MediaFigures): MediaFigures {
  return { bytesReceived, messagesReceived, bytesSent, messagesSent };
}
