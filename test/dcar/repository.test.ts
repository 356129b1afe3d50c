import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { Repository } from '../../src/dcar/repository.ts';
import { packaged, temporaryDirectory } from './support.ts';

test('publishes, finds the newest by number, and serves bytes checked by hash', async (t) => {
  const repository = new Repository(temporaryDirectory(t));
  t.after(() => repository.close());
  const old = packaged({ version: '1.0.9' });
  const recent = packaged({ version: '1.0.10' });
  await repository.add(recent, 'a', 5);
  await repository.add(old, 'b', 6);
  await repository.add(packaged({ appId: '1' }), 'c', 7);
  assert.deepEqual(
    repository.newest().map((one) => [one.applicationId, one.version]),
    [
      ['1', '1.0.0'],
      ['10000005', '1.0.10'],
    ],
  );
  const [first, second] = repository.versions('10000005');
  assert.deepEqual(
    [first!.version, second!.version, first!.addedAtMs, first!.sizeBytes],
    ['1.0.10', '1.0.9', 5, recent.length],
  );
  assert.deepEqual(await repository.content(first!), recent);
  assert.equal(await repository.content(first!), await repository.content(first!), 'from memory');
});

test('a version is immutable: same content is fine, other content never, also after it was withdrawn', async (t) => {
  const repository = new Repository(temporaryDirectory(t));
  t.after(() => repository.close());
  const zip = packaged();
  const other = packaged({}, { extra: 'x' });
  await repository.add(zip, 'a');
  await repository.add(zip, 'a');
  await assert.rejects(repository.add(other, 'b'), { code: 'DCAR_VERSION_EXISTS' });
  await repository.remove('10000005');
  assert.deepEqual(repository.newest(), []);
  assert.throws(() => repository.versions('10000005'), { code: 'DCAR_NOT_FOUND' });
  assert.deepEqual(readdirSync(join(repository.directory, 'packages')), []);
  await assert.rejects(repository.add(other, 'b'), { code: 'DCAR_VERSION_EXISTS' });
  const again = await repository.add(zip, 'a');
  assert.deepEqual(await repository.content(again), zip);
});

test('removes one version, keeps the others, and knows what is not there', async (t) => {
  const repository = new Repository(temporaryDirectory(t));
  t.after(() => repository.close());
  await repository.add(packaged({ version: '1' }), 'a');
  await repository.add(packaged({ version: '2' }), 'a');
  await repository.remove('10000005', '2');
  assert.equal(repository.newest()[0]!.version, '1');
  await assert.rejects(repository.remove('10000005', '2'), { code: 'DCAR_NOT_FOUND' });
  await assert.rejects(repository.remove('9'), { code: 'DCAR_NOT_FOUND' });
});

test('a second process publishes and withdraws while the first serves', async (t) => {
  const directory = temporaryDirectory(t);
  const serving = new Repository(directory);
  const command = new Repository(directory);
  t.after(() => serving.close());
  t.after(() => command.close());
  assert.deepEqual(serving.newest(), []);
  await command.add(packaged(), 'a');
  assert.equal(serving.newest().length, 1);
  assert.deepEqual(await serving.content(serving.newest()[0]!), packaged());
  await command.remove('10000005');
  assert.deepEqual(serving.newest(), []);
});

test('a package that was changed on disk is not served', async (t) => {
  const repository = new Repository(temporaryDirectory(t));
  t.after(() => repository.close());
  const one = await repository.add(packaged(), 'a');
  writeFileSync(join(repository.directory, 'packages', `${one.sha256}.zip`), packaged({ appId: 'evil' }));
  await assert.rejects(repository.content(one), /the file was changed/);
});

test('a repository of a later release, and a directory that cannot be made', (t) => {
  const directory = temporaryDirectory(t);
  new Repository(directory).close();
  const database = new DatabaseSync(join(directory, 'index.sqlite'));
  database.exec('PRAGMA user_version = 2');
  database.close();
  assert.throws(() => new Repository(directory), /later release \(schema 2\)/);
  assert.throws(() => new Repository('/dev/null/x'), { code: 'DCAR_REPOSITORY' });
});
