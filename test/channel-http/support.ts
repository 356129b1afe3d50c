import assert from 'node:assert/strict';
import { ImsdcError } from '../../src/errors.ts';

export const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
export const text = (message: Uint8Array): string => Buffer.from(message).toString('latin1');

export function refuses(act: () => unknown, code: string, problem?: RegExp): void {
  assert.throws(act, (error) => {
    assert.ok(error instanceof ImsdcError, String(error));
    assert.equal(error.code, code);
    if (problem) assert.match(error.message, problem);
    return true;
  });
}

/** `whole` cut at these fractions of its length, in 1/10,000. */
export function cutAt(whole: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const positions = [
    0,
    ...cuts.map((cut) => Math.floor((cut / 10_000) * whole.length)).sort((a, b) => a - b),
    whole.length,
  ];
  return positions.slice(1).map((end, i) => whole.subarray(positions[i], end));
}
