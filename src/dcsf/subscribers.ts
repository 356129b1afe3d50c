import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { ImsdcError } from '../errors.ts';
import { requireValid } from '../sbi/validation.ts';
import { type DcsfConfig, SubscriberOverride } from './config.ts';
import { normalisedIdentity } from './decide/identity.ts';
import type { SubscriberProfile } from './decide/types.ts';

/** Where profiles come from: a file today, the HSS (N72) behind the same method. Rejects when it cannot be read. */
export interface SubscriberStore {
  profile(identity: string): Promise<SubscriberProfile>;
}

/** Reads the file once. Throws DCSF_SUBSCRIBERS naming the file and the subscriber. */
export function localSubscribers(config: DcsfConfig['subscribers']): SubscriberStore {
  const defaults = config.default as SubscriberProfile;
  const profiles = new Map<string, SubscriberProfile>();
  const listed = { ...(config.file === undefined ? {} : readProfiles(config.file)), ...config.inline };
  for (const [identity, override] of Object.entries(listed)) {
    profiles.set(normalisedIdentity(identity), { ...defaults, ...override });
  }
  return { profile: (identity) => Promise.resolve(profiles.get(normalisedIdentity(identity)) ?? defaults) };
}

function readProfiles(file: string): Record<string, Partial<SubscriberProfile>> {
  const refuse = (problem: string, cause?: unknown) => new ImsdcError('DCSF_SUBSCRIBERS', { file, problem }, { cause });
  let content: unknown;
  try {
    content = parse(readFileSync(file, 'utf8')) ?? {};
  } catch (error) {
    throw refuse((error as Error).message.split('\n')[0]!.replace(/:$/, ''), error);
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw refuse('must map public identities to profiles');
  }
  for (const [identity, profile] of Object.entries(content)) {
    try {
      requireValid<Partial<SubscriberProfile>>({ ...SubscriberOverride, additionalProperties: false }, profile);
    } catch (error) {
      throw refuse(`${identity}: ${(error as Error).message}`, error);
    }
  }
  return content as Record<string, Partial<SubscriberProfile>>;
}
