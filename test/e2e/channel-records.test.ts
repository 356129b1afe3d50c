import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Value } from 'typebox/value';
import { ChannelRecord } from '../../src/ims-as/records/channel-record.ts';
import { startWorld, type World } from '../../src/lab/world.ts';
import { nothingLeft } from './fixtures.ts';

const DIRECT = '10000001';
const RELAYED = '10000005';
const DATAGRAMS = '10000006';

const directory = mkdtempSync(join(tmpdir(), 'imsdc-records-'));
const file = join(directory, 'channels.jsonl');
let world: World;

function records(): ChannelRecord[] {
  return readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const record: unknown = JSON.parse(line);
      assert.ok(Value.Check(ChannelRecord, record), line);
      return record;
    });
}

/** The records of the AS session that serves the caller, by stream id. */
function ofCaller(): Map<number, ChannelRecord> {
  const own = records().filter(({ sessionCase }) => sessionCase === 'originating');
  return new Map(own.map((record) => [record.streamId, record]));
}

async function talk(stream: number, bytes: number, kind: string): Promise<void> {
  const { alice, bob } = world;
  const [sent, received] = await Promise.all([
    alice.run(`send ${stream} --random ${bytes} --kind ${kind}`),
    bob.run(`receive ${stream}`),
  ]);
  assert.equal(received.sha256, sent.sha256);
}

async function open(application: string, stream: number): Promise<void> {
  await world.alice.run(`open ${application} --stream ${stream}`);
  await world.bob.run(`wait channel ${stream}`);
}

/** Slot of the line with that stream, on Alice's side. */
async function slotOf(stream: number): Promise<number> {
  const { calls } = (await world.alice.run('status')) as unknown as {
    calls: { lines: { slot: number; streams: { streamId: number }[] }[] }[];
  };
  return calls[0]!.lines.find(({ streams }) => streams.some(({ streamId }) => streamId === stream))!.slot;
}

// conformance: R31 — one record per channel: who, app, mode, bytes and messages each way, cause, charging id
describe('channel records of a real call', { timeout: 120_000 }, () => {
  before(async () => {
    world = await startWorld({
      directory,
      startedMs: Date.now(),
      overrides: { imsAs: { channelRecords: { file } } },
    });
    await Promise.all([world.alice.run('register'), world.bob.run('register')]);
    await Promise.all([world.alice.run('call sip:bob@ims.lab'), world.bob.run('answer')]);
  });
  after(async () => {
    await world?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  test('every way to end, with the right bytes and messages', async () => {
    const { alice, bob } = world;
    await alice.run('get /applicationlist');
    await open(RELAYED, 1000);
    await open(RELAYED, 1002);
    await open(RELAYED, 1004);
    await talk(1000, 3_000, 'text');
    await talk(1000, 500, 'binary');
    await Promise.all([bob.run('send 1000 --random 70 --kind binary'), alice.run('receive 1000')]);
    await talk(1002, 100, 'text');
    await talk(1004, 200, 'text');
    await alice.run(`remove ${await slotOf(1002)}`);
    await alice.run('close 1004');
    await open(DIRECT, 1006);
    await talk(1006, 300, 'text');
    await open(DATAGRAMS, 1008);
    await talk(1008, 400, 'text');
    await alice.run('hangup');
    await nothingLeft(world);
    await world.dcsf.stop();

    const all = ofCaller();
    const way = (bytes: number, messages: number) => ({ bytes, messages });
    const relayed = all.get(1000)!;
    assert.deepEqual(
      [relayed.cause, relayed.counted, relayed.applicationId, relayed.mode, relayed.proxy],
      ['BYE', 'messages', RELAYED, 'P2P', 'DC_APPLICATION_PROXY'],
    );
    assert.deepEqual([relayed.served, relayed.peer], ['sip:alice@ims.lab', 'sip:bob@ims.lab']);
    assert.deepEqual(relayed.legs, {
      served: { from: way(3_500, 2), to: way(70, 1) },
      remote: { from: way(70, 1), to: way(3_500, 2) },
    });
    assert.ok(relayed.connectedAt !== null && relayed.durationMs > 0 && relayed.failure === null);

    const removed = all.get(1002)!;
    assert.deepEqual([removed.cause, removed.legs.served?.from], ['PORT_0', way(100, 1)]);
    const reset = all.get(1004)!;
    assert.deepEqual(
      [reset.cause, reset.legs.served?.from, reset.legs.remote?.to],
      ['STREAM_RESET', way(200, 1), way(200, 1)],
    );
    const direct = all.get(1006)!;
    assert.deepEqual([direct.cause, direct.proxy, direct.counted, direct.legs], ['BYE', null, 'nothing', {}]);
    const datagrams = all.get(1008)!;
    assert.deepEqual([datagrams.proxy, datagrams.counted], ['UDP_PROXY', 'datagrams']);
    assert.equal(datagrams.legs.served!.from.messages, datagrams.legs.remote!.to.messages);
    assert.ok(datagrams.legs.served!.from.bytes > 400);

    const bootstrap = all.get(0)!;
    assert.deepEqual([bootstrap.mode, bootstrap.proxy, bootstrap.cause], ['bootstrap', 'HTTP_PROXY', 'BYE']);
    assert.ok(bootstrap.legs.served!.from.messages >= 1 && bootstrap.legs.served!.to.bytes > 0);
    // Bob's network keeps its own books of the same call.
    const far = records().filter(({ sessionCase, streamId }) => sessionCase === 'terminating' && streamId >= 1000);
    assert.deepEqual(far.map(({ streamId }) => streamId).sort(), [1000, 1002, 1004, 1006, 1008]);
    assert.ok(far.every(({ served }) => served === 'sip:bob@ims.lab'));
    assert.equal(new Set(records().map(({ chargingId }) => chargingId)).size, 1);
  });
});
