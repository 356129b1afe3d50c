import { isEmpty } from './multiplex.ts';
import { joinedStreams } from './streams.ts';
import { type LineEnd, type MediaLine, type MediaSnapshot, type MediaState, NO_STREAMS } from './types.ts';

/**
 * What nobody decided by the time the DCSF has answered: application lines pass, bootstrap lines and those the MF could
 * not take are stripped (R9).
 */
export function decideRest(media: MediaState): void {
  for (const line of media.lines) {
    if (line.failed) refuse(media, line);
    else if (line.treatment === 'undecided') {
      if (Object.keys(line.streams).some((id) => Number(id) < 1000)) refuse(media, line);
      else line.treatment = 'pass';
    } else if (line.treatment === 'pass' && line.withheld.length === 0) {
      line.streams = joinedStreams(line.streams, line.proposed);
    }
    line.proposed = NO_STREAMS;
    endIfEmpty(media, line);
  }
}

/** All its streams were left out, and what came instead was not let in. */
function endIfEmpty(media: MediaState, line: MediaLine): void {
  const isAnchored = line.ends.served !== null || line.ends.remote !== null;
  if (isAnchored && line.state === 'open' && isEmpty(media, line)) line.state = 'closing';
}

/**
 * The barrier closes without a decision, or the MF fails: what the offer changed is refused, what was live before goes
 * on as it was (R17).
 */
export function refuseChanges(media: MediaState, before: MediaSnapshot): void {
  media.lines = media.lines.filter(
    (line) =>
      (line.treatment !== 'originate' && line.carriedBy === '') || before.lines.some((old) => old.id === line.id),
  );
  for (const line of media.lines) {
    if (!line.dataChannel || line.state !== 'open') continue;
    const old = before.lines.find((l) => l.id === line.id);
    if (old === undefined) refuse(media, line);
    else {
      line.streams = old.streams;
      line.proposed = NO_STREAMS;
      line.spec = old.spec;
      line.failed = false;
      // An association that was to begin anew cannot: the MF gave nothing for it.
      if (isRenewing(line.ends.served) || isRenewing(line.ends.remote)) line.state = 'closing';
    }
  }
  media.context.dirty = true;
}

function isRenewing(end: LineEnd | null): boolean {
  return end !== null && (end.renewal === 'wanted' || end.renewal === 'asked');
}

function refuse(media: MediaState, line: MediaLine): void {
  line.treatment = 'refused';
  line.proposed = NO_STREAMS;
  line.failed = false;
  line.ends.served = null;
  line.ends.remote = null;
  media.context.dirty = true;
}
