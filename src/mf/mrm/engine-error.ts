import { ImsdcError } from '../../errors.ts';

/** Why, in the words of docs/media-worker.md where a worker refused. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof ImsdcError)) return 'INTERNAL';
  return error.code === 'WORKER_REFUSED' ? String(error.details.reason) : error.code;
}

/** What the engine says, in the MF's codes. */
export function engineError(error: unknown): unknown {
  const reason = reasonOf(error);
  if (reason.startsWith('MF_')) return error;
  const problem = (error as Error).message;
  switch (reason) {
    case 'WORKER_LOST':
    case 'WORKER_UNAVAILABLE':
    case 'DRAINING':
      return new ImsdcError('MF_NO_WORKER', { problem }, { cause: error });
    case 'PORT_UNAVAILABLE':
    case 'BUDGET':
      return new ImsdcError('MF_NO_RESOURCES', { problem }, { cause: error });
    case 'BAD_REMOTE':
      return new ImsdcError('MF_CONTEXT_INVALID', { param: 'remoteDcEndpoint', problem }, { cause: error });
    default:
      return new ImsdcError('MF_ENGINE_FAILED', { problem }, { cause: error });
  }
}
