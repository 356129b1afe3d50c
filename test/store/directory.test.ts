import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openDirectory } from '../../src/store/disk.ts';
import { lockDirectory } from '../../src/store/lock.ts';
import { replay } from '../../src/store/replay.ts';

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'imsdc-state-test-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

// conformance: R26 — a process that is killed while it writes loses nothing that it had said was written
test('a writer that is killed again and again: what it acknowledged is there', async (t) => {
  const path = directory(t);
  let acknowledged = -1;
  for (let life = 0; life < 8; life++) {
    const writer = fork(join(import.meta.dirname, 'writer.ts'), [path, String(acknowledged + 1)]);
    const exited = once(writer, 'exit');
    await new Promise<void>((resolve) => {
      writer.on('message', (written: number) => {
        acknowledged = written;
        // At another place in the writer's work each time; messages that are still on their way count, too.
        if (written % 50 === life * 7 && written > life * 100) writer.kill('SIGKILL');
      });
      writer.once('exit', () => resolve());
    });
    await exited;
    // The kernel has let go of it together with the process.
    lockDirectory(path).release();
    const { spaces, problems } = await replay(await openDirectory(path));
    const found = Number(JSON.parse(spaces.get('n')?.get('counter')?.text ?? '-1'));
    assert.ok(found >= acknowledged, `${acknowledged} was acknowledged, ${found} is there`);
    assert.deepEqual(problems, []);
    acknowledged = found;
  }
  // What it replaces is removed: a killed rewriting leaves at most a few files behind.
  assert.ok(readdirSync(path).length < 12, readdirSync(path).join(' '));
});

test('a directory has one owner at a time, and the next one gets it', (t) => {
  const path = directory(t);
  const lock = lockDirectory(path);
  assert.throws(() => lockDirectory(path), { code: 'STATE_LOCKED' });
  lock.release();
  lockDirectory(path).release();
});

test('a directory that cannot be one is refused with what the system says', async (t) => {
  const file = join(directory(t), 'file');
  writeFileSync(file, '');
  assert.throws(() => lockDirectory(file), { code: 'STATE_DIRECTORY' });
  assert.throws(() => lockDirectory(join(file, 'below')), { code: 'STATE_DIRECTORY', message: /ENOTDIR/ });
});

test('files of others in the directory are left alone', async (t) => {
  const path = directory(t);
  writeFileSync(join(path, 'notes.txt'), 'mine');
  writeFileSync(join(path, 'journal-1'), 'not ours');
  const disk = await openDirectory(path);
  assert.deepEqual(await disk.list(), []);
});
