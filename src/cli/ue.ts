import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { createLogger } from '../base/log.ts';
import type { UeOptions } from '../ue/options.ts';
import { isProfileName, PROFILES } from '../ue/profile.ts';
import { HumanOutput, JsonOutput } from '../ue/script/output.ts';
import { COMMANDS, runScript } from '../ue/script/runner.ts';
import { ScriptSession } from '../ue/script/session.ts';
import { UserEquipment } from '../ue/user-equipment.ts';
import { oneOf, portNumber, readCommandLine, usage, wholeNumber } from './command-line.ts';

const OPTIONS = {
  identity: { type: 'string', default: 'sip:alice@ims.lab' },
  proxy: { type: 'string' },
  registrar: { type: 'string' },
  address: { type: 'string', default: '127.0.0.1' },
  port: { type: 'string', default: '0' },
  transport: { type: 'string', default: 'udp' },
  profile: { type: 'string', default: 'china-mobile' },
  'data-channels': { type: 'string', default: 'whenSupported' },
  multiplexing: { type: 'boolean', default: false },
  'answer-setup': { type: 'string' },
  'data-answer': { type: 'string', default: 'accept' },
  'max-message-size': { type: 'string', default: '65536' },
  'sdp-line': { type: 'string', multiple: true },
  'audio-line': { type: 'string', multiple: true },
  'wrong-fingerprint': { type: 'boolean', default: false },
  'silent-media': { type: 'boolean', default: false },
  command: { type: 'string', short: 'c', multiple: true },
  script: { type: 'string', short: 's' },
  json: { type: 'boolean', default: false },
  'keep-going': { type: 'boolean', default: false },
} as const;

const read = (argv: string[]) => readCommandLine(argv, { help, options: OPTIONS });
type Values = NonNullable<ReturnType<typeof read>>['values'];

/** `imsdc ue`. Resolves with the exit code of the first command that failed, 0 when none did. Throws USAGE. */
export async function ueCommand(argv: string[]): Promise<number> {
  const values = read(argv)?.values;
  if (values === undefined) return 0;
  const ue = await UserEquipment.start(ueOptions(values));
  const output = values.json ? new JsonOutput(process.stdout) : new HumanOutput(process.stdout);
  const session = new ScriptSession(ue, output);
  session.event('ready', { identity: ue.identity, contact: ue.contactUri, profile: ue.profile.name });
  const source = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => source.abort());
  try {
    return await runScript({ session, lines: linesOf(values, source.signal), keepGoing: values['keep-going'] });
  } finally {
    await ue.close();
    // Our input may still be open; nothing more is read from it.
    process.stdin.destroy();
  }
}

/** Commands of the command line, else of the file, else of standard input until it ends: its end is also our end. */
function linesOf(values: Values, signal: AbortSignal): AsyncIterable<string> | Iterable<string> {
  if (values.command) return values.command;
  const input = values.script === undefined || values.script === '-' ? process.stdin : createReadStream(values.script);
  return createInterface({ input, signal, terminal: false });
}

function ueOptions(values: Values): UeOptions {
  const { profile, transport } = values;
  if (!isProfileName(profile)) throw usage(`--profile ${profile}: one of ${Object.keys(PROFILES).join(', ')}`);
  const setup = values['answer-setup'];
  if (setup !== undefined && setup !== 'active' && setup !== 'passive')
    throw usage('--answer-setup is active or passive');
  return {
    identity: values.identity,
    address: values.address,
    port: portNumber('port', values.port),
    transport: oneOf('transport', transport, ['udp', 'tcp']),
    profile,
    dataChannels: oneOf('data-channels', values['data-channels'], ['always', 'whenSupported', 'never']),
    multiplexing: values.multiplexing,
    dataAnswer: oneOf('data-answer', values['data-answer'], ['accept', 'portZero', 'fewerLines', 'refuse488']),
    maxMessageSizeBytes: wholeNumber('max-message-size', values['max-message-size']),
    extraSessionLines: values['sdp-line'] ?? [],
    extraAudioLines: values['audio-line'] ?? [],
    faults: { wrongFingerprint: values['wrong-fingerprint'], silentMedia: values['silent-media'] },
    log: createLogger({ name: 'ue', level: process.env.IMSDC_LOG ?? 'warn' }),
    ...(values.proxy === undefined ? {} : { proxy: values.proxy }),
    ...(values.registrar === undefined ? {} : { registrar: values.registrar }),
    ...(setup === undefined ? {} : { answerSetup: setup }),
  };
}

function help(): string {
  const rows = COMMANDS.map(({ name, usage: shape, help: text }) => `  ${`${name} ${shape}`.trim()}\n      ${text}`);
  return `imsdc ue [options] [-c COMMAND]... [-s FILE]

An IMS data channel UE. It runs one command per line: from -c, from a file, or from standard input, whose end is also the
UE's end. Each command prints one result line; what happens beside them prints event lines.

Options
  --identity URI            public identity (sip:alice@ims.lab)
  --proxy URI               where everything goes: P-CSCF or S-CSCF; without it, calls go straight to their target
  --registrar URI           Request-URI of REGISTER (the domain of the identity)
  --address IP, --port N    for SIP and media (127.0.0.1, any free port)
  --transport udp|tcp
  --profile NAME            china-mobile, china-telecom or browser: HTTP byte forms, a=setup in answers
  --data-channels WHEN      whenSupported (the network said so in REGISTER), always, never
  --multiplexing            announce g.3gpp.dc-mux: channels with several far ends on one line (open --on)
  --answer-setup ROLE       active or passive, instead of the profile's
  --data-answer HOW         accept, portZero, fewerLines, refuse488: how data channel offers are answered
  --max-message-size BYTES  65536
  --sdp-line, --audio-line  lines to add to every SDP, unknown ones too
  --wrong-fingerprint, --silent-media    misbehave, to see what the network does
  --json                    one JSON object per line
  --keep-going              do not end at the first command that fails

Commands, each with --timeout SECONDS (30; 0 waits for ever)
${rows.join('\n')}
  quit
      end calls and leave

Examples
  imsdc ue --identity sip:bob@ims.lab --proxy sip:127.0.0.1:5060 -c register -c 'answer --timeout 0' -c 'wait ended --timeout 0'
  imsdc ue --proxy sip:127.0.0.1:5060 -c register -c 'call sip:bob@ims.lab' -c list -c 'download 10000005 --save draw.zip' \\
           -c 'open 10000005' -c 'send 1000 hello' -c hangup
`;
}
