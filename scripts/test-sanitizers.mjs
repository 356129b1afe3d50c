#!/usr/bin/env node
// Builds the native worker, its tests and its libFuzzer targets with AddressSanitizer and UndefinedBehaviorSanitizer
// (clang, a minute or two the first time) and runs with them the native tests, the engine contract, the tests against
// OpenSSL, the floods and the fuzz smoke; the UDP addon too. A report of a sanitizer fails the run, whichever process wrote it and
// whatever the tests thought of it: a worker that leaks at its end still answered every frame.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { arch, execPath, exit } from 'node:process';
import { fileURLToPath } from 'node:url';
import { withBuildLock } from './build-native.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const native = join(root, 'native');
const build = join(native, 'build-sanitize');
const TESTS = [
  'test/contract/engine/native.test.ts',
  'test/native/fuzz.test.ts',
  'test/native/openssl.test.ts',
  'test/native/flood.test.ts',
  'test/native/relay.test.ts',
];

function run(file, args, options = {}) {
  const result = spawnSync(file, args, { stdio: ['ignore', 'inherit', 'inherit'], cwd: root, ...options });
  if (result.error) process.stderr.write(`${file}: ${result.error.message}\n`);
  return result.status ?? 1;
}

const quiet = { stdio: ['ignore', 'ignore', 'inherit'] };
const ninja = spawnSync('ninja', ['--version']).status === 0 && !existsSync(join(build, 'Makefile'));
const generator = !existsSync(join(build, 'CMakeCache.txt')) && ninja ? ['-G', 'Ninja'] : [];
const built = withBuildLock(build, (locked) => {
  const configured = locked('cmake', ['--preset', 'sanitize', ...generator], { ...quiet, cwd: native });
  if (configured.status !== 0) return configured.status ?? 1;
  const jobs = String(availableParallelism());
  const made = locked('cmake', ['--build', build, '-j', jobs], { stdio: ['ignore', 'pipe', 'inherit'] });
  // The build tool prints what the compiler says on its standard output.
  if (made.status !== 0) process.stderr.write(made.stdout ?? '');
  return made.status ?? 1;
});
if (built !== 0) {
  process.stderr.write('test:sanitizers: the sanitizer build failed (Debian: clang libclang-rt-14-dev)\n');
  exit(1);
}

const reports = mkdtempSync(join(tmpdir(), 'imsdc-sanitizers-'));
const env = {
  ...process.env,
  // A small quarantine: the floods measure memory. The default keeps 256 MB of what was freed.
  ASAN_OPTIONS: `quarantine_size_mb=4:log_path=${join(reports, 'asan')}`,
  UBSAN_OPTIONS: `print_stacktrace=1:log_path=${join(reports, 'ubsan')}`,
  IMSDC_NATIVE_WORKER: join(build, 'imsdc-media-worker'),
  IMSDC_FUZZ_BUILD: build,
};
/** Node itself is not built with sanitizers, so their runtime has to be there before it loads the addon. */
function addonTests() {
  const name = `libclang_rt.asan-${{ x64: 'x86_64', arm64: 'aarch64' }[arch]}.so`;
  const { stdout } = spawnSync('clang', [`-print-file-name=${name}`], { encoding: 'utf8' });
  const addon = {
    IMSDC_UDP_ADDON: join(build, 'imsdc-udp-batch.node'),
    LD_PRELOAD: stdout.trim(),
    // What V8 holds at its end is not ours.
    ASAN_OPTIONS: `${env.ASAN_OPTIONS}:detect_leaks=0`,
  };
  const tests = ['--test', '--test-isolation=none', 'test/sip/transport/datagram-socket.test.ts'];
  return run(execPath, tests, { env: { ...env, ...addon } });
}

const statuses = [
  run(join(build, 'native-tests'), [], { env }),
  run(execPath, ['--test', '--test-timeout=300000', '--test-concurrency=2', ...TESTS], { env }),
  addonTests(),
];
const found = readdirSync(reports);
for (const name of found) process.stderr.write(`${name}\n${readFileSync(join(reports, name), 'utf8')}\n`);
rmSync(reports, { recursive: true });
if (found.length > 0) process.stderr.write(`test:sanitizers: ${found.length} reports, printed above\n`);
exit(found.length > 0 || statuses.some((status) => status !== 0) ? 1 : 0);
