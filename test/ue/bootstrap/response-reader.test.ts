import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseReader } from '../../../src/ue/bootstrap/response-reader.ts';
import { PROFILES } from '../../../src/ue/profile.ts';

const { 'china-mobile': mobile, 'china-telecom': telecom } = PROFILES;
const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\nETag: "7"\r\nContent-Length: 10\r\n\r\n';
const broken = { code: 'UE_BOOTSTRAP_RESPONSE' };

test('a body over several messages is complete at Content-Length', () => {
  const reader = new ResponseReader(mobile.response);
  assert.equal(reader.push(Buffer.from(`${HEAD}01234`)), null);
  const response = reader.push(Buffer.from('56789'))!;
  assert.equal(response.body.toString(), '0123456789');
  assert.equal(response.headers.get('etag'), '"7"');
  assert.deepEqual([response.status, response.messages], [200, 2]);
});

test('china-mobile fails when the header block is not whole in the first message; china-telecom waits', () => {
  assert.throws(() => new ResponseReader(mobile.response).push(Buffer.from(HEAD.slice(0, 30))), broken);
  const patient = new ResponseReader(telecom.response);
  assert.equal(patient.push(Buffer.from(HEAD.slice(0, 30))), null);
  assert.equal(patient.push(Buffer.from(`${HEAD.slice(30)}0123456789`))!.body.length, 10);
});

test('without Content-Length: done at the first message (china-mobile), never (china-telecom)', () => {
  const bare = Buffer.from('HTTP/1.1 200 OK\r\n\r\nabc');
  assert.equal(new ResponseReader(mobile.response).push(bare)!.body.toString(), 'abc');
  const patient = new ResponseReader(telecom.response);
  assert.equal(patient.push(bare), null);
  assert.equal(patient.push(bare), null);
});

test('an empty body is complete with its head', () => {
  const response = new ResponseReader(telecom.response).push(
    Buffer.from('HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n'),
  );
  assert.deepEqual([response?.status, response?.body.length], [304, 0]);
});

test('what no handset can use is refused with a reason', () => {
  for (const text of [
    'HTTP/2 200\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n',
    'HTTP/1.1 200 OK\r\nno header\r\n\r\n',
  ]) {
    assert.throws(() => new ResponseReader(telecom.response).push(Buffer.from(text)), broken, text);
  }
  const endless = new ResponseReader(telecom.response);
  assert.throws(() => {
    for (let i = 0; i < 10; i++) endless.push(Buffer.alloc(10_000, 'x'));
  }, broken);
});
