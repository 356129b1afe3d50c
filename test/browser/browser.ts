import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';

/** The full browser, as Debian packages it. */
const CHROMIUM = process.env.IMSDC_CHROMIUM ?? '/usr/bin/chromium';
export const browserMissing = existsSync(CHROMIUM) ? false : `there is no Chromium at ${CHROMIUM}`;

/** Quiet on a closed network; WebRTC as everybody has it, with its candidates hidden behind mDNS names. */
const ARGS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--allow-loopback-in-peer-connection',
];

const SCRIPT = readFileSync(join(import.meta.dirname, 'page.js'));
const PAGE = '<!doctype html><meta charset="utf-8"><title>UE</title><script src="/page.js"></script>';

/** One browser with one page, served on loopback: http://127.0.0.1 is a secure context. */
export interface BrowserPage extends AsyncDisposable {
  readonly page: Page;
}

/** `microphone`: Chromium then names its real addresses as candidates; without, only mDNS names. */
export async function openPage(options: { microphone?: boolean } = {}): Promise<BrowserPage> {
  const server = createServer((request, response) => {
    const script = request.url === '/page.js';
    response.setHeader('Content-Type', script ? 'text/javascript' : 'text/html').end(script ? SCRIPT : PAGE);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  let browser: Browser | undefined;
  const close = async () => {
    await browser?.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  try {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGS });
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const context = await browser.newContext();
    if (options.microphone) await context.grantPermissions(['microphone'], { origin });
    const page = await context.newPage();
    await page.goto(origin);
    return { page, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}
