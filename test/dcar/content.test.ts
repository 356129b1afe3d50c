import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, type TestContext, test } from 'node:test';
import { compareVersions } from '../../src/dcar/package/version.ts';
import type { Grant } from '../../src/services/ndcar.ts';
import { client, exchange, grant, packaged, started } from './support.ts';

const DOODLE = packaged({
  appId: '10000005',
  version: '1.0.8',
  imsdc: { name: 'Doodle', qosHint: 'loss=0.01;latency=100', description: 'Draw <together>' },
});
const MENU = packaged({
  appId: '10000006',
  version: '2.1',
  imsdc: { name: 'Menu', phase: 'PRECALL', supportScene: 1 },
});
const ROOT = packaged({ appId: 'root', version: '7', imsdc: { role: 'root' } });

/** The repository process with three packages, and `path` for a granted token. */
async function lab(t: TestContext) {
  const dcar = await started(t);
  for (const [name, zip] of Object.entries({ DOODLE, MENU, ROOT })) await dcar.repository.add(zip, name);
  const grants = client(t, dcar.internalAddress);
  const granted = async (more: Partial<Grant> = {}) => {
    const one = grant(more);
    grants.grant([one]);
    await grants.flushed();
    return `/bdc/v1/${one.token}/`;
  };
  const get = (request: string) => exchange(dcar.address, request);
  return { dcar, grants, granted, get };
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('base64');

describe('China Telecom handsets', () => {
  // conformance: TS 26.114 6.2.10.1 — HTTP without Host; the list of deployed handsets (ue-side.md 6.2)
  test('the list, from a request without a single header', async (t) => {
    const { granted, get } = await lab(t);
    const base = await granted();
    const response = await get(`GET ${base}applicationlist?begin-index=0&app-num=100&sdkVersion=1.1 HTTP/1.1\r\n\r\n`);
    assert.equal(response.status, 200);
    assert.deepEqual(JSON.parse(response.body.toString()), {
      appNum: 2,
      beginIndex: 0,
      totalAppNum: 2,
      ifPeerSupportDC: true,
      applications: [
        {
          appid: '10000005',
          appName: 'Doodle',
          appIcon: null,
          autolaunch: false,
          autoload: false,
          etag: '1.0.8',
          ifWorkWithoutPeerDC: false,
          phase: 'INCALL',
          'qos-hint': 'loss=0.01;latency=100',
          supportScene: 3,
        },
        {
          appid: '10000006',
          appName: 'Menu',
          appIcon: null,
          autolaunch: false,
          autoload: false,
          etag: '2.1',
          ifWorkWithoutPeerDC: false,
          phase: 'PRECALL',
          'qos-hint': 'loss=0.0002;latency=600',
          supportScene: 1,
        },
      ],
    });
    assert.equal(response.headers.get('transfer-encoding'), undefined);
  });

  // conformance: miniapp-runtime 1.4, 7 — ETag is the bare dotted version of the list, and no 304, on /applications
  test('the package: bare version as ETag, hash-equal, and never 304', async (t) => {
    const { granted, get } = await lab(t);
    const base = await granted();
    for (const conditional of ['', 'If-None-Match: 1.0.8\r\n']) {
      const response = await get(
        `GET ${base}applications?appid=10000005&sdkVersion=1.1 HTTP/1.1\r\n${conditional}\r\n`,
      );
      assert.equal(response.status, 200);
      assert.equal(response.headers.get('etag'), '1.0.8');
      assert.equal(response.headers.get('content-type'), 'application/zip');
      assert.equal(sha256(response.body), sha256(DOODLE));
      assert.equal(response.headers.get('repr-digest'), `sha-256=:${sha256(DOODLE)}:`);
      // conformance: ue-side.md 6.3 — the header block fits the first message of a UE that takes 1,024 bytes
      assert.ok(response.headerBytes < 800, `${response.headerBytes} bytes of header`);
    }
  });

  // conformance: miniapp-runtime 2.1, 2.2 — begin-index and app-num, every key in every entry
  test('paging', async (t) => {
    const { granted, get } = await lab(t);
    const base = await granted();
    const page = async (query: string) =>
      JSON.parse((await get(`GET ${base}applicationlist?${query} HTTP/1.1\r\n\r\n`)).body.toString());
    const second = await page('begin-index=1&app-num=1');
    assert.deepEqual([second.appNum, second.beginIndex, second.totalAppNum], [1, 1, 2]);
    assert.equal(second.applications[0].appid, '10000006');
    assert.deepEqual((await page('begin-index=5&app-num=100')).applications, []);
    assert.equal((await page('begin-index=&app-num=')).appNum, 2);
    assert.equal((await page('app-num=0')).appNum, 0);
    const wrong = await get(`GET ${base}applicationlist?begin-index=-1 HTTP/1.1\r\n\r\n`);
    assert.equal(wrong.status, 400);
    assert.match(wrong.body.toString(), /begin-index/);
  });
});

describe('China Mobile handsets', () => {
  // conformance: miniapp-runtime 2.3, 7 — the root mini-app at /, 304 where its handsets take it
  test('the root mini-app with ETag, and 304', async (t) => {
    const { granted, get } = await lab(t);
    const base = await granted();
    const query = '?Terminal_Vendor=X&Terminal_Model=Y';
    const first = await get(`GET ${base}${query} HTTP/1.1\r\nIf-None-Match:\r\n\r\n`);
    assert.equal(first.status, 200);
    assert.equal(sha256(first.body), sha256(ROOT));
    const etag = first.headers.get('etag')!;
    assert.equal(etag, '"7"');
    const again = await get(`GET ${base}${query} HTTP/1.1\r\nIf-None-Match:${etag}\r\n\r\n`);
    assert.equal(again.status, 304);
    assert.equal(again.headers.get('etag'), etag);
  });

  test('without the terminal query, an empty If-None-Match tells', async (t) => {
    const { granted, get } = await lab(t);
    const response = await get(`GET ${await granted()} HTTP/1.1\r\nIf-None-Match:\r\n\r\n`);
    assert.equal(response.headers.get('content-type'), 'application/zip');
  });

  test('without a published root mini-app: 404', async (t) => {
    const { dcar, granted, get } = await lab(t);
    await dcar.repository.remove('root');
    const response = await get(`GET ${await granted()}?Terminal_Vendor=X HTTP/1.1\r\n\r\n`);
    assert.equal(response.status, 404);
  });

  test('packages keep their ETag quoted and are never 304', async (t) => {
    const { granted, get } = await lab(t);
    const base = await granted({ profile: 'china-mobile' });
    const response = await get(`GET ${base}applications?appid=10000005 HTTP/1.1\r\nIf-None-Match:"1.0.8"\r\n\r\n`);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('etag'), '"1.0.8"');
  });
});

