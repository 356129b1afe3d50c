import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { VirtualTimers } from '../../src/base/timers.ts';
import { Journal, type JournalOptions, type Touch } from '../../src/store/journal.ts';
import { MemoryDisk } from './memory-disk.ts';

/** One owner of records over a journal, as a process has it. */
class Owner {
  readonly records = new Map<string, string>();
  readonly busy = new Set<string>();
  readonly journal: Journal;
  readonly #touch: Touch;

  private constructor(journal: Journal) {
    this.journal = journal;
    for (const [id, text] of journal.found('r')) this.records.set(id, text);
    this.#touch = journal.own('r', {
      render: (id) => (this.busy.has(id) ? null : this.records.get(id)),
      ids: () => this.records.keys(),
    });
  }

  static async start(disk: MemoryDisk, options: Partial<JournalOptions> & { timers?: VirtualTimers } = {}) {
    const journal = await Journal.open({
      disk,
      timers: new VirtualTimers(),
      log: silentLogger,
      metrics: new Metrics(),
      writeEveryMs: 100,
      maxPending: 1000,
      rewriteFromBytes: 2_000,
      ...options,
    });
    return new Owner(journal);
  }

  set(id: string, text: string) {
    this.records.set(id, text);
    this.#touch.touch(id);
  }

  remove(id: string) {
    this.records.delete(id);
    this.#touch.touch(id);
  }

  touch(id: string) {
    this.#touch.touch(id);
  }
}

/** What a process that starts on this disk would find. */
async function foundOn(disk: MemoryDisk): Promise<{ records: Record<string, string>; problems: string[] }> {
  const { journal } = await Owner.start(new MemoryDisk(disk.files));
  return { records: Object.fromEntries(journal.found('r')), problems: journal.problems.map(({ code }) => code) };
}

const plain = (records: ReadonlyMap<string, string>) => Object.fromEntries(records);

const ids = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const texts = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }).map((text) => JSON.stringify(text));
/** `wait`: what has changed so far is written. */
const steps = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('set' as const), id: ids, text: texts }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), id: ids }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('rewrite' as const) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const) }) },
  ),
  { minLength: 1, maxLength: 40 },
);

