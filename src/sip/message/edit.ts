/** Edits of a message that we have written ourselves: whole, with CRLF, and never folded in its Via. */

const TOP_VIA = /\r\n(?:via|v)[ \t]*:[ \t]*SIP\/2\.0\/[A-Z]+[ \t]+[^;,\r]+/i;

/** The same request with another transport and sent-by in its topmost Via; branch and parameters stay (RFC 3261 18.1.1). */
export function withTopVia(wire: string, transport: string, sentBy: string): string {
  return wire.replace(TOP_VIA, () => `\r\nVia: SIP/2.0/${transport.toUpperCase()} ${sentBy}`);
}

/** The same message without the header lines of those names (lower case), folded lines with them. */
export function withoutHeaders(wire: string, names: ReadonlySet<string>): string {
  const end = wire.indexOf('\r\n\r\n');
  if (end < 0) return wire;
  const [start, ...lines] = wire.slice(0, end).split('\r\n');
  let kept = start!;
  let dropping = false;
  for (const line of lines) {
    const folded = line.startsWith(' ') || line.startsWith('\t');
    if (!folded) dropping = names.has(line.slice(0, line.indexOf(':')).trim().toLowerCase());
    if (!dropping) kept += `\r\n${line}`;
  }
  return kept + wire.slice(end);
}

/**
 * Headers that mean something inside the trust domain only, and must not leave it: RFC 3325 9.1 and RFC 7315 5, 6 as
 * TS 24.229 4.4 lists them.
 */
export const TRUST_DOMAIN_HEADERS: ReadonlySet<string> = new Set([
  'p-access-network-info',
  'p-asserted-identity',
  'p-asserted-service',
  'p-associated-uri',
  'p-called-party-id',
  'p-charging-function-addresses',
  'p-charging-vector',
  'p-preferred-identity',
  'p-private-network-indication',
  'p-profile-key',
  'p-served-user',
  'p-user-database',
  'p-visited-network-id',
  'restoration-info',
  'relayed-charge',
  'service-interact-info',
  'cellular-network-info',
  'resource-share',
]);
