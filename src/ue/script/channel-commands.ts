import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { ImsdcError } from '../../errors.ts';
import type { MessageKind } from '../../ndc/channel.ts';
import type { ApplicationRequest } from '../media/application-line.ts';
import type { UeChannel } from '../media/channel.ts';
import { receiveFile, sendFile } from '../media/file-transfer.ts';
import { type Command, type CommandArguments, streamIdOf } from './command.ts';
import type { ScriptSession } from './session.ts';

/** Application channels: open, talk, close. */
export const CHANNEL_COMMANDS: readonly Command[] = [
  {
    name: 'open',
    usage:
      'APPID [--stream ID]... [--on SLOT] [--name NAME] [--bound-by attribute|label] [--endpoint ue|server] [--unordered] [--max-retr N | --max-time MS]',
    help: 're-INVITE with an application line, or with its channels on a line that is there (--on), and wait until they are open',
    positionals: [1, 1],
    options: {
      stream: { type: 'string', multiple: true },
      on: { type: 'string' },
      name: { type: 'string' },
      'bound-by': { type: 'string' },
      endpoint: { type: 'string' },
      unordered: { type: 'boolean' },
      'max-retr': { type: 'string' },
      'max-time': { type: 'string' },
    },
    run: async ({ call }, args) => {
      const channels = await call.openApplication(applicationRequest(args), args.number('on'));
      return { channels: channels.map(({ streamId, stream }) => ({ streamId, label: stream.label })) };
    },
  },
  {
    name: 'send',
    usage: 'STREAM [TEXT] [--random BYTES] [--kind text|binary]',
    help: 'one message: TEXT, or random content of a size; says its SHA-256',
    positionals: [1, 2],
    options: { random: { type: 'string' }, kind: { type: 'string' } },
    run: async (session, args) => {
      const channel = await channelOf(session, args);
      const size = args.number('random');
      const kind = kindOf(args.text('kind') ?? (size === undefined ? 'text' : 'binary'));
      const data = size === undefined ? Buffer.from(args.positionals[1] ?? '') : randomContent(size, kind);
      await channel.send(data, kind);
      return { streamId: channel.streamId, kind, bytes: data.length, sha256: hash(data) };
    },
  },
  {
    name: 'receive',
    usage: 'STREAM',
    help: 'the next message on that stream: its kind, size and SHA-256',
    positionals: [1, 1],
    run: async (session, args) => {
      const channel = await channelOf(session, args);
      const { data, kind } = await channel.receive();
      const shown = kind === 'text' && data.length <= 200 ? { text: data.toString() } : {};
      return { streamId: channel.streamId, kind, bytes: data.length, sha256: hash(data), ...shown };
    },
  },
  {
    name: 'echo',
    usage: 'STREAM [off]',
    help: 'from now on send every message of that stream back as it came',
    positionals: [1, 2],
    run: async (session, args) => {
      const channel = await channelOf(session, args);
      const on = args.positionals[1] !== 'off';
      channel.consume(
        on
          ? ({ data, kind }) => {
              channel.send(data, kind).catch((error: Error) => session.event('echo', { problem: error.message }));
            }
          : null,
      );
      return { streamId: channel.streamId, on };
    },
  },
  {
    name: 'send-file',
    usage: 'STREAM FILE',
    help: 'a file with its hash, in messages the peer takes; waits until the peer has it',
    positionals: [2, 2],
    run: async (session, args) => {
      const channel = await channelOf(session, args);
      const path = args.positionals[1]!;
      return { streamId: channel.streamId, ...(await sendFile(channel, basename(path), await readFile(path))) };
    },
  },
  {
    name: 'receive-file',
    usage: 'STREAM [--save FILE]',
    help: 'the file that the peer sends; fails unless its hash is right',
    positionals: [1, 1],
    options: { save: { type: 'string' } },
    run: async (session, args) => {
      const channel = await channelOf(session, args);
      const { content, ...file } = await receiveFile(channel);
      const path = args.text('save');
      if (path !== undefined) await writeFile(path, content);
      return { streamId: channel.streamId, ...file };
    },
  },
  {
    name: 'close',
    usage: 'STREAM',
    help: 'reset that stream',
    positionals: [1, 1],
    run: async (session, args) => {
      const channel = await channelOf(session, args);
      channel.close();
      return { streamId: channel.streamId };
    },
  },
  {
    name: 'leave-out',
    usage: 'STREAM...',
    help: 're-INVITE without the dcmap of those streams; the rest of their line goes on',
    positionals: [1, 16],
    run: async ({ call }, args) => {
      const streamIds = args.positionals.map(streamIdOf);
      await call.leaveOut(...streamIds);
      return { streamIds };
    },
  },
  {
    name: 'remove',
    usage: 'SLOT',
    help: 're-INVITE with port 0 on that m-line (counted from 0)',
    positionals: [1, 1],
    run: async ({ call }, args) => {
      await call.removeLine(Number(args.positionals[0]));
      return { slot: Number(args.positionals[0]) };
    },
  },
  {
    name: 'renew',
    usage: 'SLOT',
    help: 're-INVITE with a new tls-id on that m-line: a new DTLS association',
    positionals: [1, 1],
    run: async ({ call }, args) => {
      await call.renewLine(Number(args.positionals[0]));
      return { slot: Number(args.positionals[0]) };
    },
  },
];

const LOWEST_APPLICATION_STREAM = 1000;

function applicationRequest(args: CommandArguments): ApplicationRequest {
  const streams = args.texts('stream').map(streamIdOf);
  const boundBy = args.text('bound-by') ?? 'attribute';
  const endpoint = args.text('endpoint') ?? 'ue';
  if (boundBy !== 'attribute' && boundBy !== 'label') {
    throw new ImsdcError('USAGE', { problem: '--bound-by is attribute or label' });
  }
  if (endpoint !== 'ue' && endpoint !== 'server')
    throw new ImsdcError('USAGE', { problem: '--endpoint is ue or server' });
  const [maxRetransmissions, maxTimeMs] = [args.number('max-retr'), args.number('max-time')];
  const ids = streams.length > 0 ? streams : [LOWEST_APPLICATION_STREAM];
  const channels = ids.map((streamId, index) => ({
    streamId,
    endpoint: endpoint === 'ue' ? ('UE' as const) : ('SERVER' as const),
    name: `${args.text('name') ?? 'channel'}${index === 0 ? '' : index}`,
    ordered: !args.flag('unordered'),
    ...(maxRetransmissions === undefined ? {} : { maxRetransmissions }),
    ...(maxTimeMs === undefined ? {} : { maxTimeMs }),
  }));
  return { applicationId: args.positionals[0]!, channels, boundBy };
}

function channelOf({ call }: ScriptSession, args: CommandArguments): Promise<UeChannel> {
  return call.channel(streamIdOf(args.positionals[0]!));
}

function kindOf(text: string): MessageKind {
  if (text !== 'text' && text !== 'binary') throw new ImsdcError('USAGE', { problem: '--kind is text or binary' });
  return text;
}

/** Text content is ASCII, so that bytes and characters are the same number. */
function randomContent(bytes: number, kind: MessageKind): Buffer {
  const random = randomBytes(bytes);
  return kind === 'binary' ? random : Buffer.from(random.toString('base64').slice(0, bytes), 'latin1');
}

function hash(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
