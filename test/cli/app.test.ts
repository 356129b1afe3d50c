import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { appCommand } from '../../src/cli/app.ts';
import { temporaryDirectory } from '../dcar/support.ts';

const DOODLE = resolve(import.meta.dirname, '../../apps/doodle');

/** Runs `imsdc app ...` on a repository of its own. */
function commands(t: TestContext) {
  const repository = temporaryDirectory(t);
  return async (...words: string[]) => {
    let text = '';
    const status = await appCommand([...words, '--repository', repository], (more) => {
      text += more;
    });
    return { status, text };
  };
}

test('add, list, show, remove', async (t) => {
  const app = commands(t);
  const added = await app('add', DOODLE);
  assert.match(added.text, /^10000005 {2}1\.0\.8 {2}Doodle {2}INCALL {2}\d+ bytes {2}[0-9a-f]{12}\n$/);
  assert.equal(added.status, 0);
  assert.equal((await app('list')).text, added.text);
  assert.match((await app('show', '10000005')).text, /^versions\s+1\.0\.8$/m);
  const [line, ...more] = (await app('list', '--json')).text.trim().split('\n');
  assert.equal(JSON.parse(line!).applicationId, '10000005');
  assert.deepEqual(more, []);
  assert.equal((await app('remove', '10000005', '1.0.8')).status, 0);
  assert.equal((await app('list', '--all')).text, '');
});

test('mistakes have a code', async (t) => {
  const app = commands(t);
  for (const [words, code, said] of [
    [['add'], 'USAGE', /imsdc app add PACKAGE\.\.\./],
    [['publish', DOODLE], 'USAGE', /no "imsdc app publish"/],
    [['constructor'], 'USAGE', /no "imsdc app constructor"/],
    [['list', 'x'], 'USAGE', /takes no names/],
    [['show', '10000005'], 'DCAR_NOT_FOUND', /no application 10000005/],
    [['remove', '10000005', '1', '2'], 'USAGE', /remove APPID \[VERSION\]/],
    [['add', '/none'], 'DCAR_PACKAGE_INVALID', /\/none: no such file or folder/],
  ] as const) {
    await assert.rejects(app(...words), (error: Error & { code?: string }) => {
      assert.equal(error.code, code);
      assert.match(error.message, said);
      return true;
    });
  }
  assert.equal((await app()).status, 64);
  assert.match((await app('--help')).text, /imsdc app add PACKAGE/);
});
