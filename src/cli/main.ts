import { ImsdcError } from '../errors.ts';

type CommandFunction = (argv: string[]) => Promise<number>;

/** Loaded when named, so that `imsdc ue` does not pay for the HTTP servers of `imsdc dcsf`. */
const COMMANDS: Record<string, { readonly what: string; load(): Promise<CommandFunction> }> = {
  lab: {
    what: 'start everything on loopback, make a real call, stay up',
    load: async () => (await import('./lab.ts')).labCommand,
  },
  dcsf: {
    what: 'the SIP-facing network function: IMS AS and DCSF, with the repository',
    load: async () => (await import('./dcsf.ts')).dcsfCommand,
  },
  mf: {
    what: 'the media function: Nmf_MRM and its media workers',
    load: async () => (await import('./mf.ts')).mfCommand,
  },
  'dc-as': {
    what: 'a sample application server: menu, whiteboard, echo over MDC2',
    load: async () => (await import('./dc-as.ts')).dcAsCommand,
  },
  ue: {
    what: 'an IMS data channel UE: register, call, open channels',
    load: async () => (await import('./ue.ts')).ueCommand,
  },
  app: {
    what: 'the application repository: add, list, remove',
    load: async () => (await import('./app.ts')).appCommand,
  },
  pki: {
    what: 'certificates of a lab CA for mutual TLS between the functions',
    load: async () => (await import('./pki.ts')).pkiCommand,
  },
  check: {
    what: 'read the configuration and say what is wrong, with file, line and key',
    load: async () => (await import('./check.ts')).checkCommand,
  },
};

function usage(): string {
  const rows = Object.entries(COMMANDS).map(([name, { what }]) => `  imsdc ${name.padEnd(6)} ${what}`);
  return [
    'imsdc: an open core for the IMS data channel',
    '',
    ...rows,
    '',
    'Each command explains itself: imsdc COMMAND --help',
    '',
  ].join('\n');
}

const [name, ...argv] = process.argv.slice(2);
if (name === undefined || name === '--help' || name === 'help') {
  process.stdout.write(usage());
} else {
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) {
    process.stderr.write(`imsdc: there is no command "${name}"\n\n${usage()}`);
    process.exit(64);
  }
  try {
    process.exitCode = await (await command.load())(argv);
  } catch (error) {
    if (!(error instanceof ImsdcError)) throw error;
    process.stderr.write(`imsdc ${name}: ${error.message} [${error.code}]\n`);
    process.exit(error.entry.exit ?? 1);
  }
}
