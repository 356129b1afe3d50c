import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryDirectory } from '../dcar/support.ts';

const MAIN = resolve(import.meta.dirname, '../../src/cli/main.ts');
const DOODLE = resolve(import.meta.dirname, '../../apps/doodle');

/** Runs `imsdc app ...` on a repository of its own. */
function commands(t: TestContext) {
  const repository = temporaryDirectory(t);
  return (...words: string[]) => {
    const argv = [MAIN, 'app', ...words, '--repository', repository];
    const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8' });
    return { status, stdout, stderr };
  };
}

test('add, list, show, remove', (t) => {
  const app = commands(t);
  const added = app('add', DOODLE);
  assert.match(added.stdout, /^10000005 {2}1\.0\.8 {2}Doodle {2}INCALL {2}\d+ bytes {2}[0-9a-f]{12}\n$/, added.stderr);
  assert.equal(added.status, 0);
  assert.equal(app('list').stdout, added.stdout);
  assert.match(app('show', '10000005').stdout, /^versions\s+1\.0\.8$/m);
  const [line, ...more] = app('list', '--json').stdout.trim().split('\n');
  assert.equal(JSON.parse(line!).applicationId, '10000005');
  assert.deepEqual(more, []);
  assert.equal(app('remove', '10000005', '1.0.8').status, 0);
  assert.equal(app('list', '--all').stdout, '');
});

test('mistakes have a code and an exit status', (t) => {
  const app = commands(t);
  for (const [words, status, said] of [
    [['add'], 64, /imsdc app add PACKAGE\.\.\. \[USAGE\]/],
    [['publish', DOODLE], 64, /no "imsdc app publish"/],
    [['constructor'], 64, /\[USAGE\]/],
    [['show', '10000005'], 66, /no application 10000005 .*\[DCAR_NOT_FOUND\]/],
    [['add', '/none'], 65, /\/none: no such file or folder \[DCAR_PACKAGE_INVALID\]/],
  ] as const) {
    const result = app(...words);
    assert.equal(result.status, status, result.stderr);
    assert.match(result.stderr, said);
  }
  assert.equal(app().status, 64);
  assert.match(app('--help').stdout, /imsdc app add PACKAGE/);
});
