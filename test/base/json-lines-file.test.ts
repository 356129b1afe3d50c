import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { JsonLinesFile, type JsonLinesFileOptions } from '../../src/base/json-lines-file.ts';
import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';

let directory = '';
let metrics: Metrics;

function lines(options: Partial<JsonLinesFileOptions> = {}): JsonLinesFile {
  metrics = new Metrics();
  return new JsonLinesFile({
    file: join(directory, 'records.jsonl'),
    maxBytes: 0,
    keep: 2,
    maxQueued: 100,
    log: silentLogger,
    metrics,
    metric: 'lines',
    ...options,
  });
}

const read = (name: string) => readFileSync(join(directory, name), 'utf8');
const metric = (name: string) => {
  const entry = metrics.entries.get(`imsdc_lines_${name}`);
  return entry?.type === 'gaugeBy' ? undefined : entry?.read();
};

describe('a file of JSON lines', () => {
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'imsdc-lines-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  test('lines in order, the directory made where it is missing', async () => {
    const file = lines({ file: join(directory, 'a', 'b.jsonl') });
    for (let n = 0; n < 3; n++) file.write({ n });
    await file.close();
    assert.equal(read('a/b.jsonl'), '{"n":0}\n{"n":1}\n{"n":2}\n');
    assert.equal(metric('written_total'), 3);
  });

  test('a second start appends', async () => {
    for (const n of [1, 2]) {
      const file = lines();
      file.write({ n });
      await file.close();
    }
    assert.equal(read('records.jsonl'), '{"n":1}\n{"n":2}\n');
  });

  test('the queue has a bound; what is beyond it is dropped and counted', async () => {
    const file = lines({ maxQueued: 5 });
    for (let n = 0; n < 8; n++) file.write({ n });
    assert.equal(metric('queued'), 5);
    await file.flush();
    file.write({ n: 9 });
    await file.close();
    assert.equal(read('records.jsonl').split('\n').length - 1, 6);
    assert.deepEqual([metric('written_total'), metric('dropped_total'), metric('queued')], [6, 3, 0]);
  });

  test('a full file is shifted, and so many are kept', async () => {
    const file = lines({ maxBytes: 10, keep: 2 });
    for (let n = 0; n < 5; n++) {
      file.write({ line: n });
      await file.flush();
    }
    await file.close();
    assert.deepEqual(readdirSync(directory).sort(), ['records.jsonl', 'records.jsonl.1', 'records.jsonl.2']);
    assert.equal(read('records.jsonl'), '{"line":4}\n');
    assert.equal(read('records.jsonl.1'), '{"line":3}\n');
    assert.equal(read('records.jsonl.2'), '{"line":2}\n');
  });

  test('moved away by somebody else: after reopen the next line starts a new file', async () => {
    const file = lines();
    file.write({ n: 1 });
    await file.flush();
    renameSync(join(directory, 'records.jsonl'), join(directory, 'moved'));
    file.reopen();
    file.write({ n: 2 });
    await file.close();
    assert.equal(read('moved'), '{"n":1}\n');
    assert.equal(read('records.jsonl'), '{"n":2}\n');
  });

  test('a place that cannot be written costs the lines, and is tried again with the next ones', async () => {
    const file = lines({ file: join(directory, 'not yet') });
    const blocker = lines({ file: join(directory, 'blocker') });
    blocker.write({});
    await blocker.close();
    const inside = lines({ file: join(directory, 'blocker', 'records.jsonl') });
    inside.write({ n: 1 });
    await inside.flush();
    assert.equal(metric('dropped_total'), 1);
    rmSync(join(directory, 'blocker'));
    inside.write({ n: 2 });
    await inside.close();
    assert.equal(read('blocker/records.jsonl'), '{"n":2}\n');
    await file.close();
  });
});
