import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeBody,
  decodeReply,
  encodeFrame,
  encodeReply,
  type FrameName,
  FrameReader,
  NO_HANDLE,
  type RequestName,
} from '../../../src/mf/worker/codec.ts';
import type { Field } from '../../../src/mf/worker/fields.ts';
import {
  FRAMES,
  MAX_CONTROL_FRAME_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_PAYLOAD_FRAME_BYTES,
  WORKER_ERRORS,
} from '../../../src/mf/worker/protocol.ts';

const NAMES = Object.keys(FRAMES) as FrameName[];
const REQUESTS = NAMES.filter((name): name is RequestName => 'reply' in FRAMES[name]);

/** Any value a field can carry. */
function valuesOf(field: Field): fc.Arbitrary<unknown> {
  switch (field.type) {
    case 'u8':
      return fc.nat(0xff);
    case 'u16':
      return fc.nat(0xffff);
    case 'u32':
      return fc.nat(0xffff_ffff);
    case 'u64':
      return fc.nat(Number.MAX_SAFE_INTEGER);
    case 'bool':
      return fc.boolean();
    case 'enum':
      return fc.constantFrom(...field.values);
    case 'string':
      return fc.string({ unit: 'binary', maxLength: 20 }).filter((text) => Buffer.byteLength(text) <= field.max);
    case 'bytes':
      return fc.uint8Array({ maxLength: 40 }).map((octets) => Buffer.from(octets));
    case 'list':
      return fc.array(bodyOf(field.of), { maxLength: Math.min(3, field.max) });
  }
}

function bodyOf(fields: readonly Field[]): fc.Arbitrary<Record<string, unknown>> {
  return fc.record(Object.fromEntries(fields.map((field) => [field.name, valuesOf(field)])), {
    noNullPrototype: true,
  });
}

test('every frame and every reply comes back as it was sent, however the bytes are cut', () => {
  for (const name of NAMES) {
    fc.assert(
      fc.property(bodyOf(FRAMES[name].fields), fc.nat(0xffff_ffff), fc.nat(60), (body, handle, cut) => {
        const frame = encodeFrame(name, { requestId: 7, handle, generation: 3 }, body as never);
        const reader = new FrameReader(MAX_CONTROL_FRAME_BYTES);
        const frames = [...reader.push(frame.subarray(0, cut)), ...reader.push(frame.subarray(cut))];
        assert.equal(frames.length, 1);
        const { body: octets, ...header } = frames[0]!;
        assert.deepEqual(header, { name, requestId: 7, handle, generation: 3 });
        assert.deepEqual(decodeBody(name, octets), body);
      }),
      { numRuns: 50 },
    );
  }
  for (const request of REQUESTS) {
    fc.assert(
      fc.property(bodyOf(FRAMES[request].reply), (body) => {
        const frames = [
          ...new FrameReader(MAX_CONTROL_FRAME_BYTES).push(encodeReply(request, NO_HANDLE, body as never)),
        ];
        assert.equal(frames[0]?.name, 'OK');
        assert.deepEqual(decodeReply(request, frames[0]!.body), body);
      }),
      { numRuns: 20 },
    );
  }
});

test('several frames in one chunk come out one by one', () => {
  const frames = Buffer.concat([1, 2, 3].map((requestId) => encodeFrame('PING', { ...NO_HANDLE, requestId }, {})));
  const ids = [...new FrameReader(MAX_CONTROL_FRAME_BYTES).push(frames)].map(({ requestId }) => requestId);
  assert.deepEqual(ids, [1, 2, 3]);
});

test('a length that is too small or too large ends the stream at once', () => {
  for (const length of [0, 15, MAX_PAYLOAD_FRAME_BYTES + 1, 0xffff_ffff]) {
    const head = Buffer.alloc(4);
    head.writeUInt32LE(length);
    assert.throws(() => [...new FrameReader(MAX_PAYLOAD_FRAME_BYTES).push(head)], { code: 'WORKER_PROTOCOL' });
  }
});

test('an unknown type, or octets beside it that are not zero, end the stream', () => {
  for (const type of [0, 200, 0x0100_0001, 0x101]) {
    const frame = encodeFrame('PING', NO_HANDLE, {});
    frame.writeUInt32LE(type, 4);
    assert.throws(() => [...new FrameReader(MAX_CONTROL_FRAME_BYTES).push(frame)], { code: 'WORKER_PROTOCOL' });
  }
});

test('bodies that are cut, too long, or claim more than their bound are refused', () => {
  const whole = [
    ...new FrameReader(MAX_CONTROL_FRAME_BYTES).push(
      encodeFrame('STREAMS', NO_HANDLE, {
        streams: [{ streamId: 1, ordered: true, reliability: 'reliable', reliabilityValue: 0, priority: 256 }],
      }),
    ),
  ][0]!.body;
  for (let cut = 0; cut < whole.length; cut++) {
    assert.throws(() => decodeBody('STREAMS', whole.subarray(0, cut)), { code: 'WORKER_PROTOCOL' });
  }
  assert.throws(() => decodeBody('STREAMS', Buffer.concat([whole, Buffer.of(0)])), { code: 'WORKER_PROTOCOL' });
  const claims = Buffer.from(whole);
  claims.writeUInt16LE(5_000, 0);
  assert.throws(() => decodeBody('STREAMS', claims), { code: 'WORKER_PROTOCOL' });
  const strange = Buffer.from(whole);
  strange[4] = 2;
  assert.throws(() => decodeBody('STREAMS', strange), { code: 'WORKER_PROTOCOL' });
  strange[4] = 1;
  strange[5] = 9;
  assert.throws(() => decodeBody('STREAMS', strange), { code: 'WORKER_PROTOCOL' });
});

test('any bytes give a value or WORKER_PROTOCOL, for every frame', () => {
  fc.assert(
    fc.property(fc.constantFrom(...NAMES), fc.uint8Array({ maxLength: 400 }), (name, octets) => {
      try {
        decodeBody(name, Buffer.from(octets));
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'WORKER_PROTOCOL');
      }
    }),
    { numRuns: 5_000 },
  );
});

test('what exceeds a bound is not sent', () => {
  const data = Buffer.alloc(MAX_MESSAGE_BYTES + 1);
  assert.throws(() => encodeFrame('PAYLOAD', NO_HANDLE, { streamId: 0, kind: 'binary', data }), {
    code: 'WORKER_PROTOCOL',
  });
  const largest = encodeFrame('PAYLOAD', NO_HANDLE, { streamId: 0, kind: 'binary', data: data.subarray(1) });
  assert.ok(largest.readUInt32LE(0) <= MAX_PAYLOAD_FRAME_BYTES);
});

test('types and error codes are distinct, and each direction has its own half', () => {
  const types = NAMES.map((name) => FRAMES[name].type);
  assert.equal(new Set(types).size, types.length);
  for (const name of NAMES) assert.equal(FRAMES[name].type > 64, FRAMES[name].from === 'worker', name);
  const values = Object.values(WORKER_ERRORS).map(({ value }) => value);
  assert.equal(new Set(values).size, values.length);
});
