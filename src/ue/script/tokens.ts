import { ImsdcError } from '../../errors.ts';

/**
 * One script line as words, as a shell would split it: quotes keep blanks together, a backslash takes the next
 * character as it is, `#` at the start of a word begins a comment. No variables, no globbing.
 *
 * @throws ImsdcError USAGE for a quote that is not closed
 */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  let word: string | null = null;
  let quote = '';
  for (let at = 0; at < line.length; at++) {
    const c = line[at]!;
    if (quote) {
      if (c === quote) quote = '';
      else if (c === '\\' && quote === '"' && at + 1 < line.length) word += line[++at]!;
      else word += c;
    } else if (c === '"' || c === "'") {
      quote = c;
      word ??= '';
    } else if (c === '\\' && at + 1 < line.length) word = (word ?? '') + line[++at]!;
    else if (/\s/.test(c)) {
      if (word !== null) words.push(word);
      word = null;
    } else if (c === '#' && word === null) break;
    else word = (word ?? '') + c;
  }
  if (quote) throw new ImsdcError('USAGE', { problem: `a ${quote} is not closed: ${line}` });
  if (word !== null) words.push(word);
  return words;
}
