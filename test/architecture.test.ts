import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';

/**
 * The architecture, as a table: what each room may import of the others. A room is the longest prefix below `src/`
 * that stands here. Everything may import `base` (its pure files), `errors.ts` and itself.
 */
const ROOMS: Record<string, { pure?: boolean; may: string[] }> = {
  base: { may: [] },
  config: { may: ['ims-as/config', 'dcsf/config', 'dcar/config', 'mf/config', 'sbi/tls', 'store/config'] },
  sip: { pure: true, may: [] },
  'sip/transport': { may: ['sip', 'stun'] },
  dispatch: { may: ['sip', 'sip/transport'] },
  sdp: { pure: true, may: ['services', 'dtls'] },
  dtls: { pure: true, may: [] },
  'channel-http': { pure: true, may: [] },
  stun: { may: [] },
  sbi: { may: [] },
  services: { may: ['sbi', 'dtls'] },
  'ims-as': { may: ['sip', 'sip/transport', 'sdp', 'dtls', 'services', 'sbi', 'store'] },
  'ims-as/call': { pure: true, may: ['sip', 'sdp', 'dtls', 'services', 'ims-as/b2bua', 'ims-as/media'] },
  'ims-as/b2bua': { pure: true, may: ['sip', 'sdp', 'services', 'ims-as/call'] },
  'ims-as/media': { pure: true, may: ['sip', 'sdp', 'dtls', 'services', 'ims-as/call'] },
  dcsf: { may: ['services', 'sbi', 'store', 'dtls'] },
  'dcsf/decide': { pure: true, may: ['services', 'dcsf'] },
  dcar: { may: ['services', 'sbi', 'store'] },
  store: { may: [] },
  ndc: { may: ['stun', 'sdp', 'dtls'] },
  mf: { may: ['services', 'sbi', 'sdp', 'dtls', 'channel-http', 'stun'] },
  'mf/engine': { may: ['mf/worker', 'dtls', 'sdp'] },
  'mf/worker': { may: ['ndc', 'stun', 'mf/engine'] },
  'dc-as': { may: ['services', 'sbi', 'dtls', 'mf/engine', 'mf/ports'] },
  ue: { may: ['sip', 'sip/transport', 'sdp', 'dtls', 'channel-http', 'ndc'] },
  lab: { may: ['sip', 'sip/transport', 'sdp', 'dtls', 'ue', 'config', 'services', 'cli', 'dcar'] },
  pki: { may: [] },
  cli: { may: ['*'] },
};

/** Modules of Node, and globals, that a pure room must not touch: the edge brings time, chance and sockets. */
const IMPURE =
  /\bfrom 'node:|\bimport\('node:|\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bsetTimeout\(|\bsetInterval\(|\bprocess\./;
/** Files of `base` that pure rooms may use: types and string storage, nothing that reaches out. */
const PURE_BASE = ['dictionary.ts', 'environment.ts', 'owned.ts', 'emitter.ts', 'same.ts'];

const src = resolve(import.meta.dirname, '../src');
const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.replaceAll('\\', '/'));

function roomOf(path: string): string {
  const known = Object.keys(ROOMS)
    .filter((room) => path === room || path.startsWith(`${room}/`))
    .sort((a, b) => b.length - a.length)[0];
  return known ?? (path.includes('/') ? `unknown room of ${path}` : 'root');
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(src, file), 'utf8');
  return [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map((match) =>
    relative(src, resolve(src, dirname(file), match[1]!)).replaceAll('\\', '/'),
  );
}

/** A `may` entry names a room, or one file of it without `.ts` ('mf/config'). */
function allowed(from: string, target: string): boolean {
  const to = roomOf(target);
  if (to === 'root' || from === 'root' || to === from || to.startsWith(`${from}/`) || to === 'base') return true;
  const may = ROOMS[from]!.may;
  return may.some((entry) => entry === '*' || entry === to || `${entry}.ts` === target || to.startsWith(`${entry}/`));
}

test('every import goes along an edge of the table', () => {
  const wrong = files.flatMap((file) =>
    importsOf(file)
      .filter((target) => !allowed(roomOf(file), target))
      .map((target) => `${file} imports ${target}`),
  );
  assert.deepEqual(wrong, []);
});

test('every file stands in a room of the table', () => {
  assert.deepEqual(
    files.filter((file) => roomOf(file).startsWith('unknown')),
    [],
  );
});

test('docs/architecture.md names every room, and none that is not there', () => {
  const text = readFileSync(resolve(src, '../docs/architecture.md'), 'utf8');
  const table = /^\| room \|[\s\S]*?\n\n/m.exec(text)![0];
  const named = [...table.matchAll(/^\| (`[^|]+`) \|/gm)].flatMap(([, cell]) =>
    [...cell!.matchAll(/`([^`]+)\/`/g)].map(([, room]) => room!),
  );
  const rooms = Object.keys(ROOMS).filter((room) => !room.includes('/'));
  assert.deepEqual(named.toSorted(), rooms.toSorted());
});

test('pure rooms reach for no clock, chance, socket or process', () => {
  const wrong = files
    .filter((file) => ROOMS[roomOf(file)]?.pure)
    .flatMap((file) => {
      const text = readFileSync(join(src, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
      const impure = IMPURE.exec(text)?.[0];
      const base = importsOf(file).find((target) => target.startsWith('base/') && !PURE_BASE.includes(target.slice(5)));
      return [impure, base].filter((found) => found !== undefined).map((found) => `${file}: ${found}`);
    });
  assert.deepEqual(wrong, []);
});

test('ims-as, dcsf, dcar and mf never import each other', () => {
  const functions = ['ims-as', 'dcsf', 'dcar', 'mf'];
  const wrong = files.flatMap((file) => {
    const own = functions.find((name) => file.startsWith(`${name}/`));
    return importsOf(file)
      .filter((target) => own && functions.some((name) => name !== own && target.startsWith(`${name}/`)))
      .map((target) => `${file} imports ${target}`);
  });
  assert.deepEqual(wrong, []);
});
