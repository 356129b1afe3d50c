import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requestMessages } from './request-writer.ts';
import { refuses, text } from './support.ts';

// The exact byte forms of deployed handsets (ue-side.md 6.2, E11).
test('china-mobile: no Host, If-None-Match without a blank and never missing', () => {
  const target = '/?Terminal_Vendor=X&Terminal_Model=Y';
  assert.deepEqual(requestMessages({ target }, 'china-mobile').map(text), [
    `GET ${target} HTTP/1.1\r\nIf-None-Match:\r\n\r\n`,
  ]);
  assert.deepEqual(requestMessages({ target, headers: [['If-None-Match', '1.0.8']] }, 'china-mobile').map(text), [
    `GET ${target} HTTP/1.1\r\nIf-None-Match:1.0.8\r\n\r\n`,
  ]);
});

test('china-mobile: the byte stream is cut at 64,000', () => {
  const messages = requestMessages({ method: 'POST', target: '/', body: new Uint8Array(130_000) }, 'china-mobile');
  assert.deepEqual(
    messages.map((m) => m.length),
    [64_000, 64_000, 2_000 + text(messages[0]!).indexOf('\r\n\r\n') + 4],
  );
  assert.match(text(messages[0]!), /\r\nContent-Length:130000\r\n/);
});

test('china-telecom: no header at all on the list, one message', () => {
  const list = '/applicationlist?begin-index=0&app-num=100&sdkVersion=1.1';
  assert.deepEqual(requestMessages({ target: list }, 'china-telecom').map(text), [`GET ${list} HTTP/1.1\r\n\r\n`]);
  assert.deepEqual(
    requestMessages({ target: '/applications?appid=1', headers: [['If-None-Match', '1.0.8']] }, 'china-telecom').map(
      text,
    ),
    ['GET /applications?appid=1 HTTP/1.1\r\nIf-None-Match: 1.0.8\r\n\r\n'],
  );
});

test('browser: an empty Host and the usual headers', () => {
  assert.deepEqual(requestMessages({ target: '/', headers: [['Accept', 'text/html']] }, 'browser').map(text), [
    'GET / HTTP/1.1\r\nHost:\r\nAccept: text/html\r\n\r\n',
  ]);
});

test('what would be read back as something else is refused', () => {
  const headers = (name: string, value: string) => ({ target: '/', headers: [[name, value] as const] });
  refuses(() => requestMessages(headers('A', 'b\r\nC: d'), 'browser'), 'CHANNEL_HTTP_BAD_HEAD');
  refuses(() => requestMessages(headers('A', '\u010a'), 'browser'), 'CHANNEL_HTTP_BAD_HEAD');
  refuses(() => requestMessages(headers('A b', 'c'), 'browser'), 'CHANNEL_HTTP_BAD_HEAD');
  refuses(() => requestMessages({ target: '/ HTTP/1.1\r\nA: b' }, 'browser'), 'CHANNEL_HTTP_BAD_HEAD');
});
