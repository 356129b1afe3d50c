import type { SetupValue } from '../sdp/types.ts';

/** How one family of deployed handsets behaves where the standard leaves room. */
export interface HandsetProfile {
  readonly name: ProfileName;
  /** What REGISTER and INVITE say of us. */
  readonly userAgent: string;
  /** `a=setup` in our answers. 3GPP examples and chipsets answer `passive`; the AS then makes the MF the client. */
  readonly answerSetup: Extract<SetupValue, 'active' | 'passive'>;
  /** Requests longer than this are cut into messages of exactly this size; null: always one message. */
  readonly requestChunkBytes: number | null;
  readonly response: ResponseRules;
}

/** What a handset's HTTP reader insists on. A network that breaks one of these loses the handset. */
export interface ResponseRules {
  /** 304 counts as success (else as a failure like any other status outside 2xx). */
  readonly notModified: 'accepted' | 'failure';
  /** A 200 that carries a package must have an ETag. */
  readonly etagRequired: boolean;
  /** The whole header block must be inside the first message. */
  readonly headersInFirstMessage: boolean;
  /** A response without Content-Length: complete at its first message, or never. */
  readonly withoutContentLength: 'firstMessage' | 'never';
}

export type ProfileName = 'china-mobile' | 'china-telecom' | 'browser';

export const PROFILES: Readonly<Record<ProfileName, HandsetProfile>> = {
  'china-mobile': {
    name: 'china-mobile',
    userAgent: 'imsdc-ue/0.1 (profile china-mobile)',
    answerSetup: 'passive',
    requestChunkBytes: 64_000,
    response: {
      notModified: 'accepted',
      etagRequired: false,
      headersInFirstMessage: true,
      withoutContentLength: 'firstMessage',
    },
  },
  'china-telecom': {
    name: 'china-telecom',
    userAgent: 'imsdc-ue/0.1 (profile china-telecom)',
    answerSetup: 'passive',
    requestChunkBytes: null,
    response: {
      notModified: 'failure',
      etagRequired: true,
      headersInFirstMessage: false,
      withoutContentLength: 'never',
    },
  },
  browser: {
    name: 'browser',
    userAgent: 'imsdc-ue/0.1 (profile browser)',
    answerSetup: 'active',
    requestChunkBytes: null,
    response: {
      notModified: 'accepted',
      etagRequired: false,
      headersInFirstMessage: false,
      withoutContentLength: 'never',
    },
  },
};

export function isProfileName(name: string): name is ProfileName {
  return Object.hasOwn(PROFILES, name);
}
