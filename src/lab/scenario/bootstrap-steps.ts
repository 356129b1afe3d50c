import { Repository } from '../../dcar/repository.ts';
import { APPLICATIONS } from '../config-file.ts';
import { expect, expectEqual } from '../expect.ts';
import type { UeProcess, UeResult } from '../process/ue-process.ts';
import type { World } from '../world.ts';
import type { Step } from './step.ts';

/** SHA-256 of every published package by application id: what downloads must equal. */
function publishedHashes(world: World): ReadonlyMap<string, string> {
  const repository = new Repository(world.files.repository);
  try {
    return new Map(repository.newest().map(({ applicationId, sha256 }) => [applicationId, sha256]));
  } finally {
    repository.close();
  }
}

/** Runs one HTTP command and draws it. */
async function fetched(world: World, ue: UeProcess, line: string): Promise<UeResult> {
  const result = await ue.run(line);
  const lane = ue === world.alice ? 'Alice' : 'Bob';
  const atMs = world.trace.since(result.at);
  const target = String(result.request).split(' ')[1];
  const arrow = { kind: 'arrow', protocol: 'data channel' } as const;
  world.trace.add({
    ...arrow,
    atMs: atMs - Number(result.ms),
    from: lane,
    to: 'MF',
    label: `GET ${target}`,
    summary: `stream ${result.streamId}`,
    detail: String(result.request),
  });
  const answer = `${result.status} ${result.type}, ${result.bytes} bytes in ${result.messages} messages`;
  world.trace.add({
    ...arrow,
    atMs,
    from: 'MF',
    to: lane,
    label: answer,
    detail: `${answer}\nETag: ${result.etag}\nSHA-256: ${result.sha256}\n\n${result.body ?? '(binary)'}`,
  });
  return result;
}

interface Fetcher {
  readonly world: World;
  readonly ue: UeProcess;
  readonly stream: 0 | 100;
  readonly hashes: ReadonlyMap<string, string>;
}

async function list({ world, ue, stream }: Fetcher, profile: string): Promise<number> {
  const result = await fetched(world, ue, `list --stream ${stream} --profile ${profile}`);
  expectEqual(result.outcome, 'content', `${ue.name}: list as ${profile} on stream ${stream}`);
  const { applications } = JSON.parse(String(result.body)) as { applications: { appid: string }[] };
  const listed = applications.map(({ appid }) => appid).sort();
  expectEqual(listed, APPLICATIONS.map(({ applicationId }) => applicationId).sort(), `${ue.name}: listed applications`);
  return listed.length;
}

async function download(
  { world, ue, stream, hashes }: Fetcher,
  profile: string,
  applicationId: string,
): Promise<UeResult> {
  const result = await fetched(world, ue, `download ${applicationId} --stream ${stream} --profile ${profile}`);
  expectEqual(result.outcome, 'content', `${ue.name}: ${applicationId} as ${profile} on stream ${stream}`);
  expectEqual(result.sha256, hashes.get(applicationId), `${ue.name}: SHA-256 of ${applicationId} on stream ${stream}`);
  return result;
}

export const ownNetwork: Step = {
  id: 'bootstrap-own',
  title: 'Stream 0: root, list and packages in the byte forms of both handset families, and as a browser',
  run: async (world) => {
    const hashes = publishedHashes(world);
    const alice: Fetcher = { world, ue: world.alice, stream: 0, hashes };
    const root = await fetched(world, world.alice, 'root --stream 0 --profile china-mobile');
    expectEqual(root.sha256, hashes.get('root'), 'SHA-256 of the root mini-app (china-mobile)');
    const again = await fetched(world, world.alice, `root --stream 0 --profile china-mobile --etag ${root.etag}`);
    expectEqual(again.outcome, 'notModified', 'root with the ETag we hold (china-mobile)');
    for (const profile of ['china-mobile', 'china-telecom', 'browser']) await list(alice, profile);
    const packages: Record<string, unknown> = {};
    for (const { applicationId } of APPLICATIONS) {
      for (const profile of ['china-mobile', 'china-telecom']) {
        packages[applicationId] = (await download(alice, profile, applicationId)).sha256;
      }
    }
    const page = await fetched(world, world.alice, 'root --stream 0 --profile browser');
    expect(String(page.type).startsWith('text/html'), 'GET / as browser', `is ${page.type}`);
    await download({ ...alice, ue: world.bob }, 'china-telecom', APPLICATIONS[1].applicationId);
    return { note: `${Object.keys(packages).length} packages, hashes equal`, details: { hashes: packages } };
  },
};

export const farNetwork: Step = {
  id: 'bootstrap-far',
  title: 'Stream 100: list and packages from the far network, both ways',
  run: async (world) => {
    const hashes = publishedHashes(world);
    for (const ue of [world.alice, world.bob]) {
      const fetcher: Fetcher = { world, ue, stream: 100, hashes };
      await list(fetcher, 'china-telecom');
      for (const profile of ['china-mobile', 'china-telecom'])
        await download(fetcher, profile, APPLICATIONS[0].applicationId);
      const page = await fetched(world, ue, 'root --stream 100 --profile browser');
      expect(String(page.type).startsWith('text/html'), 'GET / as browser', `is ${page.type}`);
    }
    return { note: 'Alice from Bob’s network, Bob from Alice’s: hashes equal' };
  },
};
