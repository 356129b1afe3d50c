import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { readManifest } from '../../src/dcar/package/manifest.ts';
import { packageBytes } from '../../src/dcar/package/source.ts';
import { DEFAULT_LIMITS, readZip } from '../../src/dcar/package/zip-read.ts';
import { writeZip } from '../../src/dcar/package/zip-write.ts';
import { packaged, temporaryDirectory } from './support.ts';

const member = (name: string, content = 'x') => ({ name, content: Buffer.from(content) });

/** Changes bytes of the central directory entry of `name`; `at` counts from the signature (APPNOTE 4.3.12). */
function patched(zip: Buffer, name: string, edit: (entry: Buffer) => void): Buffer {
  const copy = Buffer.from(zip);
  for (let at = copy.indexOf('PK\x01\x02', 0, 'latin1'); at >= 0; at = copy.indexOf('PK\x01\x02', at + 4, 'latin1')) {
    const nameLength = copy.readUInt16LE(at + 28);
    if (copy.toString('utf8', at + 46, at + 46 + nameLength) === name) {
      edit(copy.subarray(at));
      return copy;
    }
  }
  throw new Error(`no ${name}`);
}

describe('the ZIP writer', () => {
  test('bytes depend on the members only', () => {
    const members = [member('b', 'two'), member('a/c', 'one'.repeat(500)), member('a', '')];
    assert.deepEqual(writeZip(members), writeZip(members.toReversed()));
  });

  test('the reader gets back what was written', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(
          fc.tuple(
            fc.stringMatching(/^[a-z][a-z0-9äß]{0,8}(\/[a-z][a-z0-9]{0,8})?$/),
            fc.uint8Array({ maxLength: 300 }),
          ),
          {
            selector: ([name]) => name.normalize('NFC').toLowerCase(),
            maxLength: 8,
          },
        ),
        async (files) => {
          const zip = writeZip(files.map(([name, content]) => ({ name, content })));
          const read = await readZip(zip, 'test');
          assert.deepEqual(new Map(files.map(([name, content]) => [name, Buffer.from(content)])).size, read.size);
          for (const [name, content] of files) assert.deepEqual(read.get(name), Buffer.from(content));
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('hostile packages', () => {
  const twoFiles = writeZip([member('index.html', 'a'), member('other.html', 'b')]);
  const cases: [string, Buffer, RegExp, object?][] = [
    ['not a ZIP', Buffer.from('hello'), /not a ZIP file/],
    ['empty', Buffer.alloc(0), /not a ZIP file/],
    ['truncated', packaged().subarray(0, -30), /not a ZIP file/],
    ['parent directory', writeZip([member('../../etc/passwd')]), /invalid relative path/],
    ['parent directory inside', writeZip([member('a/../../b')]), /invalid relative path/],
    ['absolute path', writeZip([member('/etc/passwd')]), /absolute path/],
    ['drive letter', writeZip([member('C:/x')]), /absolute path|invalid/],
    ['backslash', writeZip([member('a\\b')]), /invalid characters/],
    ['line break in a name', writeZip([member('a\nb')]), /a\\nb: control characters in the name/],
    ['empty segment', writeZip([member('a//b')]), /empty or "\." path segments/],
    ['dot segment', writeZip([member('./a')]), /empty or "\." path segments/],
    ['long name', writeZip([member('a'.repeat(256))]), /longer than 255 bytes/],
    ['the same name twice', writeZip([member('a'), member('a')]), /a: is there twice/],
    ['the same name in other case', writeZip([member('A'), member('a')]), /is the same name as/],
    ['a file and a directory', writeZip([member('a'), member('a/')]), /is the same name as a/],
    [
      'symbolic link',
      patched(packaged(), 'index.html', (e) => e.writeUInt32LE((0o120777 << 16) >>> 0, 38)),
      /index\.html: is a symbolic link/,
    ],
    [
      'device',
      patched(packaged(), 'index.html', (e) => e.writeUInt32LE((0o020666 << 16) >>> 0, 38)),
      /is a special file/,
    ],
    ['encrypted', patched(packaged(), 'index.html', (e) => e.writeUInt16LE(1, 8)), /is encrypted/],
    ['unknown compression', patched(packaged(), 'index.html', (e) => e.writeUInt16LE(14, 10)), /compression method 14/],
    [
      'wrong checksum',
      patched(packaged(), 'index.html', (e) => e.writeUInt32LE(crc32('other'), 16)),
      /checksum mismatch/,
    ],
    [
      'size smaller than the truth',
      patched(packaged({}, { big: 'a'.repeat(5000) }), 'big', (e) => e.writeUInt32LE(10, 24)),
      /too many bytes/,
    ],
    [
      'size larger than the truth',
      patched(packaged({}, { big: 'a'.repeat(5000) }), 'big', (e) => e.writeUInt32LE(9000, 24)),
      /not enough bytes/,
    ],
    [
      'another name in the local header',
      patched(twoFiles, 'other.html', (e) => e.writeUInt32LE(0, 42)),
      /local header has another name/,
    ],
    ['ratio', writeZip([member('bomb', '\0'.repeat(4 << 20))]), /bomb: unpacks to more than 200 times/],
    ['packed size', packaged(), /more than the 100 allowed/, { maxPackageBytes: 100 }],
    [
      'unpacked size',
      packaged({}, { big: 'a'.repeat(5000) }),
      /unpacks to more than 4000 bytes/,
      { maxUnpackedBytes: 4000 },
    ],
    ['number of entries', packaged({}, { a: '', b: '' }), /4 entries, more than the 3 allowed/, { maxEntries: 3 }],
    ['overlapping entries', patched(twoFiles, 'other.html', (e) => e.writeUInt32LE(5000, 20)), /overlap|size mismatch/],
  ];
  for (const [name, zip, problem, limits] of cases) {
    test(`${name}: refused and named`, async () => {
      await assert.rejects(
        readZip(zip, 'upload.zip', { ...DEFAULT_LIMITS, ...limits }),
        (error: Error & { code?: string }) => {
          assert.equal(error.code, 'DCAR_PACKAGE_INVALID');
          assert.match(error.message, /^upload\.zip: /);
          assert.match(error.message, problem);
          return true;
        },
      );
    });
  }

  test('any flipped byte gives the same package or a coded error, never anything else', async () => {
    const zip = packaged({}, { 'assets/a.js': 'let a = 1;'.repeat(40) });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: zip.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        async (at, flip) => {
          const copy = Buffer.from(zip);
          copy[at]! ^= flip;
          try {
            await readZip(copy, 'x');
          } catch (error) {
            assert.equal((error as { code?: string }).code, 'DCAR_PACKAGE_INVALID', String(error));
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('manifest', () => {
  const manifestOf = async (zip: Buffer) => readManifest(await readZip(zip, 'p.zip'), 'p.zip');

  test('a package without our member gets sensible entries', async () => {
    const manifest = await manifestOf(packaged({ appId: '333', version: '1.0.8', category: 'x', priority: 3 }));
    assert.deepEqual(manifest, {
      applicationId: '333',
      version: '1.0.8',
      role: 'application',
      name: '333',
      description: '',
      icon: null,
      phase: 'INCALL',
      supportScene: 3,
      qosHint: 'loss=0.0002;latency=600',
      autolaunch: false,
      autoload: false,
      worksWithoutPeerDc: false,
      endpoint: 'UE',
      anchor: null,
      permissions: [],
    });
  });

  test('an icon of the package becomes a data: URI', async () => {
    const { icon } = await manifestOf(packaged({ imsdc: { icon: 'icon.svg' } }, { 'icon.svg': '<svg/>' }));
    assert.equal(icon, 'data:image/svg+xml;base64,PHN2Zy8+');
  });

  const text = (properties: string) => writeZip([member('index.html'), member('properties.json', properties)]);
  for (const [name, zip, problem] of [
    ['no index.html', writeZip([member('properties.json', '{}')]), /no index\.html at top level$/],
    [
      'the folder packed',
      writeZip([member('app/index.html'), member('app/properties.json')]),
      /found app\/index\.html: pack the content/,
    ],
    ['no properties.json', writeZip([member('index.html')]), /no properties\.json at top level/],
    ['not JSON', text('{"appId": }'), /properties\.json: .*JSON/],
    [
      'not UTF-8',
      writeZip([member('index.html'), { name: 'properties.json', content: Buffer.from([0xff, 0xfe]) }]),
      /properties\.json: /,
    ],
    ['no permissions', text('{"appId":"1","version":"1"}'), /must have required property 'permissions'/],
    ['wrong type', packaged({ version: 1 }), /properties\.json\/version must be string/],
    ['version not dotted', packaged({ version: '1.0-beta' }), /properties\.json\/version "1\.0-beta" is not dotted/],
    ['unknown phase', packaged({ imsdc: { phase: 'RINGING' } }), /properties\.json\/imsdc\/phase/],
    ['unknown member of ours', packaged({ imsdc: { titel: 'x' } }), /properties\.json\/imsdc must NOT have additional/],
    ['icon not there', packaged({ imsdc: { icon: 'no.png' } }), /no image no\.png in the package/],
    ['icon of another kind', packaged({ imsdc: { icon: 'index.html' } }), /no image index\.html/],
    [
      'icon too large',
      packaged({ imsdc: { icon: 'i.png' } }, { 'i.png': 'x'.repeat(40_000) }),
      /icon is larger than 32768/,
    ],
  ] as const) {
    test(`${name}: says so`, async () => {
      await assert.rejects(manifestOf(zip), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'DCAR_PACKAGE_INVALID');
        assert.match(error.message, problem);
        return true;
      });
    });
  }

  for (const appId of ['a_b', 'a b', '../x', 'ä', '-a', 'a/b']) {
    test(`application id ${appId}`, async () => {
      await assert.rejects(manifestOf(packaged({ appId })), { code: 'DCAR_APPLICATION_ID' });
    });
  }
});

describe('packing a folder', () => {
  test('is the same bytes each time, without dot files', async (t) => {
    const folder = temporaryDirectory(t);
    mkdirSync(join(folder, 'assets'));
    mkdirSync(join(folder, '.git'));
    writeFileSync(join(folder, 'index.html'), 'x');
    writeFileSync(join(folder, 'assets/a.js'), 'y');
    writeFileSync(join(folder, '.git/config'), 'z');
    const zip = await packageBytes(folder);
    assert.deepEqual([...(await readZip(zip, 'x')).keys()], ['assets/a.js', 'index.html']);
    assert.deepEqual(await packageBytes(folder), zip);
  });

  test('links, too much, and nothing at all are refused', async (t) => {
    const folder = temporaryDirectory(t);
    symlinkSync('/etc/passwd', join(folder, 'link'));
    await assert.rejects(packageBytes(folder), /link is a symbolic link/);
    await assert.rejects(packageBytes(join(folder, 'none')), /no such file or folder/);
    const full = temporaryDirectory(t);
    for (const name of 'abc') writeFileSync(join(full, name), '12345');
    await assert.rejects(packageBytes(full, { ...DEFAULT_LIMITS, maxEntries: 2 }), /more than 2 files/);
    await assert.rejects(packageBytes(full, { ...DEFAULT_LIMITS, maxUnpackedBytes: 12 }), /more than 12 bytes/);
    await assert.rejects(packageBytes('/dev/null'), /neither a ZIP file nor a folder/);
  });
});
