import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { startDcsf } from '../../src/dcsf/index.ts';
import { SessionTable } from '../../src/dcsf/sessions.ts';
import { localSubscribers, type SubscriberStore } from '../../src/dcsf/subscribers.ts';
import { ImsdcError } from '../../src/errors.ts';
import type { CatalogueEntry, Grant, GrantPort } from '../../src/services/ndcar.ts';
import type { MediaControl, MediaInstructionData } from '../../src/services/nimsas.ts';
import { AUDIO, line, notification, PROFILE } from './decide/fixtures.ts';
import { configured } from './support.ts';

const OFFER = { m0: AUDIO, m1: line([0, 10]), m2: line([100], { bdcUsedBy: 'SENDER' }) };

/** A grant port that keeps what it is told. */
class Grants implements GrantPort {
  readonly live = new Map<string, Grant>();
  grant(grants: readonly Grant[]): void {
    for (const grant of grants) this.live.set(grant.token, grant);
  }
  revoke(tokens: readonly string[]): void {
    for (const token of tokens) this.live.delete(token);
  }
  applications(): ReadonlyMap<string, CatalogueEntry> {
    return new Map();
  }
}

function started(mediaControl: MediaControl, overrides: object = {}, subscribers?: SubscriberStore) {
  const grants = new Grants();
  const dcsf = startDcsf(configured(overrides), {
    mediaControl,
    grants,
    log: silentLogger,
    metrics: new Metrics(),
    subscribers,
    token: { instance: 'd1', worker: 0, epoch: 7 },
  });
  return { dcsf, grants };
}

const soon = () => ({ deadlineMs: Date.now() + 5_000 });

