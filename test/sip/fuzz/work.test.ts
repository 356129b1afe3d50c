import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countWork } from '../count-work.ts';
import { HOSTILE } from '../hostile.ts';
import { Pipeline } from './pipeline.ts';

const BYTES = 60_000;

// `npm run bench -- sip-hostile` shows the same in milliseconds.
for (const [what, build] of Object.entries(HOSTILE)) {
  test(`linear work from the datagram to the call: ${what}`, () => {
    const pipeline = new Pipeline();
    const wire = build(BYTES);
    const work = countWork(() => pipeline.receive(wire));
    pipeline.dispatcher.close();
    assert.ok(work < 60 * wire.length + 20_000, `${work} characters looked at for ${wire.length} bytes`);
  });
}
