import { requireValid } from '../../src/sbi/validation.ts';
import {
  type MediaControl,
  MediaInstructionData,
  type SessionEventControl,
  SessionEventNotification,
} from '../../src/services/nimsas.ts';

/**
 * DC1 within one process, held to what HTTP/2 would do: only plain data crosses (a deep copy, so that neither side can
 * reach into the other), and it fits the schemas in both directions. In service the rooms are joined directly, which
 * tests with this show to be the same.
 */
export function checkedSessionEvents(target: SessionEventControl): SessionEventControl {
  return {
    async notify(notification, options) {
      await target.notify(crossing(SessionEventNotification, notification), { ...options });
    },
  };
}

export function checkedMediaControl(target: MediaControl): MediaControl {
  return {
    async mediaInstruction(data, options) {
      const result = await target.mediaInstruction(crossing(MediaInstructionData, data), { ...options });
      return result && crossing(MediaInstructionData, result);
    },
  };
}

/** As JSON would carry it. Throws `SbiProblem` for what does not fit, DataCloneError for what is no data. */
function crossing<T>(schema: object, value: T): T {
  const copy: unknown = JSON.parse(JSON.stringify(structuredClone(value)));
  requireValid<T>(schema, copy);
  return copy;
}
