/**
 * A public identity as a key: scheme and host lower-case, parameters, headers and port gone (TS 29.562 ImsPublicId
 * refuses them, network-side.md 3.6 row 14). Visual separators of a tel: number are dropped. Never throws.
 */
export function normalisedIdentity(identity: string): string {
  const text = identity.trim().replace(/^<(.*)>$/, '$1');
  const colon = text.indexOf(':');
  if (colon < 0) return text;
  const scheme = text.slice(0, colon).toLowerCase();
  const rest = text.slice(colon + 1);
  if (scheme === 'tel') return `tel:${rest.replace(/;.*$/s, '').replace(/[-.()\s]/g, '')}`;
  const at = rest.lastIndexOf('@');
  const host = rest
    .slice(at + 1)
    .replace(/[;?].*$/s, '')
    .replace(/:\d*$/, '')
    .toLowerCase();
  const user = at < 0 ? '' : rest.slice(0, at).replace(/;.*$/s, '');
  return user ? `${scheme}:${user}@${host}` : `${scheme}:${host}`;
}

/** The network of an identity: its host; '' for tel: numbers. */
export function networkOf(identity: string): string {
  const normalised = normalisedIdentity(identity);
  if (normalised.startsWith('tel:')) return '';
  return normalised.slice(Math.max(normalised.indexOf(':'), normalised.lastIndexOf('@')) + 1);
}
