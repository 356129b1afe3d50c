import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { JsonLinesFile } from '../../../src/base/json-lines-file.ts';
import { silentLogger } from '../../../src/base/log.ts';
import { Metrics } from '../../../src/base/metrics.ts';

/** A line that came after the last write had ended, and before that was known, waited for the next line; the last one was lost. */
for (let turns = 0; turns < 8; turns++)
  test(`a line that comes ${turns} microtasks after a write is written`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'imsdc-regress-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const metrics = new Metrics();
    const later = () => {
      let left = turns;
      const wait = (): void => (left-- > 0 ? queueMicrotask(wait) : file.write({ n: 2 }));
      wait();
    };
    let written = 0;
    Object.defineProperty(metrics.counter('imsdc_lines_written_total', 'lines written to the file of lines'), 'value', {
      get: () => written,
      set: (value: number) => {
        if (written === 0) later();
        written = value;
      },
    });
    const file = new JsonLinesFile({
      file: join(folder, 'lines'),
      maxBytes: 0,
      keep: 1,
      maxQueued: 10,
      log: silentLogger,
      metrics,
      metric: 'lines',
    });
    file.write({ n: 1 });
    await file.flush();
    // What came with the end of the flush is written as well, without another line after it.
    await new Promise((resolve) => setImmediate(resolve));
    await file.close();
    assert.equal(readFileSync(join(folder, 'lines'), 'utf8'), '{"n":1}\n{"n":2}\n');
  });
