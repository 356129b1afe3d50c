import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { originForm, replacedUrl } from '../../src/channel-http/target.ts';
import { refuses } from './support.ts';

// conformance: R27 — a request target is reduced to path and query
const FORMS: [string, string][] = [
  ['/', '/'],
  ['/?q=1&r=/../x', '/?q=1&r=/../x'],
  ['?q', '/?q'],
  ['index.html', '/index.html'],
  ['http://host:80', '/'],
  ['http://host?q', '/?q'],
  ['https://u:p@host/a/b?c#d', '/a/b?c'],
  ['//host/a', '/host/a'],
  ['http:////host/a', '/host/a'],
  ['/a/../../b', '/b'],
  ['/a/./b/..', '/a/'],
  ['/..', '/'],
  ['/%2e%2E/a', '/a'],
  ['/a/.%2e/b', '/b'],
  ['/..//..//host/x', '/host/x'],
  ['/a//b', '/a//b'],
  ['/...', '/...'],
];
for (const [target, expected] of FORMS)
  test(`${target} is ${expected}`, () => assert.equal(originForm(target), expected));

test('what names nothing, or two things, is refused', () => {
  for (const target of ['*', '/a b', '/\\host', '/a%2fb', '/a%5Cb', '/a%00', '/<x>', '/\x07', '']) {
    refuses(() => originForm(target), 'CHANNEL_HTTP_BAD_HEAD');
  }
});

test('whatever a UE asks for stays under the replacement URL', () => {
  const base = 'https://dcsf.example:8443/bdc/token/';
  assert.equal(replacedUrl(base, '/'), base);
  assert.equal(replacedUrl(base, '/?Terminal_Vendor=X'), `${base}?Terminal_Vendor=X`);
  assert.equal(replacedUrl(base, 'http://x/applications?appid=1'), `${base}applications?appid=1`);
  const piece = fc.constantFrom(
    '/',
    '..',
    '.',
    '%2e',
    '%2E',
    'a',
    '//',
    'http://',
    'http:',
    '?',
    '#',
    '@evil',
    ':',
    ';',
    '~',
  );
  fc.assert(
    fc.property(fc.array(piece, { minLength: 1, maxLength: 10 }), (pieces) => {
      const url = new URL(replacedUrl(base, pieces.join('')));
      assert.ok(url.href.startsWith(base), `${pieces.join('')} -> ${url.href}`);
    }),
    { numRuns: 3000 },
  );
});
