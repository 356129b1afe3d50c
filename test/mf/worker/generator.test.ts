import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { encodeFrame } from '../../../src/mf/worker/codec.ts';

const root = resolve(import.meta.dirname, '../../..');
const generate = (...args: string[]) =>
  execFileSync(process.execPath, [join(root, 'scripts/generate-worker-header.mjs'), ...args], { encoding: 'utf8' });

test('docs/media-worker.md holds the tables of the definition', () => {
  const page = readFileSync(join(root, 'docs/media-worker.md'), 'utf8');
  const generated = page.slice(page.indexOf('## Frames\n\n') + '## Frames\n\n'.length);
  assert.equal(generated, generate('--markdown'));
});

const compiler = ['g++', 'clang++'].find((name) => spawnSync(name, ['--version']).status === 0);

test('the C++ codec reads what the TypeScript codec wrote, and writes the same', {
  skip: compiler ? false : 'no C++ compiler',
}, () => {
  const folder = mkdtempSync(join(tmpdir(), 'imsdc-header-'));
  try {
    writeFileSync(join(folder, 'worker_protocol.h'), generate());
    const frame = encodeFrame(
      'STATS_DATA',
      { requestId: 1, handle: 0xffff_ffff, generation: 3 },
      {
        associations: 1,
        memoryBytes: 2 ** 40,
        lateFrames: 0,
        datagramsIgnored: 5,
        records: [
          {
            handle: 9,
            generation: 2,
            state: 'connected',
            stateAgeMs: 1,
            handshakeUs: 2,
            rttUs: 3,
            bufferedBytes: 4,
            retransmissions: 5,
            datagramsReceived: 6,
            datagramsSent: 7,
            datagramsIgnored: 8,
            bytesReceived: 9,
            bytesSent: 10,
            messagesReceived: 11,
            messagesSent: 12,
            dropped: 13,
            streams: [
              {
                streamId: 65_534,
                bufferedBytes: 1,
                bytesReceived: 1,
                bytesSent: 1,
                messagesReceived: 1,
                messagesSent: 1,
                dropped: 1,
              },
            ],
          },
        ],
      },
    );
    writeFileSync(
      join(folder, 'main.cpp'),
      `#include "worker_protocol.h"
       #include <cstdio>
       using namespace imsdc::protocol;
       int main() {
         std::vector<std::uint8_t> in(${frame.length});
         if (std::fread(in.data(), 1, in.size(), stdin) != in.size()) return 1;
         Reader reader(std::span<const std::uint8_t>(in).subspan(4));
         FrameHeader header;
         StatsData body;
         if (!decodeHeader(reader, header) || !body.decode(reader) || !reader.done()) return 2;
         if (body.records.at(0).streams.at(0).streamId != 65534) return 3;
         for (std::size_t cut = 20; cut < in.size(); ++cut) {
           Reader shorter(std::span<const std::uint8_t>(in).subspan(20, cut - 20));
           StatsData partial;
           if (partial.decode(shorter)) return 4;
         }
         std::vector<std::uint8_t> out;
         appendFrame(out, header, body);
         std::fwrite(out.data(), 1, out.size(), stdout);
       }`,
    );
    const binary = join(folder, 'main');
    execFileSync(compiler!, [
      '-std=c++20',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-Wconversion',
      join(folder, 'main.cpp'),
      '-o',
      binary,
    ]);
    assert.deepEqual(execFileSync(binary, { input: frame }), frame);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