describe('the journal', () => {
  it('finds again what was written, whatever was done, through any number of starts', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 4 }), async (lives) => {
        const disk = new MemoryDisk();
        let expected: Record<string, string> = {};
        for (const life of lives) {
          const owner = await Owner.start(disk);
          assert.deepEqual(plain(owner.records), expected);
          for (const step of life) {
            if (step.kind === 'set') owner.set(step.id, step.text);
            else if (step.kind === 'remove') owner.remove(step.id);
            else if (step.kind === 'rewrite') owner.journal.rewrite();
            else await owner.journal.flush();
          }
          await owner.journal.close();
          expected = plain(owner.records);
        }
        assert.deepEqual(await foundOn(disk), { records: expected, problems: [] });
      }),
      { numRuns: 300 },
    );
  });

  // conformance: R26 — state on disk is whole or absent, line by line: a kill at any byte loses the newest writes only
  it('cut at every byte: exactly the lines that are whole count, and a torn end is no error', async () => {
    const disk = new MemoryDisk();
    const owner = await Owner.start(disk);
    const states: { bytes: number; records: Record<string, string> }[] = [{ bytes: 0, records: {} }];
    for (const [id, text] of [
      ['a', '"1"'],
      ['b', '"2 ü"'],
      ['a', '"3"'],
      ['b', undefined],
      ['c', '{"x":[1,2]}'],
    ] as const) {
      if (text === undefined) owner.remove(id);
      else owner.set(id, text);
      await owner.journal.flush();
      states.push({ bytes: disk.bytes, records: plain(owner.records) });
    }
    const [name, whole] = [...disk.files][0]!;
    for (let cut = 0; cut <= whole.length; cut++) {
      const expected = states.findLast(({ bytes }) => bytes <= cut)!.records;
      assert.deepEqual(await foundOn(new MemoryDisk([[name, whole.subarray(0, cut)]])), {
        records: expected,
        problems: [],
      });
    }
  });

  it('power lost at every byte and every file operation, rewriting included: the state is one that was', async () => {
    const live = async (disk: MemoryDisk): Promise<Set<string>> => {
      const states = new Set<string>([JSON.stringify({})]);
      const owner = await Owner.start(disk);
      const wrote = async () => {
        await owner.journal.flush();
        states.add(JSON.stringify(Object.entries(plain(owner.records)).toSorted()));
      };
      for (let i = 0; i < 4; i++) {
        owner.set('a', `"a${i}"`);
        await wrote();
        owner.set(`n${i}`, `"${'x'.repeat(i * 7)}"`);
        await wrote();
        if (i % 2 === 1) {
          owner.remove('n0');
          await wrote();
          owner.journal.rewrite();
          await wrote();
        }
      }
      await owner.journal.close();
      return states;
    };
    const whole = new MemoryDisk();
    const states = await live(whole);
    states.add(JSON.stringify([]));
    // So many bytes and removals does the whole life take.
    const measure = new MemoryDisk();
    measure.budget = 1e9;
    await live(measure);
    const needed = 1e9 - measure.budget;
    for (let budget = 0; budget <= needed; budget++) {
      const disk = new MemoryDisk();
      disk.budget = budget;
      await live(disk);
      const { records, problems } = await foundOn(disk);
      assert.ok(
        states.has(JSON.stringify(Object.entries(records).toSorted())),
        `after ${budget} of ${needed}: ${JSON.stringify(records)}`,
      );
      assert.deepEqual(problems, []);
    }
  });

  it('one bit that turned costs one line, and is told with its place', async () => {
    const disk = new MemoryDisk();
    const owner = await Owner.start(disk);
    for (const id of ['a', 'b', 'c']) {
      owner.set(id, `"${id.repeat(20)}"`);
      await owner.journal.flush();
    }
    const [name, whole] = [...disk.files][0]!;
    const expected = plain(owner.records);
    for (let at = 0; at < whole.length; at++) {
      const broken = Buffer.from(whole);
      broken[at]! ^= 1 << (at % 8);
      const { records, problems } = await foundOn(new MemoryDisk([[name, broken]]));
      for (const [id, text] of Object.entries(records)) assert.equal(text, expected[id]);
      // A line break that is none any more takes the line behind it along.
      assert.ok(Object.keys(records).length >= Object.keys(expected).length - 2, `byte ${at}`);
      // At the very end it looks as if the last line had been cut short.
      assert.deepEqual(problems, at === whole.length - 1 ? [] : ['STATE_CORRUPT'], `byte ${at}`);
    }
  });

  it('a segment of another version is set aside and not read', async () => {
    const disk = new MemoryDisk();
    const owner = await Owner.start(disk);
    owner.set('a', '"1"');
    await owner.journal.flush();
    const { headerLine } = await import('../../src/store/line.ts');
    const [name, whole] = [...disk.files][0]!;
    const { crc32 } = await import('node:zlib');
    const body = '# imsdc-state 7';
    const other = Buffer.from(`${crc32(body).toString(16).padStart(8, '0')} ${body}\n`);
    const next = new MemoryDisk([[name, Buffer.concat([other, whole.subarray(headerLine().length)])]]);
    const started = await Owner.start(next);
    assert.deepEqual(
      started.journal.problems.map(({ message }) => message),
      [`${name}: version 7 where 1 is read; set aside as ${name}.unread`],
    );
    assert.equal(started.records.size, 0);
    assert.deepEqual(next.setAsideNames, [name]);
  });

  it('writes what has changed once per interval, and nothing of what came and went in between', async () => {
    const timers = new VirtualTimers();
    const disk = new MemoryDisk();
    const owner = await Owner.start(disk, { timers });
    for (let i = 0; i < 50; i++) {
      owner.set('a', `"${i}"`);
      owner.set(`short${i}`, '"call"');
      owner.remove(`short${i}`);
    }
    assert.equal(disk.appends, 0);
    timers.advance(100);
    await setImmediate();
    assert.equal(disk.appends, 1);
    assert.doesNotMatch([...disk.files.values()][0]!.toString(), /short/);
    assert.deepEqual((await foundOn(disk)).records, { a: '"49"' });
  });

  it('a record that is not at rest keeps what is stored of it, through a rewriting too', async () => {
    const disk = new MemoryDisk();
    const owner = await Owner.start(disk);
    owner.set('a', '"at rest"');
    await owner.journal.flush();
    owner.busy.add('a');
    owner.set('a', '"in between"');
    await owner.journal.flush();
    assert.deepEqual((await foundOn(disk)).records, { a: '"at rest"' });
    assert.equal(owner.journal.status().behind, 1);
    owner.journal.rewrite();
    await owner.journal.flush();
    assert.equal(disk.files.size, 1);
    assert.equal(owner.journal.status().behind, 1);
    assert.deepEqual((await foundOn(disk)).records, { a: '"at rest"' });
    owner.busy.delete('a');
    owner.touch('a');
    await owner.journal.flush();
    assert.deepEqual((await foundOn(disk)).records, { a: '"in between"' });
    assert.equal(owner.journal.status().behind, 0);
  });

  it('a record that goes while it is not at rest is behind no more', async () => {
    const owner = await Owner.start(new MemoryDisk());
    owner.busy.add('a');
    owner.set('a', '"in between"');
    await owner.journal.flush();
    assert.equal(owner.journal.status().behind, 1);
    owner.busy.delete('a');
    owner.remove('a');
    await owner.journal.flush();
    assert.equal(owner.journal.status().behind, 0);
  });

  it('what is on its way to the disk is pending until it is there', async () => {
    const timers = new VirtualTimers();
    const disk = new MemoryDisk();
    const owner = await Owner.start(disk, { timers });
    owner.set('a', '"1"');
    timers.advance(100);
    assert.equal(owner.journal.status().pending, 1);
    await owner.journal.flush();
    assert.equal(owner.journal.status().pending, 0);
    assert.equal(owner.journal.status().stored, 1);
  });

  it('is written anew when most of it is of the past, so that it does not grow', async () => {
    const disk = new MemoryDisk();
    const owner = await Owner.start(disk);
    owner.set('long', '"call"');
    for (let i = 0; i < 500; i++) {
      owner.set(`call${i % 5}`, `"${i} ${'x'.repeat(80)}"`);
      await owner.journal.flush();
      assert.ok(disk.bytes < 5_000, `${disk.bytes} bytes`);
    }
    assert.deepEqual((await foundOn(disk)).records, plain(owner.records));
  });

  it('a disk that fails costs a counter, and everything is written anew when it is back', async () => {
    const timers = new VirtualTimers();
    const metrics = new Metrics();
    const disk = new MemoryDisk();
    const owner = await Owner.start(disk, { timers, metrics });
    owner.set('a', '"1"');
    await owner.journal.flush();
    disk.failing = true;
    owner.set('a', '"2"');
    owner.remove('b');
    await owner.journal.flush();
    assert.equal(owner.journal.status().failed, true);
    for (let i = 0; i < 10_000; i++) owner.set(`c${i}`, '"3"');
    assert.equal(owner.journal.status().pending, 0);
    for (let i = 0; i < 10_000; i++) if (i !== 7) owner.remove(`c${i}`);
    disk.failing = false;
    timers.advance(5_000);
    await owner.journal.flush();
    assert.deepEqual(await foundOn(disk), { records: { a: '"2"', c7: '"3"' }, problems: [] });
    assert.equal(metrics.counter('imsdc_state_failures_total', '').value, 1);
  });

  it('more changes than may wait: they are let go, counted, and everything is written anew', async () => {
    const timers = new VirtualTimers();
    const metrics = new Metrics();
    const disk = new MemoryDisk();
    const owner = await Owner.start(disk, { timers, metrics, maxPending: 100 });
    for (let i = 0; i < 150; i++) owner.set(`c${i}`, '"1"');
    assert.equal(owner.journal.status().pending, 0);
    assert.equal(metrics.counter('imsdc_state_failures_total', '').value, 1);
    timers.advance(5_000);
    await owner.journal.flush();
    assert.equal(Object.keys((await foundOn(disk)).records).length, 150);
  });
});
