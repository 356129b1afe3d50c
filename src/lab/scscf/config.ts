import Type, { type Static } from 'typebox';

/** Options of the lab's S-CSCF. */
export const ScscfConfig = Type.Object(
  {
    address: Type.String({ default: '127.0.0.1', description: 'IP address to listen on (UDP and TCP)' }),
    port: Type.Integer({ default: 5060, minimum: 0, maximum: 65535, description: 'port; 0 = any free port' }),
    homeDomain: Type.String({ default: 'ims.lab', description: 'domain whose users register here' }),
    applicationServer: Type.String({
      default: '',
      description: 'SIP URI of the IMS AS every INVITE passes twice; empty = calls without application server',
    }),
    subscriptions: Type.Array(Type.Array(Type.String(), { minItems: 1 }), {
      default: [],
      description: 'implicit registration sets: public identities (sip:, tel:), the first one is the default',
    }),
    minExpiresS: Type.Integer({ default: 1, minimum: 1, description: 'shortest registration, seconds' }),
    defaultExpiresS: Type.Integer({ default: 3600, minimum: 1, description: 'registration without expires, seconds' }),
    maxExpiresS: Type.Integer({ default: 7200, minimum: 1, description: 'longest registration, seconds' }),
    timerCMs: Type.Integer({
      default: 200_000,
      minimum: 1000,
      description: 'an INVITE without final response is given up after this, milliseconds (RFC 3261 16.6 step 11)',
    }),
    applicationServerTimeoutMs: Type.Integer({
      default: 5000,
      minimum: 100,
      description: 'an AS that says nothing at all for this long is skipped (default handling SESSION_CONTINUED)',
    }),
  },
  { description: 'The lab S-CSCF' },
);
export type ScscfConfig = Static<typeof ScscfConfig>;

/** The schema's defaults, for those who start it from a program. */
export const SCSCF_DEFAULTS: ScscfConfig = {
  address: '127.0.0.1',
  port: 5060,
  homeDomain: 'ims.lab',
  applicationServer: '',
  subscriptions: [],
  minExpiresS: 1,
  defaultExpiresS: 3600,
  maxExpiresS: 7200,
  timerCMs: 200_000,
  applicationServerTimeoutMs: 5000,
};
