import type { ErrorObject } from 'ajv';
import { ERRORS, type ErrorCode, ImsdcError } from '../errors.ts';
import type { ProblemDetails } from './problem-details.ts';

export const PROBLEM_JSON = 'application/problem+json';

/** One thing wrong in a request body: `param` is a JSON pointer into it (TS 29.571 InvalidParam). */
export interface InvalidParam {
  param: string;
  reason: string;
}

/** What a route throws, or returns, to answer with ProblemDetails (TS 29.500 5.2.7). */
export class SbiProblem extends Error {
  readonly details: ProblemDetails;
  readonly headers: Readonly<Record<string, string>>;

  constructor(details: ProblemDetails, headers: Readonly<Record<string, string>> = {}) {
    super(details.detail ?? details.title ?? `HTTP ${details.status}`);
    this.name = 'SbiProblem';
    this.details = details;
    this.headers = headers;
  }
}

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  411: 'Length Required',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

export function problem(
  status: number,
  cause: string | undefined,
  detail: string,
  invalidParams?: InvalidParam[],
): SbiProblem {
  return new SbiProblem({
    title: TITLES[status] ?? 'Error',
    status,
    ...(cause === undefined ? {} : { cause }),
    detail,
    ...(invalidParams === undefined ? {} : { invalidParams }),
  });
}

/** 503 or 429 with Retry-After (RFC 9110 10.2.3). */
export function congestion(status: 429 | 503, detail: string, retryAfterSeconds: number): SbiProblem {
  const cause = status === 503 ? 'NF_CONGESTION' : 'NF_CONGESTION_RISK';
  return new SbiProblem(
    { title: TITLES[status]!, status, cause, detail },
    { 'retry-after': String(Math.max(1, Math.ceil(retryAfterSeconds))) },
  );
}

/** A coded error becomes the status and cause of its entry; anything else is 500 and says nothing of our insides. */
export function toProblem(error: unknown): SbiProblem {
  if (error instanceof SbiProblem) return error;
  if (error instanceof ImsdcError) {
    const { http = 500, cause = 'UNSPECIFIED_NF_FAILURE' } = error.entry;
    const { invalidParams } = error.details as { invalidParams?: InvalidParam[] };
    return problem(http, cause, error.message, invalidParams);
  }
  return problem(500, 'UNSPECIFIED_NF_FAILURE', 'internal error');
}

/** 400 for a body that failed its schema. `base` is put before each pointer. */
export function invalidBody(errors: readonly ErrorObject[] | null | undefined): SbiProblem {
  const params = invalidParams(errors ?? []);
  const first = params[0];
  const missing = errors?.[0]?.keyword === 'required' || errors?.[0]?.keyword === 'minItems';
  return problem(
    400,
    missing ? 'MANDATORY_IE_MISSING' : 'MANDATORY_IE_INCORRECT',
    first ? `${first.param || 'body'} ${first.reason}` : 'the body does not fit its schema',
    params,
  );
}

/** JSON pointers of what Ajv found; a missing member is named itself, not its parent. */
export function invalidParams(errors: readonly ErrorObject[]): InvalidParam[] {
  return errors.slice(0, MAX_INVALID_PARAMS).map((error) => {
    const { missingProperty } = error.params as { missingProperty?: string };
    return missingProperty === undefined
      ? { param: error.instancePath, reason: error.message ?? 'is invalid' }
      : { param: `${error.instancePath}/${escapePointer(missingProperty)}`, reason: 'missing' };
  });
}

/** A hostile body can be wrong in ten thousand places; the first few say enough. */
const MAX_INVALID_PARAMS = 8;

/** RFC 6901 3. */
export function escapePointer(token: string): string {
  return token.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** The ProblemDetails in a response body, if it is one: every member is checked, because peers send anything. */
export function readProblem(status: number, body: unknown): ProblemDetails {
  const details: ProblemDetails = { status };
  if (typeof body !== 'object' || body === null) return details;
  const { title, detail, cause, invalidParams: params } = body as Record<string, unknown>;
  if (typeof title === 'string') details.title = title.slice(0, MAX_TEXT);
  if (typeof detail === 'string') details.detail = detail.slice(0, MAX_TEXT);
  if (typeof cause === 'string') details.cause = cause.slice(0, MAX_TEXT);
  if (Array.isArray(params)) {
    details.invalidParams = params.slice(0, MAX_INVALID_PARAMS).map((entry: unknown) => {
      const { param, reason } = (entry ?? {}) as Record<string, unknown>;
      return { param: String(param ?? '').slice(0, MAX_TEXT), reason: String(reason ?? '').slice(0, MAX_TEXT) };
    });
  }
  return details;
}

/** A peer's text goes into our logs; this much of it. */
const MAX_TEXT = 512;

/** For callers that want the table: HTTP status of a code. */
export function statusOf(code: ErrorCode): number {
  return (ERRORS[code] as { http?: number }).http ?? 500;
}
