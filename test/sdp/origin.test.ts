import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withPort } from '../../src/sdp/edit.ts';
import { type Origin, stampOrigin } from '../../src/sdp/origin.ts';
import { parseSessionDescription } from '../../src/sdp/parse.ts';
import { fixture } from './support.ts';

const LEG: Origin = { username: 'as', sessionId: '7', version: 1, address: '198.51.100.5' };
const offer = parseSessionDescription(fixture('e1-ue-offer'));

// conformance: R7 — each leg has its own o=, version +1 exactly when another byte differs
test('the version of a leg rises by one exactly when another byte changes', () => {
  const first = stampOrigin(offer, LEG);
  assert.equal(
    first.text,
    fixture('e1-ue-offer').replace('o=ue-a 3001 1 IN IP4 192.0.2.10', 'o=as 7 1 IN IP4 198.51.100.5'),
  );
  const peerRaisedItsVersion = parseSessionDescription(fixture('e1-ue-offer').replace('3001 1', '3001 2'));
  assert.equal(stampOrigin(peerRaisedItsVersion, first), first, 'only the o= of the other leg changed');
  const changed = stampOrigin({ ...offer, media: offer.media.with(0, withPort(offer.media[0]!, 0)) }, first);
  assert.equal(changed.origin.version, 2);
  assert.match(changed.text, /^v=0\r\no=as 7 2 IN IP4 198\.51\.100\.5\r\n/);
  assert.equal(stampOrigin(offer, changed).origin.version, 3, 'back to what was sent before is a change too');
});

test('a description without o= gets one after v=, an IPv6 leg says IP6', () => {
  const sdp = parseSessionDescription('v=0\r\ns=-\r\n');
  assert.equal(
    stampOrigin(sdp, { ...LEG, address: '2001:db8::5' }).text,
    'v=0\r\no=as 7 1 IN IP6 2001:db8::5\r\ns=-\r\n',
  );
});
