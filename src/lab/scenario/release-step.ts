import { ImsdcError } from '../../errors.ts';
import { statusOf, type World } from '../world.ts';
import type { Step } from './step.ts';

/** A release is a few messages; after this long something has leaked. */
const RELEASE_LIMIT_MS = 5000;
const LOOK_AGAIN_MS = 50;

/** What must be zero after the call, by the name the lab prints. */
const LEFT_OVERS: readonly {
  readonly name: string;
  readonly process: 'mf' | 'dcsf';
  readonly path: readonly string[];
}[] = [
  { name: 'MF contexts', process: 'mf', path: ['contexts'] },
  { name: 'MF associations', process: 'mf', path: ['associations'] },
  { name: 'MF flows', process: 'mf', path: ['flows'] },
  { name: 'MF media sockets', process: 'mf', path: ['ports', 'taken'] },
  { name: 'MF bootstrap streams', process: 'mf', path: ['bootstrapStreams'] },
  { name: 'channels to the DC AS', process: 'mf', path: ['mdc2Channels'] },
  { name: 'AS calls', process: 'dcsf', path: ['imsAs', 'calls'] },
  { name: 'AS contexts', process: 'dcsf', path: ['imsAs', 'contexts'] },
  { name: 'DCSF sessions', process: 'dcsf', path: ['dcsf', 'sessions'] },
];

export const release: Step = {
  id: 'release',
  title: 'BYE releases everything',
  run: async (world) => {
    const inCall = await leftOvers(world);
    await Promise.all([world.alice.run('hangup'), world.bob.run('wait ended')]);
    const startedMs = performance.now();
    let left = await leftOvers(world);
    while (Object.values(left).some((count) => count !== 0)) {
      if (performance.now() - startedMs > RELEASE_LIMIT_MS) {
        throw new ImsdcError('LAB_CHECK', { what: 'after BYE', problem: `still there: ${JSON.stringify(left)}` });
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
      left = await leftOvers(world);
    }
    const scscf = world.scscf.status();
    if (scscf.pendingRequests + scscf.servicePasses > 0) {
      throw new ImsdcError('LAB_CHECK', { what: 'after BYE', problem: `S-CSCF: ${JSON.stringify(scscf)}` });
    }
    const checked = Object.entries(inCall).map(([name, count]) => `${name} ${count} → 0`);
    return { note: `checked: ${checked.join(', ')}`, details: { inCall, left } };
  },
};

async function leftOvers(world: World): Promise<Record<string, number>> {
  const [mf, dcsf] = await Promise.all([statusOf(world.admin.mf), statusOf(world.admin.dcsf)]);
  return Object.fromEntries(LEFT_OVERS.map(({ name, process, path }) => [name, numberAt({ mf, dcsf }[process], path)]));
}

function numberAt(status: unknown, path: readonly string[]): number {
  let at: unknown = status;
  for (const key of path) at = typeof at === 'object' && at !== null ? (at as Record<string, unknown>)[key] : undefined;
  if (typeof at !== 'number')
    throw new ImsdcError('LAB_CHECK', { what: '/status', problem: `has no number ${path.join('.')}` });
  return at;
}
