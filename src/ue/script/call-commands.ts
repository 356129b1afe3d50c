import { ImsdcError } from '../../errors.ts';
import type { CallOptions } from '../call/types.ts';
import type { Command, CommandArguments } from './command.ts';

const HEADER = { type: 'string', multiple: true } as const;

/** Registration and the call itself. */
export const CALL_COMMANDS: readonly Command[] = [
  {
    name: 'register',
    usage: '[--expires SECONDS]',
    help: 'REGISTER with the data channel feature tag; refreshes itself',
    positionals: [0, 0],
    options: { expires: { type: 'string' } },
    run: async ({ ue }, args) => {
      const state = await ue.register(args.number('expires') ?? 600);
      return { identity: ue.identity, contact: ue.contactUri, ...state };
    },
  },
  {
    name: 'unregister',
    usage: '',
    help: 'end the registration',
    positionals: [0, 0],
    run: async ({ ue }) => {
      await ue.unregister();
      return { identity: ue.identity };
    },
  },
  {
    name: 'call',
    usage:
      'URI [--no-audio] [--no-bootstrap] [--bootstrap] [--header LINE]... [--body-type TYPE --body TEXT] [--no-wait]',
    help: 'INVITE, and wait until it is answered; --no-wait: only until it is sent',
    positionals: [1, 1],
    options: {
      'no-audio': { type: 'boolean' },
      'no-bootstrap': { type: 'boolean' },
      bootstrap: { type: 'boolean' },
      header: HEADER,
      'body-type': { type: 'string' },
      body: { type: 'string' },
      'no-wait': { type: 'boolean' },
    },
    run: async (session, args) => {
      const call = await session.ue.call(args.positionals[0]!, callOptions(args));
      session.watch(call);
      if (!args.flag('no-wait')) await call.connected();
      return { state: call.state };
    },
  },
  {
    name: 'answer',
    usage: '[--early] [--header LINE]...',
    help: 'take the call that rings, or the next one; --early: the answer goes out in a 183 first',
    positionals: [0, 0],
    options: { early: { type: 'boolean' }, header: HEADER },
    run: async (session, args) => {
      const call = await session.ue.incoming();
      session.watch(call);
      await call.answer({ early: args.flag('early'), extraHeaders: args.texts('header') });
      return { state: call.state };
    },
  },
  {
    name: 'reject',
    usage: '[STATUS]',
    help: 'refuse the call that rings, or the next one; 486 unless said otherwise',
    positionals: [0, 1],
    run: async (session, args) => {
      const status = Number(args.positionals[0] ?? 486);
      if (!Number.isInteger(status) || status < 300 || status > 699) {
        throw new ImsdcError('USAGE', { problem: `${args.positionals[0]} is not a refusal (300..699)` });
      }
      const call = await session.ue.incoming();
      session.watch(call);
      call.reject(status);
      return { status };
    },
  },
  {
    name: 'hangup',
    usage: '',
    help: 'BYE, CANCEL or 486, whichever fits',
    positionals: [0, 0],
    run: async ({ call }) => {
      await call.hangup();
      return { ...(call.end ?? {}) };
    },
  },
  {
    name: 'hold',
    usage: '',
    help: 're-INVITE with sendonly audio',
    positionals: [0, 0],
    run: async ({ call }) => {
      await call.setDirection('sendonly');
      return {};
    },
  },
  {
    name: 'resume',
    usage: '',
    help: 're-INVITE with sendrecv audio; a session refresh when nothing was on hold',
    positionals: [0, 0],
    run: async ({ call }) => {
      await call.setDirection('sendrecv');
      return {};
    },
  },
  {
    name: 'audio',
    usage: '[--packets N]',
    help: 'wait until N RTP packets have come (default 1), then say what came and from where',
    positionals: [0, 0],
    options: { packets: { type: 'string' } },
    run: async ({ call }, args) => {
      const { audio } = call.media;
      if (!audio) throw new ImsdcError('USAGE', { problem: 'the call has no audio' });
      await audio.stream.received(args.number('packets') ?? 1);
      return { ...audio.stream.counters, localPort: audio.stream.port };
    },
  },
  {
    name: 'wait',
    usage: 'incoming | connected | ended | channel STREAM',
    help: 'wait for one of these',
    positionals: [1, 2],
    run: async (session, args) => {
      const [what, stream] = args.positionals;
      switch (what) {
        case 'incoming':
          session.watch(await session.ue.incoming());
          return {};
        case 'connected':
          await session.call.connected();
          return {};
        case 'ended':
          return { ...(await session.call.ended()) };
        case 'channel':
          return { streamId: (await session.call.channel(Number(stream))).streamId };
        default:
          throw new ImsdcError('USAGE', { problem: `cannot wait for '${what}'` });
      }
    },
  },
  {
    name: 'invite',
    usage: '',
    help: 'the INVITE that came in, as it came',
    positionals: [0, 0],
    run: async ({ incomingCall }) => ({ invite: incomingCall.invite.raw }),
  },
  {
    name: 'status',
    usage: '',
    help: 'registration, call, m-lines and channels',
    positionals: [0, 0],
    run: async (session) => {
      const { ue } = session;
      const calls = [...ue.calls].map((call) => ({
        direction: call.direction,
        state: call.state,
        audio: call.media.audio?.stream.counters,
        lines: [...call.media.dataLines()].map(({ slot, line }) => ({
          slot,
          port: line.port,
          role: line.role,
          state: line.state,
          associations: line.associations,
          streams: [...line.channels.values()].map(({ streamId, state }) => ({ streamId, state })),
        })),
        ...call.media.agreed,
      }));
      return { identity: ue.identity, contact: ue.contactUri, registered: ue.registration.registered, calls };
    },
  },
];

function callOptions(args: CommandArguments): CallOptions {
  const bodyType = args.text('body-type');
  return {
    audio: !args.flag('no-audio'),
    ...(args.flag('no-bootstrap') ? { bootstrap: false } : {}),
    ...(args.flag('bootstrap') ? { bootstrap: true } : {}),
    extraHeaders: args.texts('header'),
    ...(bodyType === undefined ? {} : { extraBody: { contentType: bodyType, content: args.text('body') ?? '' } }),
  };
}
