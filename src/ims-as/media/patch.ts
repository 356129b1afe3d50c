import { sameData } from '../../base/same.ts';
import type { MediaContext, MediaInfo, PatchItem, TerminationInfo } from '../../services/nmf-mrm.ts';
import type { ContextState } from './types.ts';

export type Layout = ContextState['layout'];

export interface ContextDifference {
  readonly patch: readonly PatchItem[];
  /** Where things stand once the patch is applied. */
  readonly layout: Layout;
}

/**
 * The JSON Patch (RFC 6902) from what the MF was told to what it should hold. Arrays are addressed by index, so every
 * write is guarded by a `test` of the id that we believe to stand there: an MF that disagrees answers 409 and changes
 * nothing (network-side.md 3.3). Changes come first, then removals from the back, then additions, so that no index
 * moves before it is used. Empty: nothing to do.
 */
export function diffContexts(told: MediaContext, desired: MediaContext, layout: Layout): ContextDifference {
  const patch: PatchItem[] = [];
  const want = new Map(desired.terminations.map((t) => [t.terminationId, t]));
  const have = new Map(told.terminations.map((t) => [t.terminationId, t]));
  const next: Layout = layout.map((t) => ({ ...t, medias: [...t.medias] }));

  for (const [t, place] of layout.entries())
    changeTermination(patch, t, place, have.get(place.ours), want.get(place.ours));
  for (let t = layout.length - 1; t >= 0; t--) removeFrom(patch, next, t, layout[t]!, want.get(layout[t]!.ours));
  for (const termination of desired.terminations) addTo(patch, next, termination);
  return { patch, layout: next };
}

function changeTermination(
  patch: PatchItem[],
  t: number,
  place: Layout[number],
  told: TerminationInfo | undefined,
  want: TerminationInfo | undefined,
): void {
  if (want === undefined) return;
  let guarded = false;
  for (const [m, mediaId] of place.medias.entries()) {
    const before = told?.medias.find((media) => media.mediaId === mediaId);
    const after = want.medias.find((media) => media.mediaId === mediaId);
    if (after === undefined || before === undefined) continue;
    const changes = changeMedia(`/terminations/${t}/medias/${m}`, before, after);
    if (changes.length === 0) continue;
    if (!guarded) patch.push({ op: 'test', path: `/terminations/${t}/terminationId`, value: place.terminationId });
    guarded = true;
    patch.push({ op: 'test', path: `/terminations/${t}/medias/${m}/mediaId`, value: mediaId }, ...changes);
  }
}

function changeMedia(path: string, before: MediaInfo, after: MediaInfo): PatchItem[] {
  const patch: PatchItem[] = [];
  changeMembers(patch, path, before, after);
  changeMembers(patch, `${path}/dcMedia`, before.dcMedia ?? {}, after.dcMedia ?? {});
  return patch;
}

/** Its members are changed one by one. */
const DIVIDED = 'dcMedia';

type Members = Readonly<Record<string, unknown>>;

function changeMembers(patch: PatchItem[], path: string, before: Members, after: Members): void {
  for (const name in after) {
    const was = before[name];
    const value = after[name];
    if (value === undefined || name === DIVIDED || sameData(was, value)) continue;
    patch.push({ op: was === undefined ? 'add' : 'replace', path: `${path}/${name}`, value });
  }
  for (const name in before) {
    if (before[name] !== undefined && after[name] === undefined && name !== DIVIDED)
      patch.push({ op: 'remove', path: `${path}/${name}` });
  }
}

function removeFrom(
  patch: PatchItem[],
  next: Layout,
  t: number,
  place: Layout[number],
  want: TerminationInfo | undefined,
): void {
  const stays = (mediaId: string): boolean => want?.medias.some((media) => media.mediaId === mediaId) ?? false;
  if (place.medias.every((mediaId) => !stays(mediaId))) {
    patch.push({ op: 'test', path: `/terminations/${t}/terminationId`, value: place.terminationId });
    patch.push({ op: 'remove', path: `/terminations/${t}` });
    next.splice(t, 1);
    return;
  }
  for (let m = place.medias.length - 1; m >= 0; m--) {
    if (stays(place.medias[m]!)) continue;
    patch.push({ op: 'test', path: `/terminations/${t}/medias/${m}/mediaId`, value: place.medias[m] });
    patch.push({ op: 'remove', path: `/terminations/${t}/medias/${m}` });
    next[t]!.medias.splice(m, 1);
  }
}

function addTo(patch: PatchItem[], next: Layout, termination: TerminationInfo): void {
  const t = next.findIndex((place) => place.ours === termination.terminationId);
  if (t < 0) {
    patch.push({ op: 'add', path: '/terminations/-', value: termination });
    next.push(layoutOf(termination));
    return;
  }
  const place = next[t]!;
  for (const media of termination.medias) {
    if (place.medias.includes(media.mediaId)) continue;
    patch.push({ op: 'test', path: `/terminations/${t}/terminationId`, value: place.terminationId });
    patch.push({ op: 'add', path: `/terminations/${t}/medias/-`, value: media });
    place.medias.push(media.mediaId);
  }
}

export function layoutOf(termination: TerminationInfo): Layout[number] {
  return {
    terminationId: termination.terminationId,
    ours: termination.terminationId,
    medias: termination.medias.map((media) => media.mediaId),
  };
}