describe('startDcsf', () => {
  // conformance: 23.228 AC.7.1 — the instruction is delivered inside the pending notification, which resolves after it
  test('instructs inside the notification', async () => {
    const order: string[] = [];
    const seen: [MediaInstructionData, string][] = [];
    const { dcsf, grants } = started({
      async mediaInstruction(data, { idempotencyKey }) {
        order.push(`instructed, ${grants.live.size} tokens known`);
        seen.push([data, idempotencyKey]);
        return undefined;
      },
    });
    await dcsf.sessionEvents.notify(notification(OFFER), soon());
    order.push('answered');
    assert.deepEqual(order, ['instructed, 2 tokens known', 'answered']);
    const [[data, key]] = seen as [[MediaInstructionData, string]];
    assert.equal(data.sessionId, 's1');
    assert.equal(Object.keys(data.mediaInstructionSet).length, 3);
    assert.match(key, /^s1:[0-9a-f]{12}\.1$/);
    const url = data.mediaInstructionSet.m1!.dcMediaSpecification!.replaceHttpUrls!['0']!.replaceHttpUrl;
    // conformance: R21 — replacement URLs carry the route token; R27 — no query, ends in a slash
    assert.match(url, /^http:\/\/127\.0\.0\.1:8090\/bdc\/v1\/d1\.0\.7\.[0-9a-f]{32}\/$/);
    assert.deepEqual(dcsf.status(), { sessions: 1, media: 3, tokens: 2, pending: 0 });

    await dcsf.sessionEvents.notify(notification(OFFER, { event: 'MEDIA_CHANGE_REQUEST' }), soon());
    assert.equal(seen.length, 1, 'known lines are not instructed again');
    await dcsf.sessionEvents.notify(notification({}, { event: 'SESSION_TERMINATION' }), soon());
    assert.equal(grants.live.size, 0);
    assert.deepEqual(dcsf.status(), { sessions: 0, media: 0, tokens: 0, pending: 0 });
    await dcsf.close();
  });

  test('an instruction that fails is undone and the notification rejects; keys are never reused', async () => {
    const keys: string[] = [];
    let works = false;
    const { dcsf, grants } = started({
      async mediaInstruction(_data, { idempotencyKey }) {
        keys.push(idempotencyKey);
        if (!works) throw new Error('409');
        return undefined;
      },
    });
    await assert.rejects(dcsf.sessionEvents.notify(notification(OFFER), soon()), { code: 'DCSF_INSTRUCTION_FAILED' });
    assert.equal(grants.live.size, 0);
    assert.deepEqual(dcsf.status(), { sessions: 1, media: 0, tokens: 0, pending: 0 });
    works = true;
    await dcsf.sessionEvents.notify(notification(OFFER), soon());
    assert.equal(dcsf.status().media, 3);
    assert.equal(new Set(keys).size, 2);
  });

  // conformance: R17 — nothing outlives the budget
  test('an IMS AS that never answers ends at the deadline', async () => {
    const { dcsf, grants } = started({ mediaInstruction: () => new Promise(() => {}) });
    const options = { deadlineMs: Date.now() + 20 };
    await assert.rejects(dcsf.sessionEvents.notify(notification(OFFER), options), { code: 'DCSF_DEADLINE' });
    assert.equal(grants.live.size, 0);
    const late = { deadlineMs: Date.now() - 1 };
    await assert.rejects(dcsf.sessionEvents.notify(notification(OFFER), late), { code: 'DCSF_DEADLINE' });
  });

  // conformance: R18 — SESSION_TERMINATION does not wait for a pending instruction
  test('termination overtakes a pending instruction and nothing is left', async () => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const called = Promise.withResolvers<void>();
    const { dcsf, grants } = started({
      mediaInstruction() {
        called.resolve();
        return promise;
      },
    });
    const pending = dcsf.sessionEvents.notify(notification(OFFER), soon());
    await called.promise;
    await dcsf.sessionEvents.notify(notification({}, { event: 'SESSION_TERMINATION' }), soon());
    assert.equal(grants.live.size, 0);
    resolve(undefined);
    await pending;
    assert.deepEqual(dcsf.status(), { sessions: 0, media: 0, tokens: 0, pending: 0 });
  });

  test('a change of the session while subscriber data is read restarts the decision', async () => {
    const asked: (() => void)[] = [];
    const bothAsked = Promise.withResolvers<void>();
    const instructed: string[][] = [];
    const { dcsf } = started(
      {
        async mediaInstruction(data) {
          instructed.push(Object.keys(data.mediaInstructionSet));
          return undefined;
        },
      },
      {},
      {
        profile: () =>
          new Promise((resolve) => {
            asked.push(() => resolve(PROFILE));
            if (asked.length === 2) bothAsked.resolve();
          }),
      },
    );
    const first = dcsf.sessionEvents.notify(notification(OFFER), soon());
    const second = dcsf.sessionEvents.notify(notification({ ...OFFER, m5: line([1000]) }), soon());
    await bothAsked.promise;
    asked.forEach((answer) => {
      answer();
    });
    await Promise.all([first, second]);
    assert.equal(instructed[0]!.length, 3);
    assert.deepEqual(instructed[1], ['m5'], 'm1 and m2 were known by then');
  });

  test('refusal by configuration rejects with SIP status 403', async () => {
    const { dcsf } = started(
      { mediaInstruction: () => assert.fail('no instruction') },
      { policy: { unauthorised: 'refuse' }, subscribers: { inline: { 'sip:alice@ims.example': { allowed: false } } } },
    );
    await assert.rejects(dcsf.sessionEvents.notify(notification(OFFER), soon()), (error: ImsdcError) => {
      assert.equal(error.code, 'DCSF_NOT_AUTHORISED');
      assert.equal(error.entry.sip, 403);
      return true;
    });
    assert.equal(dcsf.status().sessions, 0);
  });

  test('a subscriber store that fails costs the data channels, not the notification', async () => {
    const sent: MediaInstructionData[] = [];
    const control: MediaControl = {
      async mediaInstruction(data) {
        sent.push(data);
        return undefined;
      },
    };
    const { dcsf } = started(control, {}, { profile: () => Promise.reject(new Error('HSS down')) });
    await dcsf.sessionEvents.notify(notification(OFFER), soon());
    const instructions = Object.values(sent[0]!.mediaInstructionSet).map((entry) => entry.mediaInstruction);
    assert.deepEqual(instructions, ['REJECT_MEDIA', 'REJECT_MEDIA']);
  });

  test('closing waits for what is pending and refuses what comes later', async () => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const { dcsf } = started({ mediaInstruction: () => promise });
    const pending = dcsf.sessionEvents.notify(notification(OFFER), soon());
    const closed = dcsf.close();
    await assert.rejects(dcsf.sessionEvents.notify(notification(OFFER), soon()), { code: 'DCSF_CLOSED' });
    resolve(undefined);
    await Promise.all([pending, closed]);
  });

  test('a host name as MDC1 URL needs an address beside it', () => {
    const control: MediaControl = { mediaInstruction: async () => undefined };
    const mdc1 = { baseUrl: 'https://dcsf.example/bdc/v1/' };
    assert.throws(() => started(control, { mdc1 }), { code: 'DCSF_MDC1_ADDRESS' });
    started(control, { mdc1: { ...mdc1, address: '10.1.2.3' } });
    started(control, { mdc1: { baseUrl: 'http://[::1]:81/bdc/v1/' } });
  });
});

