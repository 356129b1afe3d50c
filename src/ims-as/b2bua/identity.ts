import type { LegName } from '../call/types.ts';

/**
 * Everything that we mint names its call, so that a message finds it in one look-up, on any instance (R21): tags are
 * `<call>-s<fork>` and `<call>-r<fork>`, branches `z9hG4bK<call>-<n>`.
 */
const COOKIE = 'z9hG4bK';

export interface TagOwner {
  readonly callId: string;
  readonly leg: LegName;
  readonly fork: number;
}

export function mintTag(call: string, leg: LegName, fork: number): string {
  return `${call}-${leg === 'served' ? 's' : 'r'}${fork}`;
}

/** Undefined: not a tag of ours. */
export function readTag(tag: string): TagOwner | undefined {
  const dash = tag.lastIndexOf('-');
  if (dash < 1) return undefined;
  const letter = tag.charCodeAt(dash + 1);
  const fork = Number(tag.slice(dash + 2));
  if ((letter !== 0x73 && letter !== 0x72) || !Number.isInteger(fork) || tag.length < dash + 3) return undefined;
  return { callId: tag.slice(0, dash), leg: letter === 0x73 ? 'served' : 'remote', fork };
}

export function mintBranch(call: string, serial: number): string {
  return `${COOKIE}${call}-${serial.toString(36)}`;
}

/** The call a branch of ours belongs to; '' when it is none. */
export function callOfBranch(branch: string): string {
  const dash = branch.lastIndexOf('-');
  return dash > COOKIE.length && branch.startsWith(COOKIE) ? branch.slice(COOKIE.length, dash) : '';
}
