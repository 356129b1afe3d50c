import type { ProblemDetails } from '../../services/common-data.ts';

/** R17: too late, or not while something else is open. */
export function conflict(detail: string): ProblemDetails {
  return { status: 409, cause: 'MODIFICATION_NOT_ALLOWED', detail };
}

/** `param` of an instruction is not what it may be. */
export function incorrect(param: string, reason: string): ProblemDetails {
  return {
    status: 400,
    cause: 'MANDATORY_IE_INCORRECT',
    detail: `${param} ${reason}`,
    invalidParams: [{ param, reason }],
  };
}
