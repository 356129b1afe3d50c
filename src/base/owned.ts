/**
 * A string with storage of its own. V8 substrings keep their parent alive, so one stored tag would keep a whole
 * 4 KB message; state that outlives a message holds `Owned` strings and nothing else.
 */
export type Owned = string & { readonly __owned: unique symbol };

/** The only makers of `Owned` strings. `text` must be latin1, as everything in a SIP message is. */
export function own(text: string): Owned {
  // V8 copies substrings of fewer than 13 characters: these have storage of their own already.
  if (text.length < 13) return text as Owned;
  return ownJoined([text.slice(0, 1), text.slice(1)], '');
}

/**
 * The parts, at least two of which are not empty, as one owned string. `join` writes its result into new storage, in one
 * piece; a template would leave a tree that refers to its parts. A buffer there and back does the same at twice the price.
 */
export function ownJoined(parts: readonly (string | number)[], separator: string): Owned {
  return parts.join(separator) as Owned;
}
