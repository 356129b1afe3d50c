import assert from 'node:assert/strict';
import { test } from 'node:test';
import { splitWords } from '../../../src/ue/script/tokens.ts';

test('words, quotes, escapes and comments as in a shell', () => {
  for (const [line, words] of [
    ['', []],
    ['  call   sip:bob@ims.lab  ', ['call', 'sip:bob@ims.lab']],
    [`send 1000 "two words" 'and "these"'`, ['send', '1000', 'two words', 'and "these"']],
    [String.raw`send 1000 a\ b "c\"d" e\\f`, ['send', '1000', 'a b', 'c"d', String.raw`e\f`]],
    ['list # the applications', ['list']],
    ['get /a#b', ['get', '/a#b']],
    [`call --header 'X: "a;b"'`, ['call', '--header', 'X: "a;b"']],
    [`send 1 ''`, ['send', '1', '']],
  ] as const) {
    assert.deepEqual(splitWords(line), words, line);
  }
  assert.throws(() => splitWords(`send "open`), { code: 'USAGE' });
});
