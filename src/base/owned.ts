/**
 * A string with storage of its own. V8 substrings keep their parent alive, so one stored tag would keep a whole
 * 4 KB message; state that outlives a message holds `Owned` strings and nothing else.
 */
export type Owned = string & { readonly __owned: unique symbol };

/** The only maker of `Owned` strings. `text` must be latin1, as everything in a SIP message is. */
export function own(text: string): Owned {
  // V8 copies substrings of fewer than 13 characters: these have storage of their own already.
  if (text.length < 13) return text as Owned;
  return Buffer.from(text, 'latin1').toString('latin1') as Owned;
}
