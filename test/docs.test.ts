import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
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
