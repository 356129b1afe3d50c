import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import Type from 'typebox';
import { explainSchema } from '../../src/config/explain.ts';
import { loadConfig, requireConfig } from '../../src/config/load.ts';
import { ImsdcError } from '../../src/errors.ts';

const schema = Type.Object({
  mf: Type.Optional(
    Type.Object(
      {
        workers: Type.Integer({ minimum: 0, maximum: 64, default: 2, description: 'Worker processes.' }),
        listen: Type.Optional(
          Type.Object({ port: Type.Integer({ minimum: 0, maximum: 65535, default: 0 }) }, { default: {} }),
        ),
      },
      { default: {} },
    ),
  ),
});
let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'imsdc-config-'));
});
after(() => rmSync(folder, { recursive: true }));

function write(text: string): string {
  const file = join(folder, 'imsdc.yaml');
  writeFileSync(file, text);
  return file;
}

test('an unknown key is named with its line', () => {
  const file = write('mf:\n  workers: 3\n  wrokers: 4\n');
  assert.deepEqual(loadConfig(file, schema, {}).problems, [
    { file, line: 3, key: 'mf.wrokers', problem: 'is not a known key' },
  ]);
});

test('a wrong value is named with its line', () => {
  const file = write('mf:\n  workers: many\n');
  assert.deepEqual(loadConfig(file, schema, {}).problems, [
    { file, line: 2, key: 'mf.workers', problem: 'must be integer' },
  ]);
});

test('YAML that does not parse is named with its line', () => {
  const { problems } = loadConfig(write('mf:\n  workers: [1\n'), schema, {});
  assert.equal(problems.length > 0, true);
  assert.equal(problems[0]!.line >= 2, true);
});

test('defaults fill in what is not said, at every depth', () => {
  const { config, problems } = loadConfig(write(''), schema, {});
  assert.deepEqual(problems, []);
  assert.deepEqual(config, { mf: { workers: 2, listen: { port: 0 } } });
});

test('the environment overrides the file, and its problems name the variable', () => {
  const file = write('mf:\n  workers: 3\n');
  assert.deepEqual(loadConfig(file, schema, { IMSDC__mf__listen__port: '5060' }).config, {
    mf: { workers: 3, listen: { port: 5060 } },
  });
  assert.deepEqual(loadConfig(file, schema, { IMSDC__mf__workers: 'x' }).problems, [
    { file: 'environment IMSDC__mf__workers', line: 0, key: 'mf.workers', problem: 'must be integer' },
  ]);
});

test('a missing file is an error of its own; a process refuses to start on a problem', () => {
  assert.throws(
    () => loadConfig(join(folder, 'none.yaml'), schema),
    (error: unknown) => error instanceof ImsdcError && error.code === 'CONFIG_NOT_FOUND',
  );
  assert.throws(() => requireConfig(write('nonsense: 1\n'), schema), /imsdc\.yaml:1: nonsense: is not a known key/);
});

test('the schema explains itself', () => {
  assert.match(explainSchema(schema), /mf\.workers\s+integer 0\.\.64 = 2\s+Worker processes\./);
});
