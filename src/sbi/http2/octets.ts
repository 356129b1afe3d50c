/**
 * Octets as latin1 text, one character each: what this room sends and receives is joined as text, and written or cut out
 * once. Text that is ASCII, as JSON of ours is as a rule, is its own UTF-8 and needs no copy either way.
 */

/** The UTF-8 of `text`. */
export function octetsOf(text: string): string {
  return Buffer.byteLength(text) === text.length ? text : Buffer.from(text).toString('latin1');
}

/** The text that `octets` are the UTF-8 of; what is not UTF-8 becomes U+FFFD. */
export function textOf(octets: string): string {
  return Buffer.byteLength(octets) === octets.length ? octets : Buffer.from(octets, 'latin1').toString();
}
