import { execFileSync, spawnSync } from 'node:child_process';
import { after, test } from 'node:test';
import type { EngineClient } from '../../src/mf/engine/client.ts';
import { remoteOf, startEngine, stateOf, stream, workerMissing } from './rig.ts';
import { transferOverRelay } from './transfer.ts';

/**
 * A relay between two network namespaces whose link loses, delays and reorders (tc netem, both directions). Needs root.
 * IMSDC_NETEM=1 runs the full sizes; without it a short one shows that the rig and the recovery work.
 */
const names = [`imsdc-ue-${process.pid}`, `imsdc-mf-${process.pid}`] as const;
const addresses = ['198.51.100.1', '198.51.100.2'] as const;
const devices = [`iu${process.pid}`, `im${process.pid}`] as const;
const full = process.env.IMSDC_NETEM === '1';
const mayUse = process.getuid?.() === 0 && spawnSync('ip', ['netns', 'list']).status === 0;
const skip = workerMissing || (mayUse ? false : 'network namespaces need root and iproute2');
const engines: EngineClient[] = [];

const run = (...args: string[]) => execFileSync(args[0]!, args.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] });

function removeNamespaces(): void {
  for (const name of names) spawnSync('ip', ['netns', 'del', name]);
}

function makeNamespaces(): void {
  for (const name of names) run('ip', 'netns', 'add', name);
  run(
    'ip',
    'link',
    'add',
    devices[0],
    'netns',
    names[0],
    'type',
    'veth',
    'peer',
    'name',
    devices[1],
    'netns',
    names[1],
  );
  for (const index of [0, 1] as const) {
    const inside = ['ip', '-n', names[index]];
    run(...inside, 'addr', 'add', `${addresses[index]}/24`, 'dev', devices[index]);
    run(...inside, 'link', 'set', devices[index], 'up');
  }
}

/** Some kernels come without the netem module; `weather.test.ts` covers the same with a proxy. */
function kernelHasNetem(): boolean {
  const add = ['netns', 'exec', names[0], 'tc', 'qdisc', 'replace', 'dev', devices[0], 'root', 'netem', 'delay', '1ms'];
  return spawnSync('ip', add).status === 0;
}

function weather(...netem: string[]): void {
  for (const index of [0, 1] as const) {
    const device = ['dev', devices[index], 'root', 'netem'];
    run('ip', 'netns', 'exec', names[index], 'tc', 'qdisc', 'replace', ...device, ...netem, 'limit', '100000');
  }
}

after(async () => {
  await Promise.all(engines.map((engine) => engine.close()));
  removeNamespaces();
});

async function connect(ue: EngineClient, mf: EngineClient, key: string): Promise<void> {
  const [mfLocal, ueLocal] = [
    await mf.reserve(key, 'call', { bindAddress: addresses[1], port: 0, ice: false }),
    await ue.reserve(key, key, { bindAddress: addresses[0], port: 0, ice: false }),
  ];
  for (const engine of [mf, ue]) await engine.setStreams(key, [stream(0)]);
  const both = Promise.all([stateOf(mf, key, 'connected'), stateOf(ue, key, 'connected')]);
  await mf.start(key, remoteOf(ueLocal, { role: 'passive' }));
  await ue.start(key, remoteOf(mfLocal, { role: 'active' }));
  await both;
}

const CASES = [
  { megabytes: full ? 4 : 0.25, netem: ['loss', '5%', 'delay', '25ms'], what: '5 % loss and 50 ms' },
  {
    megabytes: full ? 100 : 2,
    netem: ['loss', '0.1%', 'delay', '5ms', '2ms', 'reorder', '95%', '50%', 'duplicate', '0.1%'],
    what: '0.1 % loss with reordering and duplication',
  },
];

test('a relay over a bad network is hash-equal', { skip }, async (t) => {
  removeNamespaces();
  makeNamespaces();
  if (!kernelHasNetem()) {
    t.skip('this kernel has no netem');
    return;
  }
  for (const { megabytes, netem, what } of CASES) {
    await t.test(`${megabytes} MB at ${what}`, async () => {
      weather(...netem);
      const [ue, mf] = await Promise.all(names.map((name) => startEngine({}, 1, ['ip', 'netns', 'exec', name])));
      engines.push(ue!, mf!);
      await connect(ue!, mf!, 'a');
      await connect(ue!, mf!, 'b');
      await transferOverRelay(ue!, mf!, megabytes * 2 ** 20);
    });
  }
});
