import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as edit from '../../src/sdp/edit.ts';
import { attribute, attributes } from '../../src/sdp/lines.ts';
import { parseSessionDescription } from '../../src/sdp/parse.ts';
import { writeSessionDescription } from '../../src/sdp/write.ts';
import { fixture } from './support.ts';

const offer = () => parseSessionDescription(fixture('e1-ue-offer'));
/** Lines that differ between two texts, as [before, after]. */
function difference(before: string, after: string): [string[], string[]] {
  const [a, b] = [before.split('\r\n'), after.split('\r\n')];
  return [a.filter((line) => !b.includes(line)), b.filter((line) => !a.includes(line))];
}

test('a port and an address change exactly their lines', () => {
  const sdp = offer();
  const moved = edit.withConnection(edit.withPort(sdp.media[1]!, 50100), '198.51.100.5');
  const text = writeSessionDescription({ ...sdp, media: sdp.media.with(1, moved) });
  assert.deepEqual(difference(fixture('e1-ue-offer'), text), [
    ['m=application 40010 UDP/DTLS/SCTP webrtc-datachannel'],
    ['m=application 50100 UDP/DTLS/SCTP webrtc-datachannel', 'c=IN IP4 198.51.100.5'],
  ]);
  assert.equal(moved.port, 50100);
  assert.equal(moved.lines[1], 'c=IN IP4 198.51.100.5', 'c= stands between m= and b=');
  assert.equal(edit.withConnection(moved, '2001:db8::1').lines[1], 'c=IN IP6 2001:db8::1', 'replaced, not added');
});

test('an attribute is replaced where it stood, added at the end, or removed', () => {
  const { lines } = offer().media[1]!;
  const replaced = edit.setAttribute(lines, 'setup', 'active');
  assert.equal(replaced.indexOf('a=setup:active'), lines.indexOf('a=setup:actpass'));
  assert.equal(replaced.length, lines.length);
  assert.equal(edit.setAttribute(lines, 'x-new', '').at(-1), 'a=x-new');
  const two = edit.setAttribute(lines, 'dcmap', '1 a', '2 b');
  assert.deepEqual(attributes(two, 'dcmap'), ['1 a', '2 b']);
  assert.equal(attribute(edit.removeAttributes(lines, 'setup', 'tls-id'), 'setup'), undefined);
  assert.equal(edit.removeAttributes(lines, 'setup', 'tls-id').length, lines.length - 2);
});

test('names are matched whole: setup is not setup-x, a flag has no value', () => {
  const lines = ['m=audio 1 x', 'a=setup-x:1', 'a=inactive', 'a=setup: active', 'a=fmtp:setup 1'];
  assert.equal(attribute(lines, 'setup'), 'active');
  assert.equal(attribute(lines, 'inactive'), '');
  assert.equal(attribute(lines, 'active'), undefined);
  assert.deepEqual(edit.removeAttributes(lines, 'setup'), [lines[0], lines[1], lines[2], lines[4]]);
});

// conformance: RFC 3264 6 — a refused m-line keeps media, protocol and formats and has port 0
test('a refused section is its m= line with port 0, and its mid', () => {
  const section = offer().media[1]!;
  const withMid = { ...section, lines: [...section.lines, 'a=mid:dc1'] };
  assert.deepEqual(edit.refusedSection(section).lines, ['m=application 0 UDP/DTLS/SCTP webrtc-datachannel']);
  assert.deepEqual(edit.refusedSection(withMid).lines, [
    'm=application 0 UDP/DTLS/SCTP webrtc-datachannel',
    'a=mid:dc1',
  ]);
  assert.equal(edit.refusedSection(section).port, 0);
});

test('a refused audio section keeps its formats', () => {
  assert.deepEqual(edit.refusedSection(offer().media[0]!).lines, ['m=audio 0 RTP/AVP 104 101']);
});

// conformance: R7 — data lines leave their BUNDLE group
test('leaving BUNDLE takes only the mids of the named slots', () => {
  const text = (group: string) =>
    ['v=0', 's=-', ...(group ? [group] : []), 'm=audio 1 x 0', 'a=mid:0', 'm=application 2 y z', 'a=mid:1', ''].join(
      '\r\n',
    );
  const leave = (group: string, slots: number[]) =>
    writeSessionDescription(edit.leaveBundle(parseSessionDescription(text(group)), slots));
  assert.equal(leave('a=group:BUNDLE 0 1', [1]), text('a=group:BUNDLE 0'));
  assert.equal(leave('a=group:BUNDLE 1', [1]), text(''));
  assert.equal(leave('a=group:BUNDLE 0', [1]), text('a=group:BUNDLE 0'));
  assert.equal(leave('a=group:LS 0 1', [1]), text('a=group:LS 0 1'));
  assert.equal(leave('', [0, 1]), text(''));
});

test('a field goes where its type belongs', () => {
  const lines = ['v=0', 's=-', 't=0 0', 'a=x'];
  assert.deepEqual(edit.setField(lines, 'o', 'x'), ['v=0', 'o=x', 's=-', 't=0 0', 'a=x']);
  assert.deepEqual(edit.setField(lines, 'c', 'x'), ['v=0', 's=-', 'c=x', 't=0 0', 'a=x']);
  assert.deepEqual(edit.setField(['v=0'], 'o', 'x'), ['v=0', 'o=x']);
});
