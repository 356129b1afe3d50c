import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  checkRequest,
  findSdp,
  parseAddress,
  parseMessage,
  parseUri,
  splitList,
  splitMultipart,
} from '../../../src/sip/message/index.ts';
import { countWork } from '../count-work.ts';
import { flood, HOSTILE } from '../hostile.ts';
import { request } from '../support.ts';

const SIZE = 15_000;
const LARGE = 60_000;
const POLICY = { schemes: new Set(['sip']), supported: new Set<string>(), forwards: true };

/** Everything that is read from a message before anybody has decided that it is worth the trouble. */
function readAll(wire: string): void {
  const result = parseMessage(wire);
  const message = 'error' in result ? result.error.replyable : result.message;
  if (message === undefined) return;
  checkRequest(message, POLICY);
  for (const name of ['via', 'contact', 'record-route', 'route', 'x']) message.list(name);
  message.first('from');
  findSdp(message);
}

for (const [what, build] of Object.entries(HOSTILE)) {
  for (const bytes of [SIZE, LARGE]) {
    test(`linear work: ${what}, ${bytes} bytes`, () => {
      const wire = build(bytes);
      const work = countWork(() => readAll(wire));
      assert.ok(work < 25 * wire.length + 20_000, `${work} characters looked at for ${wire.length} bytes`);
    });
  }
}

test('linear work: values on their own', () => {
  for (const build of [
    (n: number): unknown => parseUri(`sip:${'a'.repeat(n)}@h${flood(';a1', n)}`),
    (n: number): unknown => parseUri(`tel:${'1-'.repeat(n / 2)}x`),
    (n: number): unknown => parseUri(`tel:${'-'.repeat(n)}`),
    (n: number): unknown => parseAddress(`${'<'.repeat(n)}`),
    (n: number): unknown => splitList(`"${'\\'.repeat(n)}`),
    (n: number): unknown => splitMultipart('--b'.repeat(n / 3), 'b'),
  ]) {
    const work = countWork(() => build(LARGE));
    assert.ok(work < 25 * LARGE, `${work}: ${build}`);
  }
});

// Backtracking inside a regular expression cannot be counted; quadratic work on these takes 100 ms and more, linear work under 2.
test('no regular expression backtracks far', () => {
  const spaces = ' '.repeat(15_000);
  for (const run of [
    (): unknown => parseUri(`tel:+${'1-'.repeat(LARGE / 2)}x`),
    (): unknown => parseUri(`sip:h?${'a=b%20'.repeat(LARGE / 6)}`),
    (): void => readAll(request({ headers: `X: a\r\n b${spaces}c\r\n`.repeat(4) })),
    (): void => {
      const result = parseMessage(request({ via: `SIP/2.0/UDP h${`;${' '.repeat(100)}a`.repeat(150)};rport` }));
      assert.ok('message' in result);
      result.message.stampReceived('192.0.2.1', 5060);
    },
  ]) {
    const { user, system } = process.cpuUsage();
    run();
    const spent = process.cpuUsage({ user, system });
    assert.ok(spent.user + spent.system < 50_000, `${spent.user + spent.system} us: ${run}`);
  }
});

test('the counter counts', () => {
  assert.ok(countWork(() => 'abc'.indexOf('c')) === 3);
  assert.ok(countWork(() => splitList('a,'.repeat(100))) >= 200);
});
