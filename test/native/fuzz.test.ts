import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

/** `cmake --preset sanitize && cmake --build --preset sanitize` in native/ makes them; clang is needed. */
const build = process.env.IMSDC_FUZZ_BUILD ?? fileURLToPath(new URL('../../native/build-sanitize', import.meta.url));
const corpus = fileURLToPath(new URL('../../native/fuzz/corpus', import.meta.url));

for (const target of ['stun', 'datagram', 'frames', 'relay']) {
  const program = `${build}/fuzz-${target}`;
  const skip = existsSync(program) ? false : 'the fuzz targets are not built';
  test(`fuzz smoke: ${target}, the corpus and two seconds of new inputs`, { skip }, () => {
    const args = ['-runs=0', `${corpus}/${target}`];
    const replay = spawnSync(program, args, { encoding: 'utf8' });
    assert.equal(replay.status, 0, replay.stderr.slice(-2000));
    const search = spawnSync(program, ['-max_total_time=2', '-max_len=2048'], { encoding: 'utf8' });
    assert.equal(search.status, 0, search.stderr.slice(-2000));
  });
}
