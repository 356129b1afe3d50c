import assert from 'node:assert/strict';
import { isIPv4, isIPv6 } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { connectionAddress, isIpv4, isIpv6, isUnicast } from '../../src/sdp/connection.ts';
import { parseSessionDescription } from '../../src/sdp/parse.ts';

const addressOf = (session: string, media: string) => {
  const sdp = parseSessionDescription(['v=0', session, 'm=audio 1 x', media, ''].filter(Boolean).join('\n') + '\n');
  return connectionAddress(sdp, sdp.media[0]!);
};

test('the media level c= wins over the session, TTL and address type do not matter', () => {
  assert.equal(addressOf('c=IN IP4 192.0.2.1', ''), '192.0.2.1');
  assert.equal(addressOf('c=IN IP4 192.0.2.1', 'c=IN IP4 192.0.2.2/127'), '192.0.2.2');
  assert.equal(addressOf('c=IN IP6 2001:db8::1', ''), '2001:db8::1');
  for (const bad of ['', 'c=IN IP4 host.example', 'c=IN IP4', 'c=XX IP4 192.0.2.1', 'c=IN IP4 192.0.2.256']) {
    assert.equal(addressOf(bad, ''), undefined, bad);
  }
});

test('literals are recognised exactly as the operating system does', () => {
  const piece = fc.constantFrom(
    ':',
    '::',
    '.',
    '0',
    '1',
    '255',
    '256',
    '01',
    'ffff',
    'fffff',
    'G',
    '192.0.2.1',
    '%1',
    ' ',
  );
  const text = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.array(piece, { maxLength: 17 }).map((pieces) => pieces.join('')),
  );
  fc.assert(
    fc.property(text, (address) => {
      assert.equal(isIpv4(address), isIPv4(address), address);
      // A zone index names an interface of the sender; in SDP it means nothing.
      assert.equal(isIpv6(address), isIPv6(address) && !address.includes('%'), address);
    }),
    { numRuns: 5000 },
  );
});

test('only unicast can be sent to', () => {
  for (const address of ['192.0.2.1', '10.0.0.1', '2001:db8::1', '::1', 'fe80::1'])
    assert.ok(isUnicast(address), address);
  for (const address of ['0.0.0.0', '224.0.0.1', '255.255.255.255', '::', 'ff02::1', '::ffff:224.0.0.1'])
    assert.ok(!isUnicast(address), address);
});
