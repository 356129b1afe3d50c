import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { GENERATED } from '../scripts/docs.ts';

const root = resolve(import.meta.dirname, '..');

for (const [file, make] of Object.entries(GENERATED)) {
  test(`${file} tells the truth of today's code (else: node scripts/docs.ts)`, () => {
    const path = join(root, file);
    assert.ok(existsSync(path), `${file} is missing`);
    assert.equal(readFileSync(path, 'utf8'), make());
  });
}

/** Of each sequence diagram in a document: its lines with their numbers. */
function* sequenceLines(text: string): Generator<readonly [number: number, line: string]> {
  let inside = false;
  for (const [at, line] of text.split('\n').entries()) {
    if (line.startsWith('```')) inside = false;
    if (inside) yield [at + 1, line.trim()];
    if (line === 'sequenceDiagram') inside = true;
  }
}

/** A message, a note, or a line that begins, divides or ends a block. */
const STATEMENT =
  /^(\w+ *(->>|-->>|-\)|--\)|-x|--x|->|-->)[+-]? *\w+ *:.*|Note (over|left of|right of) [\w, ]+:.*|(participant|actor) \w+( as .+)?|(alt|else|opt|loop|par|and|critical|option|break|rect|box)( .*)?|end|(de)?activate \w+|autonumber|)$/;

test('every sequence diagram in the documents can be drawn: mermaid ends a statement at ";" and a message is one line', () => {
  const wrong: string[] = [];
  const documents = ['README.md', 'bench/README.md', 'docker/README.md', 'sipp/README.md'];
  for (const name of readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }))
    if (name.endsWith('.md')) documents.push(join('docs', name));
  let lines = 0;
  for (const document of documents) {
    for (const [number, line] of sequenceLines(readFileSync(join(root, document), 'utf8'))) {
      lines++;
      if (line.includes(';') || !STATEMENT.test(line)) wrong.push(`${document}:${number}: ${line}`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(lines > 100, 'the diagrams were found');
});
