/**
 * A public identity as a key: scheme and host lower-case, parameters, headers and port gone (TS 29.562 ImsPublicId
 * refuses them, network-side.md 3.6 row 14). Visual separators of a tel: number are dropped. Never throws.
 */
export function normalisedIdentity(identity: string): string {
  const trimmed = identity.trim();
  const text = trimmed.startsWith('<') && trimmed.endsWith('>') ? trimmed.slice(1, -1) : trimmed;
  const colon = text.indexOf(':');
  if (colon < 0) return text;
  const scheme = text.slice(0, colon).toLowerCase();
  const rest = text.slice(colon + 1);
  if (scheme === 'tel') return `tel:${before(rest, ';').replace(/[-.()\s]/g, '')}`;
  const at = rest.lastIndexOf('@');
  const hostPort = before(before(rest.slice(at + 1), ';'), '?');
  const host = (hostPort.includes(':') ? hostPort.replace(/:\d*$/, '') : hostPort).toLowerCase();
  const user = at < 0 ? '' : before(rest.slice(0, at), ';');
  return user ? `${scheme}:${user}@${host}` : `${scheme}:${host}`;
}

function before(text: string, mark: string): string {
  const at = text.indexOf(mark);
  return at < 0 ? text : text.slice(0, at);
}

/** The network of an identity: its host; '' for tel: numbers. */
export function networkOf(identity: string): string {
  const normalised = normalisedIdentity(identity);
  if (normalised.startsWith('tel:')) return '';
  return normalised.slice(Math.max(normalised.indexOf(':'), normalised.lastIndexOf('@')) + 1);
}
