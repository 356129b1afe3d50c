import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { ImsdcError } from '../../errors.ts';
import type { BootstrapClient, BootstrapResult } from '../bootstrap/client.ts';
import { isProfileName } from '../profile.ts';
import type { Command, CommandArguments } from './command.ts';
import type { ScriptSession } from './session.ts';

const OPTIONS = {
  stream: { type: 'string' },
  profile: { type: 'string' },
  etag: { type: 'string' },
  save: { type: 'string' },
} as const;
const USAGE = '[--stream 0|100] [--profile NAME] [--etag ETAG] [--save FILE]';
/** Bodies up to this size are shown in the result line when they are text. */
const SHOWN_BODY_BYTES = 65_536;

/** HTTP over the bootstrap channels, in the byte form of the UE's (or the named) handset profile. */
export const BOOTSTRAP_COMMANDS: readonly Command[] = [
  {
    name: 'bootstrap',
    usage: '',
    help: 'offer the bootstrap lines by re-INVITE, when the INVITE had none',
    positionals: [0, 0],
    run: async ({ call }) => {
      await call.offerBootstrap();
      return {};
    },
  },
  {
    name: 'root',
    usage: USAGE,
    help: 'what the handset fetches first',
    positionals: [0, 0],
    options: OPTIONS,
    run: (session, args) => fetched(session, args, (client) => client.root(args.text('etag'))),
  },
  {
    name: 'list',
    usage: USAGE,
    help: 'the application list',
    positionals: [0, 0],
    options: OPTIONS,
    run: (session, args) => fetched(session, args, (client) => client.list()),
  },
  {
    name: 'download',
    usage: `APPID ${USAGE}`,
    help: 'an application package',
    positionals: [1, 1],
    options: OPTIONS,
    run: (session, args) =>
      fetched(session, args, (client) => client.application(args.positionals[0]!, args.text('etag'))),
  },
  {
    name: 'get',
    usage: `TARGET ${USAGE}`,
    help: 'any request target, such as /index.html',
    positionals: [1, 1],
    options: OPTIONS,
    run: (session, args) => {
      const etag = args.text('etag');
      const target = args.positionals[0]!;
      return fetched(session, args, (client) => client.get(etag === undefined ? { target } : { target, etag }));
    },
  },
];

async function fetched(
  session: ScriptSession,
  args: CommandArguments,
  fetch: (client: BootstrapClient) => Promise<BootstrapResult>,
): Promise<Readonly<Record<string, unknown>>> {
  const streamId = args.number('stream') ?? 0;
  if (streamId !== 0 && streamId !== 100) throw new ImsdcError('USAGE', { problem: 'bootstrap streams are 0 and 100' });
  const profile = args.text('profile');
  if (profile !== undefined && !isProfileName(profile)) {
    throw new ImsdcError('USAGE', {
      problem: `there is no profile '${profile}' (china-mobile, china-telecom, browser)`,
    });
  }
  const client = await session.ue.bootstrap(session.call, streamId, profile);
  const result = await fetch(client);
  const file = args.text('save');
  if (file !== undefined) await writeFile(file, result.body);
  return describe(streamId, result);
}

function describe(streamId: number, result: BootstrapResult): Readonly<Record<string, unknown>> {
  const type = result.headers.get('content-type') ?? '';
  const isText = /^(text\/|application\/json)/.test(type) && result.body.length <= SHOWN_BODY_BYTES;
  return {
    streamId,
    request: result.request,
    outcome: result.outcome,
    status: result.status,
    type,
    etag: result.headers.get('etag'),
    bytes: result.body.length,
    sha256: createHash('sha256').update(result.body).digest('hex'),
    messages: result.messages,
    largestMessageBytes: result.largestMessageBytes,
    ...(isText ? { body: result.body.toString() } : {}),
  };
}
