import { MENU_APPLICATION } from '../config-file.ts';
import { expect, expectEqual } from '../expect.ts';
import { statusOf, type World } from '../world.ts';
import type { Step } from './step.ts';

/** Free beside those of the other applications. */
const STREAM = 1020;
const TAPS = ['bill', 'explain'] as const;

interface Page {
  readonly page: string;
  readonly title: string;
}

/** P2A (23.228 AC.7.2.2): the channel ends at a server of the network, and the other UE never hears of it. */
export const applicationServer: Step = {
  id: 'application-server',
  title: `Customer-service menu ${MENU_APPLICATION} on stream ${STREAM} (P2A): DTLS ends at the MF, a WebSocket (MDC2) goes on to the DC AS`,
  run: async (world) => {
    const opened = await world.alice.run(`open ${MENU_APPLICATION} --endpoint server --stream ${STREAM} --name menu`);
    const pages = [await pageFrom(world)];
    for (const key of TAPS) {
      const { at } = await world.alice.run(`send ${STREAM} '{"tap":"${key}"}'`);
      arrow(world, at, 'out', `{"tap":"${key}"}`);
      pages.push(await pageFrom(world));
    }
    expectEqual(
      pages.map(({ page }) => page),
      ['', ...TAPS],
      'pages of the menu',
    );
    const { mdc2Channels } = await statusOf(world.admin.mf);
    expectEqual(mdc2Channels, 1, 'channels that end at DC ASs');
    const { calls } = (await world.bob.run('status')) as unknown as {
      calls: { lines: { streams: { streamId: number }[] }[] }[];
    };
    const atBob = calls.flatMap(({ lines }) => lines.flatMap(({ streams }) => streams));
    expect(!atBob.some(({ streamId }) => streamId === STREAM), 'P2A', 'Bob has the channel, too');
    const openMs = Math.round(opened.ms);
    const titles = pages.map(({ title }) => `"${title}"`);
    return { note: `open after ${openMs} ms; taps answered: ${titles.join(' → ')}`, details: { openMs, pages } };
  },
};

async function pageFrom(world: World): Promise<Page> {
  const { at, text } = await world.alice.run(`receive ${STREAM}`);
  const { page, title } = JSON.parse(String(text)) as Page;
  arrow(world, at, 'in', title);
  return { page, title };
}

/** Both hops at the time that Alice knows of. */
function arrow(world: World, at: number, way: 'in' | 'out', label: string): void {
  const hops = [
    ['Alice', 'MF'],
    ['MF', 'DC AS'],
  ] as const;
  const summaries = { MF: `stream ${STREAM}`, 'DC AS': 'WebSocket (MDC2)' };
  for (const [near, far] of way === 'out' ? hops : hops.toReversed()) {
    const [from, to] = way === 'out' ? [near, far] : [far, near];
    const atMs = world.trace.since(at);
    world.trace.add({ kind: 'arrow', atMs, from, to, label, summary: summaries[far], protocol: 'data channel' });
  }
}
