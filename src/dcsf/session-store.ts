import type { Logger } from '../base/log.ts';
import { ImsdcError } from '../errors.ts';
import type { Grant } from '../services/ndcar.ts';
import type { Journal, Touch } from '../store/journal.ts';
import type { Session } from './decide/types.ts';

/** Space of the journal. */
const SESSIONS = 'session';

/** A session as it is written, with what its content tokens open: the repository has forgotten them as well. */
export interface StoredSession {
  readonly schema: 1;
  readonly session: Session;
  readonly grants: readonly Grant[];
}

export interface SessionSource {
  stored(sessionId: string): StoredSession | undefined;
  ids(): Iterable<string>;
}

/** Sessions are written through `journal` from now on. */
export function storeSessions(journal: Journal, source: SessionSource): Touch {
  return journal.own(SESSIONS, {
    render: (id) => {
      const stored = source.stored(id);
      return stored && JSON.stringify(stored);
    },
    ids: () => source.ids(),
  });
}

/** What a former process left; what cannot be used is reported (STATE_RECORD) and left out. */
export function* restoredSessions(journal: Journal, log: Logger): Iterable<StoredSession> {
  for (const [id, text] of journal.found(SESSIONS)) {
    try {
      yield read(id, text);
    } catch (error) {
      log.error({ err: error, sessionId: id }, 'a stored session is lost');
    }
  }
}

function read(id: string, text: string): StoredSession {
  const refuse = (problem: string, cause?: unknown) =>
    new ImsdcError('STATE_RECORD', { what: 'session', id, problem }, { cause });
  let value: Partial<StoredSession> | null;
  try {
    value = JSON.parse(text) as Partial<StoredSession> | null;
  } catch (cause) {
    throw refuse('not JSON', cause);
  }
  const { schema, session, grants } = value ?? {};
  if (schema !== 1 || session?.schema !== 1) throw refuse(`schema ${schema}/${session?.schema} where 1/1 is read`);
  if (session.sessionId !== id || session.media === undefined || !Array.isArray(grants)) {
    throw refuse('members are missing');
  }
  return { schema, session, grants };
}
