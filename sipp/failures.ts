/** Kinds of failure that are named; of more only the number is. */
const MAX_KINDS = 8;
/** Of what came, its first line says enough for the table. */
const MAX_TEXT = 160;

interface Kind {
  readonly text: string;
  readonly firstAt: string;
  count: number;
}

/** How each entry begins; SIPp puts no line end behind the one before. */
const ENTRY = /\d{4}-\d\d-\d\d[ \t]+(\d\d:\d\d:\d\d\.\d{3})\d*[ \t]+\d+\.\d+: /;

/**
 * What SIPp's error file (`-trace_err`) says, one line per kind of failure with how often and when first: which message
 * was expected, and which one came. Empty when it says nothing of the kind.
 */
export function failures(errors: string): string[] {
  const kinds = new Map<string, Kind>();
  // Split by a pattern with one group: text before, then time and text in turn.
  const parts = errors.split(ENTRY);
  for (let at = 1; at + 1 < parts.length; at += 2) {
    const text = meaning(parts[at + 1]!);
    if (text === undefined) continue;
    const known = kinds.get(text);
    if (known === undefined) kinds.set(text, { text, firstAt: parts[at]!, count: 1 });
    else known.count++;
  }
  const lines = [...kinds.values()].map(({ text, firstAt, count }) => `${count} x ${text}; first at ${firstAt}`);
  const more = lines.length - MAX_KINDS;
  return more > 0 ? [...lines.slice(0, MAX_KINDS), `and ${more} other kinds`] : lines;
}

function meaning(entry: string): string | undefined {
  // What comes after a call has failed is its echo, not another failure.
  if (entry.startsWith('Dead call ')) return undefined;
  const unexpected = /while expecting '([^']*)' \(index (\d+)\), received '([^\r\n]*)/.exec(entry);
  if (unexpected !== null) return `expected ${unexpected[1]} (step ${unexpected[2]}), got ${shortened(unexpected[3]!)}`;
  const pattern = /regexp match.* with regexp '(.*)'/is.exec(entry);
  if (pattern !== null)
    return `a message without what had to be in it, or with what must not: ${shortened(pattern[1]!)}`;
  // "Overload warning: ... has been tripped (1234), 119 trips remaining": SIPp itself did not get to run.
  const [first = ''] = entry.split(/[\r\n]| \(/);
  return first === '' ? undefined : shortened(first.replace(/,? ?(for )?Call-I[dD]:? ?'?[^', ]*'?/, ''));
}

function shortened(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}...` : text;
}
