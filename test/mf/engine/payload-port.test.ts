import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WorkerPayloadPort } from '../../../src/mf/engine/payload-port.ts';

const wire = { payload: () => undefined, credit: () => undefined };

test('a message that overtakes the news of its stream waits for a reader', () => {
  const port = new WorkerPayloadPort(wire, () => undefined);
  port.received(Buffer.from('tap'), 'text');
  port.received(Buffer.from([1]), 'binary');
  port.received(new Uint8Array(0), 'end');
  const heard: string[] = [];
  port.onMessage = (data, kind) => void heard.push(`${kind} ${Buffer.from(data).toString('hex')}`);
  port.onClosed = (reason) => void heard.push(reason);
  assert.deepEqual(heard, ['text 746170', 'binary 01', 'end']);
});

test('nothing is heard twice, and nothing after the end', () => {
  const port = new WorkerPayloadPort(wire, () => undefined);
  const heard: string[] = [];
  port.received(Buffer.from('a'), 'text');
  port.onMessage = (data) => void heard.push(String(data));
  port.onMessage = (data) => void heard.push(`again ${String(data)}`);
  port.received(Buffer.from('b'), 'text');
  port.onClosed = (reason) => void heard.push(reason);
  port.ended('released');
  port.received(Buffer.from('c'), 'text');
  port.received(new Uint8Array(0), 'end');
  assert.deepEqual(heard, ['a', 'again b', 'released']);
});
