import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  applicationTarget,
  listTarget,
  requestBytes,
  requestMessages,
  rootTarget,
} from '../../../src/ue/bootstrap/requests.ts';
import { PROFILES } from '../../../src/ue/profile.ts';

const { 'china-mobile': mobile, 'china-telecom': telecom, browser } = PROFILES;
const handset = { vendor: 'X', model: 'Y Z', sdkVersion: '1.1' };

// conformance: 26.114 6.2.10.1 — HTTP on the bootstrap channel, authority without meaning
test('china-mobile: no Host, If-None-Match without a blank even when nothing is held (E11)', () => {
  const target = rootTarget(mobile, handset);
  assert.equal(
    requestBytes(mobile, { target }),
    'GET /?Terminal_Vendor=X&Terminal_Model=Y%20Z HTTP/1.1\r\nIf-None-Match:\r\n\r\n',
  );
  assert.equal(requestBytes(mobile, { target: '/', etag: '"7"' }), 'GET / HTTP/1.1\r\nIf-None-Match:"7"\r\n\r\n');
});

test('china-telecom: no header at all, version in the target (E11)', () => {
  assert.equal(
    requestBytes(telecom, { target: listTarget(telecom, handset) }),
    'GET /applicationlist?begin-index=0&app-num=100&sdkVersion=1.1 HTTP/1.1\r\n\r\n',
  );
  assert.equal(
    requestBytes(telecom, { target: applicationTarget(telecom, handset, '10000005') }),
    'GET /applications?appid=10000005&sdkVersion=1.1 HTTP/1.1\r\n\r\n',
  );
});

test('browser: an empty Host (TS 26.114 6.2.10.1)', () => {
  assert.equal(
    requestBytes(browser, { target: rootTarget(browser, handset) }),
    'GET / HTTP/1.1\r\nHost:\r\nAccept: */*\r\n\r\n',
  );
});

test('china-mobile cuts what it sends at 64,000 bytes whatever was negotiated, the others never', () => {
  const bytes = Buffer.alloc(130_000, 'x');
  assert.deepEqual(
    requestMessages(mobile, bytes).map(({ length }) => length),
    [64_000, 64_000, 2_000],
  );
  assert.deepEqual(
    requestMessages(telecom, bytes).map(({ length }) => length),
    [130_000],
  );
});
