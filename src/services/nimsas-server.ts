import Type from 'typebox';
import { Idempotency } from '../sbi/idempotency.ts';
import { problem } from '../sbi/problem.ts';
import type { SbiRoute } from '../sbi/server.ts';
import {
  type MediaControl,
  type MediaInstructionData,
  NIMSAS_MC_PATH,
  type SessionEventControl,
  type SessionEventNotification,
} from './nimsas.ts';
import { readInstructions, readNotification } from './nimsas-read.ts';

/** Bodies are read leniently first and checked then (nimsas-read.ts). */
const AnyObject = Type.Object({});
/** For a consumer that does not say how long it waits (2.0). */
const NOTIFY_BUDGET_MS = 3_000;

/**
 * The DCSF's end of Nimsas_SessionEventControl (29.175 6.1): `path` is the notification URI that the IMS AS is
 * configured with. 204 when everything for the event has been decided. A repeated notification is not decided twice.
 */
export function sessionEventRoute(path: string, sessionEvents: SessionEventControl): SbiRoute {
  const done = new Idempotency<void>();
  return {
    method: 'POST',
    path,
    body: AnyObject,
    handler: async ({ body, peer, idempotencyKey, deadlineMs = Date.now() + NOTIFY_BUDGET_MS }) => {
      const notification: SessionEventNotification = readNotification(body);
      await done.once(keyOf(peer, idempotencyKey), () => sessionEvents.notify(notification, { deadlineMs }));
      return { status: 204 };
    },
  };
}

/**
 * The IMS AS's end of Nimsas_MediaControl (29.175 6.2). Served while a notification of the same session is pending:
 * instructions come inside it (2.0). 200 with what the MF gave, or 204.
 */
export function mediaControlRoute(mediaControl: MediaControl): SbiRoute {
  const done = new Idempotency<MediaInstructionData | undefined>();
  let unkeyed = 0;
  return {
    method: 'POST',
    path: `${NIMSAS_MC_PATH}/call-sessions/:sessionId/media-instruction`,
    body: AnyObject,
    handler: async ({ body, params, peer, idempotencyKey }) => {
      const data = readInstructions(body);
      if (data.sessionId !== params.sessionId) throw incorrect('/sessionId', 'differs from the path');
      if (Object.keys(data.mediaInstructionSet).length === 0) throw incorrect('/mediaInstructionSet', 'is empty');
      const key = keyOf(peer, idempotencyKey);
      const options = { idempotencyKey: key ?? `${peer} unkeyed ${++unkeyed}` };
      const result = await done.once(key, () => mediaControl.mediaInstruction(data, options));
      return result ? { status: 200, body: result } : { status: 204 };
    },
  };
}

/** One peer's key says nothing of another's. */
function keyOf(peer: string, idempotencyKey: string | undefined): string | undefined {
  return idempotencyKey === undefined ? undefined : `${peer} ${idempotencyKey}`;
}

function incorrect(param: string, reason: string): Error {
  return problem(400, 'MANDATORY_IE_INCORRECT', `${param} ${reason}`, [{ param, reason }]);
}
