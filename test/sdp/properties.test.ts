import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ImsdcError } from '../../src/errors.ts';
import { changedSlots } from '../../src/sdp/changes.ts';
import { isDataChannelSection, readDataChannelMedia } from '../../src/sdp/data-channel.ts';
import * as edit from '../../src/sdp/edit.ts';
import { parseSessionDescription } from '../../src/sdp/parse.ts';
import type { SessionDescription } from '../../src/sdp/types.ts';
import { writeSessionDescription } from '../../src/sdp/write.ts';
import { withStreams, withUsedByFlipped } from '../../src/sdp/write-data-channel.ts';
import { fixture, fixtureNames } from './support.ts';

const eol = fc.constantFrom('\r\n', '\n');
const value = fc.string({ unit: fc.constantFrom(...' abc:;="%/0\x09\xe9\xff'), maxLength: 20 });
const attributeLine = fc
  .tuple(fc.constantFrom('setup', 'dcmap', 'dcsa', 'mid', 'fingerprint', 'x', 'tls-id'), value)
  .map(([name, text]) => `a=${name}:${text}`);
const otherLine = fc.tuple(fc.constantFrom(...'ickbz'), value).map(([type, text]) => `${type}=${text}`);
const mediaLine = fc
  .tuple(
    fc.constantFrom('audio', 'application'),
    fc.integer({ min: 0, max: 65535 }),
    fc.constantFrom('RTP/AVP 0', 'UDP/DTLS/SCTP webrtc-datachannel'),
  )
  .map(([media, port, rest]) => `m=${media} ${port} ${rest}`);
const sdpText = fc
  .tuple(
    fc.array(fc.oneof(otherLine, attributeLine), { maxLength: 6 }),
    fc.array(fc.tuple(mediaLine, fc.array(fc.oneof(otherLine, attributeLine), { maxLength: 8 })), { maxLength: 5 }),
    fc.array(eol, { minLength: 60, maxLength: 60 }),
    fc.boolean(),
  )
  .map(([session, media, ends, mixed]) => {
    const lines = ['v=0', ...session, ...media.flatMap(([m, more]) => [m, ...more])];
    return lines.map((line, i) => line + ends[mixed ? i : 0]).join('');
  });

test('any description is written back byte for byte, whatever its line ends', () => {
  fc.assert(
    fc.property(sdpText, (text) => {
      assert.equal(writeSessionDescription(parseSessionDescription(text)), text);
    }),
    { numRuns: 1000 },
  );
});

const slot = fc.nat({ max: 4 });
const editStep = fc.oneof(
  fc.tuple(slot, fc.integer({ min: 0, max: 65535 })).map(([at, port]) => change(at, (s) => edit.withPort(s, port))),
  slot.map((at) => change(at, (s) => edit.withConnection(s, '2001:db8::1'))),
  slot.map((at) => change(at, (s) => ({ ...s, lines: edit.setAttribute(s.lines, 'setup', 'active') }))),
  slot.map((at) => change(at, (s) => ({ ...s, lines: edit.removeAttributes(s.lines, 'x', 'mid') }))),
  slot.map((at) => change(at, edit.refusedSection)),
  slot.map((at) => change(at, withUsedByFlipped)),
  slot.map((at) => change(at, (s) => withStreams(s, (id) => id > 3))),
);
function change(
  at: number,
  act: (section: SessionDescription['media'][number]) => SessionDescription['media'][number],
) {
  return { at, act };
}

/** Where the only odd line end was edited away, the others are no longer held as part of their lines. */
const withoutCr = (lines: readonly string[]) => lines.map((line) => line.replace(/\r$/, ''));

// conformance: R7 — edits keep every line they do not name
test('edits of one section leave all other sections and the session byte for byte', () => {
  fc.assert(
    fc.property(sdpText, fc.array(editStep, { maxLength: 6 }), (text, steps) => {
      const before = parseSessionDescription(text);
      const touched = new Set<number>();
      const media = [...before.media];
      for (const { at, act } of steps) {
        if (!media[at]) continue;
        touched.add(at);
        media[at] = act(media[at]);
      }
      const after = { ...before, media };
      assert.equal(after.media.length, before.media.length);
      assert.equal(after.session, before.session);
      const again = parseSessionDescription(writeSessionDescription(after));
      for (const [i, section] of before.media.entries()) {
        if (!touched.has(i)) {
          assert.equal(after.media[i], section);
          assert.deepEqual(withoutCr(again.media[i]!.lines), withoutCr(section.lines));
        }
        assert.equal(again.media[i]!.media, section.media);
        assert.equal(again.media[i]!.protocol, section.protocol);
        assert.deepEqual(again.media[i]!.formats, section.formats);
      }
    }),
    { numRuns: 1000 },
  );
});

/** A mutation of a real description: bytes replaced, cut, doubled, moved. */
const mutation = fc.record({
  name: fc.constantFrom(...fixtureNames),
  cuts: fc.array(
    fc.record({
      at: fc.noBias(fc.nat({ max: 9999 })),
      remove: fc.nat({ max: 40 }),
      insert: fc.oneof(
        fc.string({ unit: 'binary', maxLength: 8 }),
        fc.constantFrom('\r\n', '\n', '\r', '=', ':', ';', '"', '%', ' ', 'm=', 'a=dcmap:', '0', '9'.repeat(30)),
        fc.constantFrom('a=dcmap:1000 label="', 'a=fingerprint:', 'c=IN IP6 ', 'a=3gpp-req-app:', 'a=3gpp-qos-hint:'),
      ),
    }),
    { minLength: 1, maxLength: 6 },
  ),
});
function mutated({ name, cuts }: { name: string; cuts: { at: number; remove: number; insert: string }[] }): string {
  return cuts.reduce((text, { at, remove, insert }) => {
    const position = Math.floor((at / 10_000) * text.length);
    return text.slice(0, position) + insert + text.slice(position + remove);
  }, fixture(name));
}

test('a broken description is refused with a coded error or read; nothing else is ever thrown', () => {
  let read = 0;
  let refused = 0;
  const last = {
    own: parseSessionDescription(fixture('e1-ue-offer')),
    other: parseSessionDescription(fixture('e4-originating-as-answer')),
  };
  fc.assert(
    fc.property(mutation, (broken) => {
      const text = mutated(broken);
      let sdp: SessionDescription;
      try {
        sdp = parseSessionDescription(text);
      } catch (error) {
        assert.ok(error instanceof ImsdcError && error.code.startsWith('SDP_'), String(error));
        refused++;
        return;
      }
      read++;
      assert.equal(writeSessionDescription(sdp), text);
      for (const [at, section] of sdp.media.entries()) {
        if (!isDataChannelSection(section)) continue;
        for (const as of ['offer', 'answer'] as const) {
          const media = readDataChannelMedia(sdp, at, { as });
          assert.ok('code' in media ? media.detail : media.streams.length > 0 && media.fingerprints.length > 0);
        }
      }
      changedSlots(last, sdp);
      edit.leaveBundle(sdp, [1, 2]);
    }),
    { numRuns: 3000 },
  );
  assert.ok(read > 300 && refused > 300, `${read} read, ${refused} refused: both branches must be exercised`);
});
