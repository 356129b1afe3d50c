import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { RealTimers } from '../../src/base/timers.ts';
import { openDirectory } from '../../src/store/disk.ts';
import { Journal } from '../../src/store/journal.ts';
import { lockDirectory } from '../../src/store/lock.ts';

/** Counts from argv[3] on in the journal at argv[2], and tells its parent each number that is written, until it is killed. */
const [path = '', from = '0'] = process.argv.slice(2);
lockDirectory(path);
const journal = await Journal.open({
  disk: await openDirectory(path),
  timers: new RealTimers(),
  log: silentLogger,
  metrics: new Metrics(),
  writeEveryMs: 10,
  maxPending: 1000,
  rewriteFromBytes: 3_000,
});
let counter = Number(from);
const { touch } = journal.own('n', {
  render: (id) => JSON.stringify(id === 'counter' ? counter : 'x'.repeat(100)),
  ids: () => ['counter', 'a', 'b', 'c'],
});
for (; ; counter++) {
  for (const id of ['counter', 'a', 'b', 'c']) touch(id);
  await journal.flush();
  process.send?.(counter);
}
