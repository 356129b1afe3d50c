import type { DialogReference } from '../../sip/message/index.ts';
import type { Call } from '../call/types.ts';
import { readTag } from './identity.ts';

export type DialogName = Pick<DialogReference, 'callId' | 'toTag' | 'fromTag'>;

/**
 * A dialog of ours as the peer of the other leg knows it (R21). The tag that is ours tells the call and the leg; on the
 * other leg what was ours is the peer's, and the other way round.
 */
export function counterpart(name: DialogName, find: (callId: string) => Call | undefined): DialogName | undefined {
  const { callId, toTag, fromTag } = name;
  const ownIsTo = readTag(toTag) !== undefined;
  const [ours, theirs] = ownIsTo ? [toTag, fromTag] : [fromTag, toTag];
  const owner = readTag(ours);
  const call = owner === undefined ? undefined : find(owner.callId);
  if (call === undefined || owner === undefined || call.legs[owner.leg].callId !== callId) return undefined;
  const fork = call.forks.find(
    ({ dialogs }) => dialogs[owner.leg].localTag === ours && dialogs[owner.leg].remoteTag === theirs,
  );
  if (fork === undefined) return undefined;
  const far = owner.leg === 'served' ? 'remote' : 'served';
  const { localTag, remoteTag } = fork.dialogs[far];
  const tags = ownIsTo ? { toTag: remoteTag, fromTag: localTag } : { toTag: localTag, fromTag: remoteTag };
  return { callId: call.legs[far].callId, ...tags };
}
