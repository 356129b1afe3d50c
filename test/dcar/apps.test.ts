import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { createContext, runInContext } from 'node:vm';
import { readManifest } from '../../src/dcar/package/manifest.ts';
import { packageBytes } from '../../src/dcar/package/source.ts';
import { readZip } from '../../src/dcar/package/zip-read.ts';

const APPS = resolve(import.meta.dirname, '../../apps');
const MINI_APPS = { hello: '10000001', doodle: '10000005', 'tap-menu': '10000006', root: 'root' };

describe('our mini-apps', () => {
  for (const [name, applicationId] of Object.entries(MINI_APPS)) {
    test(`${name} is a package, and loads nothing from elsewhere`, async () => {
      const files = await readZip(await packageBytes(join(APPS, name)), name);
      const manifest = readManifest(files, name);
      assert.equal(manifest.applicationId, applicationId);
      const html = files.get('index.html')!.toString();
      for (const [, target] of html.matchAll(/(?:src|href)="([^"]*)"/g)) assert.ok(files.has(target!), target);
      assert.doesNotMatch(html, /https?:\/\//);
    });
  }

  // A package holds all it needs, so that what they share stands in each.
  for (const shared of ['bridge.js', 'style.css']) {
    test(`${shared} is the same in all that have a page of their own`, () => {
      const copies = ['hello', 'doodle', 'tap-menu'].map((name) => readFileSync(join(APPS, name, shared), 'utf8'));
      assert.equal(new Set(copies).size, 1);
    });
  }
});

/** The handset's side of the bridge: records calls, answers the asynchronous ones with success. */
function handset() {
  const calls: { method: string; request: { event: string; function: string; params: Record<string, unknown> } }[] = [];
  const page: Record<string, unknown> = { TextEncoder, TextDecoder, atob, btoa, setTimeout };
  page.window = page;
  page._dsbridge = {
    call(method: string, argument: string) {
      const { data, _dscbstub } = JSON.parse(argument) as { data: string; _dscbstub?: string };
      calls.push({ method, request: method === 'async' ? JSON.parse(data) : data });
      if (_dscbstub) (page[_dscbstub] as (text: string) => void)(JSON.stringify({ code: '0', message: 'ok' }));
      return '';
    },
  };
  createContext(page);
  runInContext(readFileSync(join(APPS, 'hello/bridge.js'), 'utf8'), page);
  let serial = 0;
  const event = (method: string, value: object) =>
    (page._handleMessageFromNative as (message: object) => void)({
      method,
      callbackId: ++serial,
      data: JSON.stringify([JSON.stringify(value)]),
    });
  type Channel = { created: Promise<{ code: string }>; send(text: string): Promise<{ code: string }>; close(): void };
  const { openChannel } = page.imsdc as { openChannel(appId: string, name: string, handlers: object): Channel };
  return { calls, event, openChannel };
}

describe("the bridge, against the handset's contract", () => {
  test('opens a channel, sends base64, hears events whatever the origin in the label', async () => {
    const { calls, event, openChannel } = handset();
    const heard: string[] = [];
    const channel = openChannel('10000001', 'hello', {
      onOpen: () => heard.push('open'),
      onMessage: (text: string) => heard.push(text),
      onClose: () => heard.push('closed'),
    });
    assert.equal((await channel.created).code, '0');
    const { request } = calls.find(({ method }) => method === 'async')!;
    assert.equal(`${request.event}.${request.function}`, 'DcEvent.createAppDataChannel');
    assert.deepEqual(request.params.dcLabels, ['local_10000001_1_hello']);
    const xml = String(request.params.DataChannelAppInfoXml);
    assert.match(xml, /<DcLabel>local_10000001_1_hello<\/DcLabel>.*<UseCase>1<\/UseCase>/);
    event('dataChannelNotify', { dcLabel: 'local_10000001_1_other', imsDCStatus: 1 });
    event('dataChannelNotify', { dcLabel: 'remote_10000001_1_hello', imsDCStatus: 0 });
    event('dataChannelNotify', { dcLabel: 'remote_10000001_1_hello', imsDCStatus: 1 });
    event('messageNotify', {
      dcLabel: 'remote_10000001_1_hello',
      message: Buffer.from('grüß dich 🙂').toString('base64'),
    });
    await channel.send('你好');
    const sent = calls.at(-1)!.request.params;
    assert.deepEqual(sent, { dcLabel: 'remote_10000001_1_hello', data: Buffer.from('你好').toString('base64') });
    event('dataChannelNotify', { dcLabel: 'remote_10000001_1_hello', imsDCStatus: 3 });
    assert.deepEqual(heard, ['open', 'grüß dich 🙂', 'closed']);
    assert.equal(calls.filter(({ method }) => method === '_dsb.returnValue').length, 5, 'every event is acknowledged');
  });
});
