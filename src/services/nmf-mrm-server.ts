import type { SbiRoute, SbiServerRequest } from '../sbi/server.ts';
import { JsonPatch, MediaContext, MediaEvent, NMF_MRM_PATH, type PatchItem } from './nmf-mrm.ts';

/** What a request says besides its body. */
export type MrmRequestInfo = Pick<SbiServerRequest, 'deadlineMs' | 'idempotencyKey' | 'peer' | 'priority'>;

/** What stands behind Nmf_MRM. Rejections are coded errors or `SbiProblem`s. */
export interface MrmService {
  create(context: MediaContext, info: MrmRequestInfo): Promise<MediaContext & { contextId: string }>;
  /** Undefined: nothing to add, 204. */
  patch(contextId: string, items: readonly PatchItem[], info: MrmRequestInfo): Promise<MediaContext | undefined>;
  delete(contextId: string, info: MrmRequestInfo): Promise<void>;
}

/** POST, PATCH and DELETE of TS 29.176 6.1.3, and OPTIONS, with which a peer announces itself on a new session. */
export function nmfMrmRoutes(service: MrmService): SbiRoute[] {
  const contexts = `${NMF_MRM_PATH}/contexts`;
  const create: SbiRoute<MediaContext> = {
    method: 'POST',
    path: contexts,
    body: MediaContext,
    handler: async (request) => {
      const body = await service.create(request.body, request);
      return { status: 201, headers: { location: `${contexts}/${encodeURIComponent(body.contextId)}` }, body };
    },
  };
  const patch: SbiRoute<PatchItem[]> = {
    method: 'PATCH',
    path: `${contexts}/:contextId`,
    contentType: 'application/json-patch+json',
    body: JsonPatch,
    handler: async (request) => {
      const body = await service.patch(request.params.contextId!, request.body, request);
      return body ? { status: 200, body } : { status: 204 };
    },
  };
  const remove: SbiRoute = {
    method: 'DELETE',
    path: `${contexts}/:contextId`,
    handler: async (request) => {
      await service.delete(request.params.contextId!, request);
      return { status: 204 };
    },
  };
  const announce: SbiRoute = {
    method: 'OPTIONS',
    path: contexts,
    handler: () => ({ status: 204, headers: { allow: 'POST, OPTIONS' } }),
  };
  return [create as SbiRoute, patch as SbiRoute, remove, announce];
}

/**
 * The consumer's end of R25: the route behind `eventUri`. The handler decides; whatever it does, the MF gets 204,
 * because an event that we cannot use any more must not be sent again.
 */
export function mediaEventRoute(
  path: string,
  onEvent: (event: MediaEvent, peer: string) => void,
): SbiRoute<MediaEvent> {
  return {
    method: 'POST',
    path,
    body: MediaEvent,
    handler: (request) => {
      onEvent(request.body, request.peer);
      return { status: 204 };
    },
  };
}
