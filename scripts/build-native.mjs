#!/usr/bin/env node
// Builds the native media worker (native/) into native/build/. Plain JavaScript for Node >= 20, because set-up runs it
// before anything else works. Without a compiler it says what is missing and changes nothing: the MF then starts on the
// embedded engine. Up to date (same sources, same tools): returns at once.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, freemem } from 'node:os';
import { dirname, join } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';

const PACKAGES = ['g++', 'cmake', 'make', 'libssl-dev', 'libusrsctp-dev'];
const WORKER = 'imsdc-media-worker';
/** A compiler process of this code base takes about so much. */
const BYTES_PER_JOB = 700e6;

/** Names relative to the root of everything that goes into the binary. */
function sources(root) {
  const native = ['addon', 'src'].flatMap((folder) =>
    readdirSync(join(root, 'native', folder)).map((name) => `native/${folder}/${name}`),
  );
  return [
    'native/CMakeLists.txt',
    ...native.sort(),
    'scripts/generate-worker-header.mjs',
    'src/mf/worker/fields.ts',
    'src/mf/worker/protocol.ts',
  ];
}

function stampOf(root) {
  const hash = createHash('sha256');
  for (const name of sources(root))
    hash
      .update(name)
      .update('\0')
      .update(readFileSync(join(root, name)));
  return hash.digest('hex');
}

function run(file, args, options = {}) {
  return spawnSync(file, args, { encoding: 'utf8', maxBuffer: 64e6, ...options });
}

const works = (file, ...args) => run(file, args).status === 0;

/** What stands between us and a build; empty: nothing. */
function missing() {
  const lacking = [];
  const compiler = process.env.CXX ?? 'c++';
  if (!works(compiler, '--version')) lacking.push('a C++20 compiler (g++ >= 10 or clang >= 12)');
  if (!works('cmake', '--version')) lacking.push('cmake >= 3.18');
  if (lacking.length > 0) return lacking;
  const finds = (header) =>
    run(compiler, ['-x', 'c++', '-E', '-'], { input: `#include <${header}>\n`, stdio: ['pipe', 'ignore', 'ignore'] })
      .status === 0;
  if (!finds('openssl/ssl.h')) lacking.push('OpenSSL 3 headers (libssl-dev)');
  if (!finds('usrsctp.h')) lacking.push('usrsctp headers (libusrsctp-dev)');
  return lacking;
}

/** Root on Debian or Ubuntu may install; IMSDC_NO_APT=1 forbids. */
function installPackages(say) {
  const mayInstall =
    process.platform === 'linux' &&
    process.getuid?.() === 0 &&
    process.env.IMSDC_NO_APT !== '1' &&
    existsSync('/etc/debian_version') &&
    works('apt-get', '--version');
  if (!mayInstall) return;
  say(`installing ${PACKAGES.join(' ')} with apt-get (IMSDC_NO_APT=1 forbids it) ...`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const install = () => run('apt-get', ['install', '-y', '--no-install-recommends', ...PACKAGES], { env });
  if (install().status === 0) return;
  run('apt-get', ['update'], { env });
  const result = install();
  if (result.status !== 0) say(`apt-get failed: ${(result.stderr ?? '').trim().split('\n').at(-1)}`);
}

function tail(result) {
  return `${result.stdout ?? ''}${result.stderr ?? ''}`.trim().split('\n').slice(-15).join('\n');
}

/** CMake refuses a build folder that was configured for another path: the clone has been moved or copied. */
function dropForeignCache(root, build) {
  const cache = join(build, 'CMakeCache.txt');
  if (!existsSync(cache)) return;
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cache, 'utf8'))?.[1];
  if (home !== join(root, 'native')) rmSync(build, { recursive: true });
}

/**
 * Runs `body` with a `run` whose commands hold the lock of a build folder, so that two builds at the same moment (a test
 * run beside a bench, two shells) wait for each other instead of overwriting each other's files. flock(1) is part of
 * util-linux; the kernel frees the lock when its holder ends, however it ends. Without flock: no lock.
 *
 * @template Result
 * @param {string} build the folder; made when absent
 * @param {(run: (file: string, args: string[], options?: object) => import('node:child_process').SpawnSyncReturns<string>) => Result} body
 * @returns {Result}
 */
export function withBuildLock(build, body) {
  mkdirSync(build, { recursive: true });
  const lockFile = join(build, '.lock');
  if (!works('flock', '--version')) return body(run);
  return body((file, args, options) => run('flock', [lockFile, file, ...args], options));
}

/**
 * Builds when needed. Returns the path of the worker, or undefined with the reason said.
 *
 * @param {{ root: string, say: (text: string) => void }} options
 * @returns {Promise<string | undefined>}
 */
export async function buildNative({ root, say }) {
  const build = join(root, 'native', 'build');
  const stampFile = join(build, 'stamp');
  const worker = join(build, WORKER);
  const stamp = stampOf(root);
  if (existsSync(worker) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return worker;
  if (process.platform !== 'linux') {
    say('the native media worker needs Linux; the embedded engine is used');
    return undefined;
  }
  if (missing().length > 0) installPackages(say);
  const lacking = missing();
  if (lacking.length > 0) {
    say(`the native media worker is not built, the embedded engine is used; missing: ${lacking.join(', ')}`);
    return undefined;
  }
  const started = Date.now();
  say('building the native media worker, about a minute the first time ...');
  const node = join(root, 'node_modules', '.bin', 'node');
  const generator = works('ninja', '--version') && !existsSync(join(build, 'Makefile')) ? ['-G', 'Ninja'] : [];
  dropForeignCache(root, build);
  const jobs = Math.max(1, Math.min(availableParallelism(), Math.floor(freemem() / BYTES_PER_JOB)));
  const result = withBuildLock(build, (locked) => {
    const configured = locked('cmake', [
      ...['-S', join(root, 'native'), '-B', build, '-DIMSDC_TESTS=OFF', '-DCMAKE_BUILD_TYPE=RelWithDebInfo'],
      ...(existsSync(node) ? [`-DIMSDC_NODE=${node}`] : []),
      ...(existsSync(join(build, 'CMakeCache.txt')) ? [] : generator),
    ]);
    if (configured.status !== 0) return configured;
    return locked('cmake', ['--build', build, '--target', WORKER, '-j', String(jobs)]);
  });
  if (result.status !== 0) {
    say(`the native media worker could not be built, the embedded engine is used:\n${tail(result)}`);
    return undefined;
  }
  writeFileSync(stampFile, stamp);
  say(`the native media worker is built (${((Date.now() - started) / 1000).toFixed(0)} s)`);
  return worker;
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const root = join(dirname(fileURLToPath(import.meta.url)), '..');
  const worker = await buildNative({ root, say: (text) => process.stderr.write(`setup: ${text}\n`) });
  if (!worker) process.exitCode = 1;
}