describe('SessionTable', () => {
  const session = (sessionId: string) =>
    ({ schema: 1, sessionId, sessionCase: 'originating', served: '', peer: '', revision: 0, media: {} }) as const;

  test('is bounded and counts what it refuses', () => {
    const metrics = new Metrics();
    const table = new SessionTable({ max: 2, maxAgeMs: 100 }, metrics);
    table.set('a', session('a'), 0);
    table.set('b', session('b'), 1);
    assert.throws(() => table.set('c', session('c'), 2), { code: 'DCSF_SESSIONS_FULL' });
    table.set('a', session('a'), 3);
    assert.equal(metrics.counter('imsdc_dcsf_sessions_refused_total', '').value, 1);
  });

  test('forgets by age of the last event', () => {
    const table = new SessionTable({ max: 9, maxAgeMs: 100 }, new Metrics());
    table.set('a', session('a'), 0);
    table.set('b', session('b'), 10);
    table.set('a', session('a'), 50);
    assert.deepEqual(table.expire(99), []);
    assert.deepEqual(
      table.expire(110).map(({ sessionId }) => sessionId),
      ['b'],
    );
    assert.deepEqual(
      table.expire(150).map(({ sessionId }) => sessionId),
      ['a'],
    );
    assert.equal(table.size, 0);
  });
});

describe('localSubscribers', () => {
  const directory = mkdtempSync(join(tmpdir(), 'imsdc-subscribers-'));
  const written = (name: string, text: string) => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };

  test('file, inline over it, default below; identities are normalised', async () => {
    const file = written('ok.yaml', "'sip:Alice@IMS.example': {allowed: false}\n'tel:+49-30-1': {maxChannels: 1}\n");
    const { subscribers } = configured({
      subscribers: { file, inline: { 'tel:+49301': { maxChannels: 2 } }, default: { standalone: true } },
    });
    const store = localSubscribers(subscribers);
    assert.equal((await store.profile('sip:Alice@ims.EXAMPLE:5060;user=phone')).allowed, false);
    assert.deepEqual(await store.profile('tel:+49301'), {
      allowed: true,
      standalone: true,
      applications: '*',
      a2p: true,
      maxChannels: 2,
      handset: 'auto',
    });
    assert.equal((await store.profile('sip:nobody@x')).maxChannels, 16);
  });

  for (const [name, text, problem] of [
    ['not YAML', 'a: [', /not YAML\.yaml: .* at line 1/],
    ['a list', '- 1', /must map public identities/],
    ['wrong type', "'sip:a@b': {allowed: 5}", /sip:a@b: \/allowed must be boolean/],
    ['unknown key', "'sip:a@b': {alowed: true}", /sip:a@b: .*must NOT have additional properties/],
  ] as const) {
    test(`${name}: says which`, () => {
      const { subscribers } = configured({ subscribers: { file: written(`${name}.yaml`, text) } });
      assert.throws(
        () => localSubscribers(subscribers),
        (error: Error) => {
          assert.ok(error instanceof ImsdcError && error.code === 'DCSF_SUBSCRIBERS');
          assert.match(error.message, problem);
          return true;
        },
      );
    });
  }
  test('a missing file', () => {
    const { subscribers } = configured({ subscribers: { file: join(directory, 'none.yaml') } });
    assert.throws(() => localSubscribers(subscribers), { code: 'DCSF_SUBSCRIBERS' });
  });
});
