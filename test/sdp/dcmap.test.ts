import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatDcmap, parseDcmap } from '../../src/sdp/dcmap.ts';
import type { DataChannelStream } from '../../src/sdp/types.ts';

const streamOf = (value: string): DataChannelStream => {
  const result = parseDcmap(value);
  if ('problem' in result) throw new Error(result.problem);
  return result.stream;
};
const problemOf = (value: string): string => {
  const result = parseDcmap(value);
  if ('stream' in result) throw new Error(`accepted ${JSON.stringify(result.stream)}`);
  return result.problem;
};

// conformance: RFC 8864 5.1 — dcmap options, defaults and quoting
test('all options are read, in any order, with and without blanks', () => {
  const { verbatim: _, ...stream } = streamOf(
    '38754 priority=128;label="a;b=c" ; max-retr=0;ordered=false;subprotocol="x"',
  );
  assert.deepEqual(stream, {
    streamId: 38754,
    label: 'a;b=c',
    subprotocol: 'x',
    ordered: false,
    maxRetransmissions: 0,
    priority: 128,
    dcsa: [],
  });
  assert.deepEqual(streamOf('65534').label, '');
  assert.deepEqual(streamOf('1000 max-time=4294967295').maxTimeMs, 4294967295);
});

// conformance: miniapp-runtime 4.1 — max-retr and max-time both 0, as a deployed SDK writes "not set": reliable
test('both limits 0 are no limits, one 0 is one, and both are one too many', () => {
  const { maxRetransmissions, maxTimeMs } = streamOf('1000 label="local_333_1_test";max-retr=0;max-time=0');
  assert.deepEqual([maxRetransmissions, maxTimeMs], [undefined, undefined]);
  assert.equal(streamOf('1000 max-retr=0').maxRetransmissions, 0);
  assert.equal(streamOf('1000 max-time=0').maxTimeMs, 0);
  for (const both of ['max-retr=0;max-time=1', 'max-retr=1;max-time=0']) {
    assert.match(problemOf(`1000 ${both}`), /exclude each other/);
  }
});

test('escapes are the bytes of UTF-8, raw latin1-decoded bytes too', () => {
  assert.equal(streamOf('1000 label="%22caf%c3%A9%22%25"').label, '"café"%');
  assert.equal(streamOf('1000 label="caf\xc3\xa9"').label, 'café');
  assert.equal(streamOf('1000 label="%F0%9F%8E%A8"').label, '🎨');
  assert.equal(streamOf('1000 label="\xc3%A9"').label, 'é');
});

test('unknown options pass and are repeated verbatim', () => {
  const text = '1000 label="x";vendor-opt=7;other="y z"';
  assert.equal(formatDcmap(streamOf(text)), text);
});

const BAD: [string, RegExp][] = [
  ['', /no stream id/],
  ['abc', /no stream id/],
  ['-1', /no stream id/],
  ['123456', /no stream id/],
  ['1000;label="x"', /no stream id/],
  ['99999', /exceeds 65534/],
  ['1000 label="x" label="y"', /cannot read/],
  ['1000 label="x";label="y"', /label is given twice/],
  ['1000 label=x', /label is quoted wrongly/],
  ['1000 ordered="true"', /ordered is quoted wrongly/],
  ['1000 ordered=yes', /neither true nor false/],
  ['1000 max-retr=', /max-retr is not a number/],
  ['1000 max-retr=03', /max-retr is not a number/],
  ['1000 max-time=4294967296', /max-time is not a number/],
  ['1000 priority=65536', /priority is not/],
  ['1000 label="100%"', /bad %HH quoting/],
  ['1000 label="%zz"', /bad %HH quoting/],
  ['1000 label="%ff"', /bad %HH quoting/],
  ['1000 label', /cannot read/],
];
for (const [value, reason] of BAD) test(`refused: ${value || '(empty)'}`, () => assert.match(problemOf(value), reason));

test('what we write is read back as it was', () => {
  const text = fc.string({ unit: 'binary', maxLength: 24 }).map((s) => s.toWellFormed());
  const stream = fc
    .record({
      streamId: fc.integer({ min: 0, max: 65534 }),
      label: text,
      subprotocol: text,
      ordered: fc.boolean(),
      limit: fc.option(fc.record({ retransmissions: fc.boolean(), value: fc.integer({ min: 0, max: 2 ** 32 - 1 }) })),
      priority: fc.integer({ min: 0, max: 65535 }),
    })
    .map(({ limit, ...rest }): DataChannelStream => {
      if (!limit) return { ...rest, dcsa: [] };
      return { ...rest, [limit.retransmissions ? 'maxRetransmissions' : 'maxTimeMs']: limit.value, dcsa: [] };
    });
  fc.assert(
    fc.property(stream, (made) => {
      const line = formatDcmap(made);
      assert.match(line, /^[\x20-\x7e]*$/, 'plain ASCII on the wire');
      const { verbatim, ...read } = streamOf(line);
      assert.deepEqual(read, made);
      assert.equal(verbatim, line);
    }),
    { numRuns: 2000 },
  );
});
