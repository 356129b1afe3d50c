import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { embeddedCommand, type WorkerCommand } from '../../src/mf/engine/options.ts';
import { type Lab, spec, withLab } from '../contract/engine/lab.ts';
import { WORKER, workerMissing } from '../native/rig.ts';
import { type BrowserPage, browserMissing, openPage } from './browser.ts';
import { BrowserUe, describeLocal, type Message, remoteOf } from './browser-ue.ts';

interface Engine {
  readonly name: string;
  readonly command: WorkerCommand;
  /** Channels to open. */
  readonly ids: readonly number[];
  /** SCTP streams of the association (R13). */
  readonly streams: number;
  readonly skip: string | false;
}

const ENGINES: readonly Engine[] = [
  {
    name: 'native',
    command: { file: WORKER, args: [] },
    ids: [0, 1000, 1024, 38_754, 65_534],
    streams: 65_535,
    skip: browserMissing || workerMissing,
  },
  // Its stack has 1,024 streams for good.
  { name: 'embedded', command: embeddedCommand(), ids: [0, 1000, 1023], streams: 1_024, skip: browserMissing },
];

const SIZES = [1, 1_200, 16_384, 65_535, 65_536, 262_144];

for (const engine of ENGINES)
  describe(`Chromium and the ${engine.name} engine`, { skip: engine.skip }, () => cases(engine));

function cases({ command, ids, streams }: Engine): void {
  let browser: BrowserPage;
  let serial = 0;
  before(async () => {
    browser = await openPage();
  });
  after(() => browser[Symbol.asyncDispose]());

  /** A connection of the page that offered, with the association `key` of the engine, which has answered: up at both ends. */
  async function connect(lab: Lab, key: string, maxMessageSizeBytes = 262_144) {
    const ue = new BrowserUe(browser.page, `${key}${++serial}`);
    const [offer, local] = await Promise.all([ue.offer(ids), lab.reserve(key, { ice: true })]);
    await lab.engine.setStreams(key, ids.map(spec));
    const connected = lab.state(key, 'connected');
    await lab.engine.start(key, remoteOf(offer, 'passive', streams));
    await ue.takeAnswer(describeLocal(local, { setup: 'passive', maxMessageSizeBytes, ids }));
    const [open] = await Promise.all([ue.open(), connected]);
    return { ue, ...open };
  }

  // conformance: 26.114 6.2.10.1 — a browser's offer, answered as ICE-lite with one host candidate
  // conformance: RFC 8831 6.6 — text and binary, 1 byte to 262,144, on any stream id
  test('two pages through the relay: every channel, every size, text and binary, byte for byte', () =>
    withLab(command, async (lab) => {
      const [a, b] = [await connect(lab, 'a'), await connect(lab, 'b')];
      assert.ok(a.maxChannels > ids.at(-1)!, `the association has ${a.maxChannels} streams`);
      assert.equal(a.maxMessageSize, 262_144);
      await lab.relay('a', 'b', ids);
      for (const id of ids) {
        for (const [from, to] of [
          [a.ue, b.ue],
          [b.ue, a.ue],
        ] as const) {
          const sizes = id === ids.at(-1) ? SIZES : [1, 16_384];
          for (const length of sizes) {
            for (const kind of ['text', 'binary'] as const) {
              const arrives = to.next(id);
              const sent = await from.send(id, kind, length);
              assert.deepEqual(await arrives, sent, `stream ${id}, ${kind}, ${length} bytes`);
              assert.deepEqual([(sent as Message).kind, (sent as Message).length], [kind, length]);
            }
          }
        }
      }
      await Promise.all([a.ue.close(), b.ue.close()]);
    }));

  test('the network offers, the page answers', () =>
    withLab(command, async (lab) => {
      const ue = new BrowserUe(browser.page, `answerer${++serial}`);
      const local = await lab.reserve('a', { ice: true });
      await lab.engine.setStreams('a', ids.map(spec));
      const answer = await ue.answer(ids, describeLocal(local, { setup: 'actpass', ids }));
      // RFC 8842 5.3: an answerer should be active, and Chromium is.
      assert.match(answer, /^a=setup:active\r$/m);
      await lab.engine.start('a', remoteOf(answer, 'passive', streams));
      await ue.open();
      const port = lab.engine.payload({ key: 'a', streamId: ids[1]! }, 1 << 20);
      const got = Promise.withResolvers<string>();
      port.onMessage = (message, kind) => got.resolve(`${kind} ${message.length}`);
      await lab.engine.route({ key: 'a', streamId: ids[1]! }, { kind: 'payload' });
      await ue.send(ids[1]!, 'text', 20);
      assert.equal(await got.promise, 'text 20');
      await ue.close();
    }));

  // conformance: RFC 8831 6.7 — closing a channel resets its stream, in both directions and from both sides
  test('either side closes a channel; the others stay', () =>
    withLab(command, async (lab) => {
      const { ue } = await connect(lab, 'a');
      const [first, second] = [ids.at(-1)!, ids.at(-2)!];
      const byPeer = lab.streamClosed('a', first);
      await ue.closeChannel(first);
      assert.equal((await byPeer).reason, 'PEER_RESET_STREAM');
      await ue.closed(first);
      const byUs = ue.closed(second);
      await lab.engine.resetStream({ key: 'a', streamId: second }, 'test');
      await byUs;
      await lab.engine.route({ key: 'a', streamId: ids[0]! }, { kind: 'stream', to: { key: 'a', streamId: ids[0]! } });
      const echo = ue.next(ids[0]!);
      assert.deepEqual(await ue.send(ids[0]!, 'text', 5), await echo);
      await ue.close();
    }));

  // conformance: RFC 8841 6.1 — a=max-message-size is obeyed
  test('the page keeps to the size we take', () =>
    withLab(command, async (lab) => {
      const { ue, maxMessageSize } = await connect(lab, 'a', 65_536);
      assert.equal(maxMessageSize, 65_536);
      assert.deepEqual(await ue.send(ids[0]!, 'binary', 65_537), { error: 'TypeError' });
      await ue.close();
    }));

  test('the page leaves: the association is closed', () =>
    withLab(command, async (lab) => {
      const { ue } = await connect(lab, 'a');
      const closed = lab.engine.next('state', (event) => event.state === 'closed' || event.state === 'failed');
      await ue.close();
      assert.deepEqual(await closed, { key: 'a', state: 'closed', reason: 'PEER_CLOSED' });
    }));

  // conformance: RFC 8122 6.2 — the certificate must match the fingerprint, on both sides
  test('another fingerprint than the offered one ends it before SCTP', () =>
    withLab(command, async (lab) => {
      const ue = new BrowserUe(browser.page, `liar${++serial}`);
      const [offer, local] = await Promise.all([ue.offer(ids), lab.reserve('a', { ice: true })]);
      const remote = remoteOf(offer, 'passive', streams);
      const other = remote.fingerprints.map((value) => value.replace(/..$/, (end) => (end === '00' ? '11' : '00')));
      const failed = lab.state('a', 'failed');
      await lab.engine.start('a', { ...remote, fingerprints: other });
      await ue.takeAnswer(describeLocal(local, { setup: 'passive' }));
      assert.equal((await failed).reason, 'FINGERPRINT_MISMATCH');
      await ue.failed();
      await ue.close();
    }));
}