describe('browser-like UEs', () => {
  const BROWSER = 'Host: x\r\nAccept: text/html\r\nUser-Agent: imsdc\r\n';
  test('a page that loads nothing and escapes what people wrote', async (t) => {
    const { granted, get } = await lab(t);
    const base = await granted();
    const response = await get(`GET ${base} HTTP/1.1\r\n${BROWSER}\r\n`);
    const html = response.body.toString();
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type')!, /^text\/html/);
    assert.match(response.headers.get('content-security-policy')!, /^default-src 'none'; style-src 'sha256-/);
    assert.match(html, /<a href="applications\?appid=10000005">/);
    assert.match(html, /Draw &#60;together&#62;/);
    assert.ok(response.headerBytes < 800);
    const style = /<style>(.*?)<\/style>/s.exec(html)![1]!;
    assert.ok(response.headers.get('content-security-policy')!.includes(sha256(Buffer.from(style))));
    const again = await get(`GET ${base} HTTP/1.1\r\n${BROWSER}If-None-Match: ${response.headers.get('etag')}\r\n\r\n`);
    assert.equal(again.status, 304);
  });

  test('packages: quoted ETag and 304', async (t) => {
    const { granted, get } = await lab(t);
    const base = await granted();
    const first = await get(`GET ${base}applications?appid=10000006 HTTP/1.1\r\n${BROWSER}\r\n`);
    assert.equal(first.headers.get('etag'), '"2.1"');
    const tags = ['"2.1"', 'W/"2.1"', '"1", "2.1"', '*'];
    for (const tag of tags) {
      const again = await get(
        `GET ${base}applications?appid=10000006 HTTP/1.1\r\n${BROWSER}If-None-Match: ${tag}\r\n\r\n`,
      );
      assert.equal(again.status, 304, tag);
    }
  });

  test('HEAD says what GET would, without the body', async (t) => {
    const { granted, get } = await lab(t);
    const response = await get(`HEAD ${await granted()}applications?appid=10000005&sdkVersion=1 HTTP/1.1\r\n\r\n`);
    assert.equal(response.status, 200);
    assert.equal(Number(response.headers.get('content-length')), DOODLE.length);
  });
});

describe('tokens', () => {
  // conformance: R27 — the token alone says who asks; unknown, expired and revoked tokens tell nothing
  test('unknown, expired, revoked and malformed are one answer, for every method and path', async (t) => {
    const { grants, granted, get } = await lab(t);
    const revoked = await granted();
    grants.revoke([revoked.split('/')[3]!]);
    await grants.flushed();
    const expired = await granted({ expiresAtMs: Date.now() + 200 });
    assert.equal((await get(`GET ${expired}applicationlist HTTP/1.1\r\n\r\n`)).status, 200);
    const answers = new Set<string>();
    // Waits for the clock to pass the expiry, by asking.
    while ((await get(`GET ${expired}applicationlist HTTP/1.1\r\n\r\n`)).status === 200);
    for (const base of [revoked, expired, `/bdc/v1/${'0'.repeat(32)}/`, '/bdc/v1/short/', '/bdc/v1/', '/', '/%']) {
      for (const method of ['GET', 'POST', 'DELETE']) {
        for (const path of ['', 'applicationlist', 'applications?appid=10000005', 'nothing']) {
          const { status, headers, body } = await get(`${method} ${base}${path} HTTP/1.1\r\nContent-Length: 0\r\n\r\n`);
          const told = [...headers].filter(([name]) => !['date', 'connection', 'keep-alive'].includes(name));
          answers.add(JSON.stringify([status, told, body.toString()]));
        }
      }
    }
    assert.deepEqual([...answers], ['[404,[["content-length","0"]],""]']);
  });

  test('each token shows what its owner may have', async (t) => {
    const { granted, get } = await lab(t);
    const alice = await granted({ applications: ['10000005'] });
    const bob = await granted({ applications: ['10000006'], network: 'remote', streamId: 100, peerSupportsDc: false });
    const list = async (base: string) =>
      JSON.parse((await get(`GET ${base}applicationlist HTTP/1.1\r\n\r\n`)).body.toString());
    assert.deepEqual(
      (await list(alice)).applications.map((one: { appid: string }) => one.appid),
      ['10000005'],
    );
    assert.deepEqual(
      (await list(bob)).applications.map((one: { appid: string }) => one.appid),
      ['10000006'],
    );
    assert.equal((await list(bob)).ifPeerSupportDC, false);
    assert.equal((await get(`GET ${alice}applications?appid=10000006&sdkVersion=1 HTTP/1.1\r\n\r\n`)).status, 404);
    assert.equal((await get(`GET ${bob}applications?appid=10000006&sdkVersion=1 HTTP/1.1\r\n\r\n`)).status, 200);
    assert.ok(!(await get(`GET ${alice} HTTP/1.1\r\nAccept: text/html\r\n\r\n`)).body.includes('Menu'));
    assert.match((await get(`GET ${bob} HTTP/1.1\r\nAccept: text/html\r\n\r\n`)).body.toString(), /other side/);
  });

  test('other methods and paths under a good token', async (t) => {
    const { granted, get } = await lab(t);
    const base = await granted();
    const post = await get(`POST ${base}applicationlist HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc`);
    assert.equal(post.status, 405);
    assert.equal(post.headers.get('allow'), 'GET, HEAD');
    for (const path of ['..', '../', 'applicationlist/', 'constructor', '%61pplicationlist', '/', '?'.repeat(3)]) {
      const { status } = await get(`GET ${base}${path} HTTP/1.1\r\n\r\n`);
      assert.equal(status, path.startsWith('?') ? 200 : 404, path);
    }
    assert.equal((await get(`GET ${base}applications HTTP/1.1\r\n\r\n`)).status, 400);
    assert.equal(
      (await get(`GET ${base}applications?appid=root HTTP/1.1\r\n\r\n`)).status,
      404,
      'a root is no application',
    );
  });

  test('the header of a UE says nothing about who it is', async (t) => {
    const { granted, get } = await lab(t);
    const base = await granted({ applications: [] });
    const spoof = 'P-Asserted-Identity: sip:root@ims.example\r\nX-User: admin\r\nAuthorization: Bearer x\r\n';
    const response = await get(`GET ${base}applicationlist HTTP/1.1\r\n${spoof}\r\n`);
    assert.equal(JSON.parse(response.body.toString()).totalAppNum, 0);
  });

  test('a request target is bounded', async (t) => {
    const { granted, get } = await lab(t);
    const base = await granted();
    assert.equal((await get(`GET ${base}${'a'.repeat(20_000)} HTTP/1.1\r\n\r\n`)).status, 431);
  });
});

test('versions compare number by number', () => {
  const sorted = ['1.0.10', '1.0.9', '1.0', '2', '1.0.0.1', '0.9'].sort(compareVersions);
  assert.deepEqual(sorted, ['0.9', '1.0', '1.0.0.1', '1.0.9', '1.0.10', '2']);
});
