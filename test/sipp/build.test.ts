import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { outdatedFiles } from '../../sipp/build.ts';
import { PAIRS } from '../../sipp/pairs/index.ts';

test('the scenarios are what the pairs say: "node sipp/build.ts" has been run', () => {
  assert.deepEqual(outdatedFiles(), []);
});

test('every pair has a name of its own, a clause, and looks at what it gets', () => {
  assert.equal(new Set(PAIRS.map(({ name }) => name)).size, PAIRS.length);
  assert.ok(PAIRS.length >= 40);
  for (const { name, conformance, uac, uas = [] } of PAIRS) {
    assert.notEqual(conformance.length, 0, name);
    const looks = [...uac, ...uas].some(
      (step) => step.kind === 'receive' && (step.checks.length > 0 || Number(step.what) >= 300),
    );
    assert.ok(looks, `${name} checks nothing`);
  }
});

test('docs/procedures.md shows every pair', () => {
  const document = readFileSync(resolve(import.meta.dirname, '../../docs/procedures.md'), 'utf8');
  const missing = PAIRS.map(({ name }) => name).filter((name) => !document.includes(`\`${name}\``));
  assert.deepEqual(missing, []);
});
