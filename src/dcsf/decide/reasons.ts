/** Every reason a decision can record: code for machines, sentence for people. `{name}` is filled in. */
export const REASONS = {
  A2P_NOT_ALLOWED: 'the served user takes no calls from applications',
  APPLICATION_ANCHORED_E2DCE: 'application {application}: anchored, the MF ends DTLS on both legs',
  APPLICATION_ANCHORED_E2E: 'application {application}: anchored, the MF forwards datagrams',
  APPLICATION_BETWEEN: 'application {application}: its DC AS stands between the users, on both legs (P2A2P)',
  APPLICATION_FROM_SERVER: 'application {application}: its DC AS calls the user (A2P)',
  APPLICATION_INTERWORKED: 'application {application}: its DC AS stands in for a user without data channels',
  APPLICATION_NOT_ALLOWED: 'application {application} is refused by policy',
  APPLICATION_NOT_SUBSCRIBED: 'the served user has not subscribed to application {application}',
  APPLICATION_PASSED: 'application {application}: between the UEs, not anchored',
  APPLICATION_TO_SERVER: 'application {application}: ends at its DC AS (P2A)',
  APPLICATION_UNBOUND: 'no application is bound to the streams of this line',
  APPLICATION_UNKNOWN: 'application {application} is neither configured nor published',
  BOOTSTRAP_FOREIGN_LOCAL: 'stream ids 0 and 10 belong inside the other network',
  BOOTSTRAP_FOR_PEER: 'a bootstrap line to our repository is added for the other user',
  BOOTSTRAP_FOR_SERVED: 'a bootstrap line to our repository is added for the served user',
  BOOTSTRAP_NOT_SERVED: 'nobody serves the bootstrap streams of this line',
  BOOTSTRAP_OWN: 'our repository serves this bootstrap line',
  BOOTSTRAP_TRANSIT_ANCHORED: 'bootstrap line of the other network, relayed by the MF',
  BOOTSTRAP_TRANSIT_PASSED: 'bootstrap line of the other network, not anchored',
  CHANNELS_EXCEEDED: 'more than the {limit} application channels of the subscription',
  DC_AS_CLOSED: 'application {application}: its DC AS has closed the last channel of the line',
  DC_AS_MISSING: 'application {application} ends at a server, and no DC AS is configured for it',
  DC_AS_NEEDS_UE: 'application {application}: DTLS ends at its DC AS, which must know the UE before it is called',
  DC_AS_UNAVAILABLE: 'the DC AS of application {application} gives no endpoint: {problem}',
  DECISION_FAILED: 'the decision failed: {problem}',
  ENDPOINTS_MIXED: 'streams of one line lead to the other user and to a DC AS',
  ENDPOINT_CHANGED: 'a live line cannot move between the other user and a DC AS',
  LINES_EXCEEDED: 'more than {limit} data channel lines in one session',
  LINE_KNOWN: 'decided before and unchanged',
  NETWORK_NOT_ALLOWED: 'application channels with network {network} are refused by policy',
  NOT_AUTHORISED: 'the served user may not use data channels',
  NOT_STANDALONE: 'the served user may not set up a session without audio or video',
  PEER_INCAPABLE: 'the other user has no data channels',
  PROFILE_UNAVAILABLE: 'the subscriber data cannot be read now',
  STREAMS_CHANGED: 'the streams of a known line changed',
  STREAMS_INVALID: 'no stream id of this line is a bootstrap (0, 10, 100, 110) or application (1000 and up) id',
} as const;

export type ReasonCode = keyof typeof REASONS;

export function sentence(code: ReasonCode, details: Readonly<Record<string, string | number>> = {}): string {
  const text: string = REASONS[code];
  if (!text.includes('{')) return text;
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(details[name] ?? '?'));
}
