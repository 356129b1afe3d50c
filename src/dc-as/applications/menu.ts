import type { DcAsChannel } from '../library/index.ts';

interface Page {
  readonly title: string;
  readonly items: Readonly<Record<string, string>>;
}

/** A customer service as pages of choices; the last path element names the page. */
const PAGES: Readonly<Record<string, Page>> = {
  '': { title: 'How can we help?', items: { bill: 'My bill', roaming: 'Roaming', agent: 'Talk to a person' } },
  bill: { title: 'Your last bill: 24.90', items: { explain: 'Explain it', '': 'Back' } },
  explain: { title: 'Flat rate 19.90, roaming 5.00', items: { '': 'Back' } },
  roaming: { title: 'Roaming is on in 42 countries', items: { off: 'Switch it off', '': 'Back' } },
  off: { title: 'Roaming is off now', items: { '': 'Back' } },
  agent: { title: 'Somebody will be with you in 2 minutes', items: { '': 'Never mind' } },
};

/**
 * The customer-service menu (P2A, or A2P when the service calls): shows a page at once, and another one for each tap.
 * Text messages, JSON: `{page, title, items}` to the UE, `{tap: <key>}` or `{bye: true}` from it.
 */
export async function menu(channel: DcAsChannel): Promise<void> {
  await show(channel, '');
  for await (const message of channel) {
    const { bye, tap } = read(message);
    if (bye) return;
    await show(channel, tap !== undefined && Object.hasOwn(PAGES, tap) ? tap : '');
  }
}

async function show(channel: DcAsChannel, page: string): Promise<void> {
  await channel.send(JSON.stringify({ page, ...PAGES[page] }));
}

/** What comes from a UE is anybody's: what is no tap shows the first page again. */
function read(message: string | Uint8Array): { bye: boolean; tap: string | undefined } {
  try {
    const { bye, tap } = Object(JSON.parse(String(message))) as { bye?: unknown; tap?: unknown };
    return { bye: bye === true, tap: typeof tap === 'string' ? tap : undefined };
  } catch {
    return { bye: false, tap: undefined };
  }
}
