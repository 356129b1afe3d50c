import { formatFingerprint } from '../../dtls/fingerprint.ts';
import { APPLICATIONS } from '../config-file.ts';
import { dataLines, expect, expectEqual, type SeenLine } from '../expect.ts';
import type { UeProcess } from '../process/ue-process.ts';
import type { World } from '../world.ts';
import { negotiated } from './call-steps.ts';
import type { Step, StepOutcome } from './step.ts';

const SIZES = [1, 64_000, 65_536] as const;
const KINDS = ['text', 'binary'] as const;

type Anchor = (typeof APPLICATIONS)[number]['anchor'];

const HOW: Readonly<Record<Anchor, string>> = {
  none: 'not anchored, DTLS between the UEs',
  e2DCe: 'anchored e2DCe, DTLS ends at the MF on both legs',
  e2e: 'anchored e2e, the MF forwards datagrams',
};

interface ApplicationCase {
  readonly applicationId: string;
  readonly anchor: Anchor;
  readonly streamId: number;
  readonly boundBy: 'attribute' | 'label';
}

const CASES: readonly ApplicationCase[] = [
  ...APPLICATIONS.map(({ applicationId, anchor }, index) => ({
    applicationId,
    anchor,
    streamId: 1000 + 2 * index,
    boundBy: 'attribute' as const,
  })),
  { ...APPLICATIONS[0], streamId: 1000 + 2 * APPLICATIONS.length, boundBy: 'label' },
];

export const applicationSteps: readonly Step[] = CASES.map((one) => ({
  id: `application-${one.anchor}${one.boundBy === 'label' ? '-label' : ''}`,
  title: `Application ${one.applicationId} on stream ${one.streamId} by re-INVITE (${one.boundBy === 'label' ? 'label form' : '3gpp-req-app'}): ${HOW[one.anchor]}`,
  run: (world) => runCase(world, one),
}));

async function runCase(world: World, one: ApplicationCase): Promise<StepOutcome> {
  const { applicationId, streamId, boundBy } = one;
  const opened = await world.alice.run(`open ${applicationId} --stream ${streamId} --name lab --bound-by ${boundBy}`);
  await world.bob.run(`wait channel ${streamId}`);
  await checkAnchoring(world, one);
  world.trace.add({
    kind: 'note',
    atMs: world.trace.since(opened.at),
    lanes: ['Alice', 'Bob'],
    text: `channel ${streamId} open: ${HOW[one.anchor]}`,
  });
  let messages = 0;
  for (const size of SIZES) {
    for (const kind of KINDS) {
      await carry(world, world.alice, world.bob, streamId, size, kind);
      await carry(world, world.bob, world.alice, streamId, size, kind);
      messages += 2;
    }
  }
  const note = `open after ${Math.round(opened.ms)} ms; ${messages} messages of ${SIZES.join(', ')} bytes equal`;
  return { note, details: { openMs: Math.round(opened.ms), messages } };
}

async function carry(
  world: World,
  from: UeProcess,
  to: UeProcess,
  streamId: number,
  bytes: number,
  kind: string,
): Promise<void> {
  const [sent, received] = await Promise.all([
    from.run(`send ${streamId} --random ${bytes} --kind ${kind}`),
    to.run(`receive ${streamId}`),
  ]);
  const shape = ({ kind: k, bytes: b, sha256 }: Readonly<Record<string, unknown>>) => ({ kind: k, bytes: b, sha256 });
  expectEqual(shape(received), shape(sent), `${bytes} bytes ${kind} from ${from.name} on stream ${streamId}`);
  const [a, b] = from === world.alice ? ['Alice', 'Bob'] : ['Bob', 'Alice'];
  world.trace.add({
    kind: 'arrow',
    atMs: world.trace.since(received.at),
    from: a!,
    to: b!,
    label: `${bytes} bytes ${kind}`,
    summary: `stream ${streamId}`,
    protocol: 'data channel',
    minor: bytes !== SIZES.at(-1),
  });
}

/** Where the media really go, by what each side was told of the other. */
async function checkAnchoring(world: World, { streamId, anchor }: ApplicationCase): Promise<void> {
  const [alice, bob] = await Promise.all([negotiated(world.alice), negotiated(world.bob)]);
  const told = lineWith(dataLines(alice.remote, 'answer'), streamId, 'the answer to Alice').media;
  const real = lineWith(dataLines(bob.local, 'answer'), streamId, "Bob's answer").media;
  const samePort = told.port === real.port;
  const sameKey = told.fingerprints.map(formatFingerprint).join() === real.fingerprints.map(formatFingerprint).join();
  switch (anchor) {
    case 'none':
      expect(samePort && sameKey, 'not anchored', `Alice was told port ${told.port}, Bob has ${real.port}`);
      break;
    case 'e2DCe':
      expect(!samePort && !sameKey, 'e2DCe', 'Alice does not meet the MF');
      break;
    case 'e2e':
      expect(!samePort && sameKey, 'e2e', 'the MF must be in the path, and not in the DTLS');
      break;
    default:
      anchor satisfies never;
  }
}

function lineWith(lines: readonly SeenLine[], streamId: number, where: string): SeenLine {
  const line = lines.find(({ streams }) => streams.includes(streamId));
  expect(line !== undefined, where, `has no live line with stream ${streamId}`);
  return line;
}
