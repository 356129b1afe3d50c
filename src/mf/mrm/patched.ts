import { ImsdcError } from '../../errors.ts';
import { requireValid } from '../../sbi/validation.ts';
import { type DcMedia, MediaContext, type PatchItem } from '../../services/nmf-mrm.ts';
import { entryId, type RequestedValues, requestedValues } from './desired.ts';
import { applyPatch, clone, weightOf } from './json-patch.ts';

/** One POST may bring half of it: what we add to that, and what later patches do, has room enough. */
const MAX_CONTEXT_WEIGHT = 128 * 1024;

export interface Patched {
  readonly document: MediaContext;
  /** What the consumer asked for last in this entry of `document`. */
  requested(dcMedia: DcMedia): RequestedValues;
}

/**
 * A representation after a patch; `former`: what the consumer asked for in it so far, by entry. Our response wrote our
 * own values over the peer's in some members: unless the patch wrote there again, what was asked for last still counts.
 * Throws what `applyPatch` throws, and `SbiProblem` (400) for a result that is no context.
 */
export function patched(
  document: MediaContext,
  former: ReadonlyMap<string, RequestedValues>,
  items: readonly PatchItem[],
): Patched {
  const draft = clone(document);
  const before = new Map<DcMedia, { readonly values: RequestedValues; readonly imsdc: object | undefined }>();
  for (const { terminationId, medias } of draft.terminations) {
    for (const { mediaId, dcMedia } of medias) {
      const values = former.get(entryId(terminationId, mediaId));
      if (dcMedia && values) before.set(dcMedia, { values, imsdc: dcMedia.imsdc });
    }
  }
  const written = new Map<object, Set<string>>();
  const result = applyPatch(draft, items, (parent, key) => {
    written.set(parent, (written.get(parent) ?? new Set()).add(key));
  });
  requireValid<MediaContext>(MediaContext, result);
  // Members that we do not know are kept, and each patch could bring some more of them.
  if (weightOf(result, MAX_CONTEXT_WEIGHT) > MAX_CONTEXT_WEIGHT) {
    const [index, problem] = [items.length - 1, `makes the context longer than ${MAX_CONTEXT_WEIGHT} characters`];
    const invalidParams = [{ param: '', reason: problem }];
    throw new ImsdcError('MF_PATCH_INVALID', { index, member: '/value', problem, invalidParams });
  }
  const wrote = (object: object | undefined, key: string) => object && written.get(object)?.has(key);
  return {
    document: result,
    requested: (dcMedia) => {
      const now = requestedValues(dcMedia);
      const old = before.get(dcMedia);
      if (!old) return now;
      const sameImsdc = old.imsdc === dcMedia.imsdc && !wrote(dcMedia.imsdc, 'maxMessageSizeBytes');
      return {
        securitySetup: (wrote(dcMedia, 'securitySetup') ? now : old.values).securitySetup,
        maxMessageSize: (wrote(dcMedia, 'maxMessageSize') ? now : old.values).maxMessageSize,
        maxMessageSizeBytes: (sameImsdc ? old.values : now).maxMessageSizeBytes,
      };
    },
  };
}
