#!/usr/bin/env node
// Brings a clone to the point where `npm start` and `npm test` can run. Plain JavaScript for Node >= 20, because it
// runs before anything is installed. A second run finds its stamp and returns at once.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const stampFile = join(root, 'node_modules', '.imsdc-setup');
const nodeBinary = join(root, 'node_modules', '.bin', 'node');
const started = Date.now();

/** One line on stderr: stdout belongs to the command that follows (`npm start -- --json`). */
function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}

function wantedStamp() {
  const hash = createHash('sha256');
  for (const file of ['package.json', 'package-lock.json']) hash.update(readFileSync(join(root, file)));
  return hash.digest('hex');
}

/** The Node.js that npm scripts run on; undefined when its install script did not run. */
function pinnedNodeVersion() {
  if (!existsSync(nodeBinary)) return undefined;
  try {
    return execFileSync(nodeBinary, ['--version'], { encoding: 'utf8' }).trim();
  } catch (error) {
    return fail(`the pinned Node.js cannot run here (${error.message.split('\n')[0]}); see README.md, "Requirements"`);
  }
}

function installPackages() {
  say('installing npm packages (npm ci), about 20 s the first time ...');
  // stdout of npm goes to our stderr: `--json` on the command line must leave stdout to the result.
  const result = spawnSync('npm', ['ci', '--no-fund', '--no-audit'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  if (result.error) fail(`npm could not be started: ${result.error.message}`);
  if (result.status !== 0) fail(`npm ci failed with status ${result.status}; its messages stand above`);
}

const [major] = process.versions.node.split('.').map(Number);
if (major < 20) fail(`Node.js ${process.versions.node} is too old to set up imsdc; 20 or newer is needed`);

const stamp = wantedStamp();
if (!existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== stamp) {
  installPackages();
  const version = pinnedNodeVersion();
  if (!version) {
    fail(
      'the npm package "node" has not brought Node.js 24: its install script did not run. ' +
        'Install scripts seem to be disabled (npm config get ignore-scripts); allow them for this clone with ' +
        '"npm config set ignore-scripts false --location=project" or run "npm rebuild node", then start again.',
    );
  }
  writeFileSync(stampFile, stamp);
  say(`npm packages and Node.js ${version} are in place (${((Date.now() - started) / 1000).toFixed(1)} s)`);
} else if (!pinnedNodeVersion()?.startsWith('v24.')) {
  fail('node_modules has lost its Node.js 24; delete node_modules and start again');
}

const native = join(root, 'scripts', 'build-native.mjs');
if (existsSync(native) && process.env.IMSDC_NO_NATIVE !== '1') {
  const { buildNative } = await import(native);
  await buildNative({ root, say });
}
