import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { DataChannel } from 'node-datachannel';
import { Channel } from '../../../src/ndc/channel.ts';

/**
 * A UE replaced its association (a new tls-id), and the end of the old one was seen at its channel before it was seen at
 * the connection: the embedded worker took it for a reset of the stream, and closed the channel of the far UE with it.
 * Each callback of node-datachannel comes over a queue of its own, so what was said first may be heard last.
 */
function channel() {
  const native: Record<string, (...values: unknown[]) => void> = {};
  const heard: string[] = [];
  const setter = (name: string) => (callback: (...values: unknown[]) => void) => {
    native[name] = callback;
  };
  const stub = {
    onMessage: setter('message'),
    onOpen: setter('open'),
    onClosed: setter('closed'),
    onError: setter('error'),
    onBufferedAmountLow: setter('low'),
    setBufferedAmountLowThreshold: () => undefined,
  } as unknown as DataChannel;
  const made = new Channel(stub, { streamId: 1000, ordered: true }, 1024, {
    open: () => heard.push('open'),
    closed: () => heard.push('closed'),
    message: (data) => heard.push(data.toString()),
    writable: () => heard.push('writable'),
    fault: (error) => assert.fail(error as Error),
  });
  return { made, native, heard };
}

/** The event loop has polled so many times more. */
async function polled(times: number): Promise<void> {
  for (let count = 0; count <= times; count++) await turn();
}

test('a channel that closes with its connection says nothing of its own, though it is heard first', async () => {
  const { made, native, heard } = channel();
  native.closed!();
  await turn();
  made.detach(); // what the end of the connection does, heard in the next poll
  await polled(3);
  assert.deepEqual(heard, []);
});

test('a message that is heard after the end of its channel is not lost', async () => {
  const { native, heard } = channel();
  native.closed!();
  native.message!(Buffer.from('last'));
  await polled(3);
  assert.deepEqual(heard, ['last', 'closed']);
});

test('a channel that was reset says so, once', async () => {
  const { native, heard } = channel();
  native.closed!();
  await polled(3);
  assert.deepEqual(heard, ['closed']);
});
